package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/fault"
)

func newToken(std stdio) *cobra.Command {
	s := newSettings()
	var c auth.Claims
	var grants []string
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make a token",
		Long: `Make a token, signed with the secret that "belfry run" keeps in its data directory
(or with auth.secret). It goes into "Authorization: Bearer <token>".

A grant is subscribe:<topic>, publish:<topic> (a topic may be *), mailbox, realtime
or admin. Without --grant the token may do everything but admin in its tenants.`,
		Example: `  belfry token --user anna --tenant AA
  belfry token --user erp --tenant AA --tenant BB --grant publish:invoices --ttl 30d`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if c.Subject == "" {
				return fault.New(fault.UsageError, "--user is required: who is the token for?")
			}
			if len(c.Tenants) == 0 && !cmd.Flags().Changed("grant") {
				return fault.New(fault.UsageError, "--tenant is required without --grant: in which tenants may it do everything?")
			}
			if c.Grants = auth.Everything(); cmd.Flags().Changed("grant") {
				if c.Grants, err = auth.ParseGrants(grants); err != nil {
					return err
				}
			}
			if _, _, err = s.load(cmd); err != nil {
				return err
			}
			_, unknown := s.process.KnownTokens()
			tokens, err := s.process.Tokens()
			if err != nil {
				return err
			}
			if unknown != nil {
				_, _ = fmt.Fprintf(std.err, "made a new secret in %s: the token is for a platform that will run there\n", s.process.DataDir)
			}
			token, err := tokens.Sign(c)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(std.out, token)
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&c.Subject, "user", "", "who the token is for (required)")
	fs.StringArrayVar(&c.Tenants, "tenant", nil, "tenant it may act for (repeatable)")
	fs.StringArrayVar(&grants, "grant", nil, "what it may do there (repeatable; default everything but admin)")
	config.DurationVar(fs, &c.TTL, "ttl", time.Hour, "how long it is valid")
	s.flags(fs, "data-dir")
	return cmd
}
