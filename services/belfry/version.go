package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

// natsModule is the server that is linked in.
const natsModule = "github.com/nats-io/nats-server/v2"

func newVersion(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show what this is built from",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			zones, from := calendar.ZoneData()
			_, err := fmt.Fprintf(std.out, "belfry       %s\ngo           %s %s/%s\nnats-server  %s\ntime zones   %s (%s)\n",
				process.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, moduleVersion(natsModule), zones, from)
			return err
		},
	}
}

func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "unknown"
}
