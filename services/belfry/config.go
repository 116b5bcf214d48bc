package main

import (
	"github.com/spf13/cobra"
)

func newConfig(std stdio) *cobra.Command {
	s := newSettings()
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show every setting, its value, and where that came from",
		Long: `Show the settings as "belfry run" would have them with the same flags. A key a.b_c
can be set, in rising order of precedence, in a YAML file (--config, or the variable
BELFRY_CONFIG), by the environment variable BELFRY_A_B_C, by its own flag if it has
one, and by --set a.b_c=<value>. Secrets are not shown.`,
		Example: `  belfry config
  belfry config --config belfry.yaml --set gateway.console=false`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, values, err := s.load(cmd)
			if err != nil {
				return err
			}
			return values.Print(std.out)
		},
	}
	s.flags(cmd.Flags(), "set")
	return cmd
}
