package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

func newTail(std stdio) *cobra.Command {
	s := newSettings()
	var o client.TailOptions
	var after string
	var asJSON bool
	var count int
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show events as they are published",
		Long: `Show events as they are published, each once and in the order of the log, until
Ctrl-C. It reads over NATS, and goes on by itself when the server comes back.`,
		Example: `  belfry tail
  belfry tail --tenant AA --topic invoices --verb created
  belfry tail --from-start --json | jq .data`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			switch {
			case count < 0:
				return fault.New(fault.UsageError, "--count: %d is below 0", count)
			case after != "" && o.FromStart:
				return fault.New(fault.UsageError, "--after and --from-start exclude each other: where does it begin?")
			}
			if after != "" {
				if o.After, err = event.ParseCursor(after); err != nil {
					return err
				}
			}
			if _, _, err := s.load(cmd); err != nil {
				return err
			}
			ctx := cmd.Context()
			c, err := s.connect(ctx)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close(ctx) }()
			seen := 0
			for item, err := range c.Tail(ctx, o) {
				switch {
				case ctx.Err() != nil:
					return nil // Ctrl-C is how a tail ends
				case err != nil:
					return err
				}
				if err := printItem(std.out, item, asJSON); err != nil {
					return err
				}
				if seen++; seen == count {
					return nil
				}
			}
			return nil
		},
	}
	fs := cmd.Flags()
	fs.StringArrayVar(&o.Tenants, "tenant", nil, "only this tenant's (repeatable)")
	fs.StringArrayVar(&o.Topics, "topic", nil, "only this topic (repeatable)")
	fs.StringArrayVar(&o.Verbs, "verb", nil, "only this verb (repeatable)")
	fs.StringVar(&after, "after", "", "begin after this `cursor` (default: now)")
	fs.BoolVar(&o.FromStart, "from-start", false, "begin with the oldest event that is kept")
	fs.IntVar(&count, "count", 0, "stop after so many events; 0 = never")
	fs.BoolVar(&asJSON, "json", false, "CloudEvents JSON, one per line")
	s.flags(fs, "nats-url", "nats-user", "nats-password-file", "nats-creds")
	return cmd
}

// printItem writes one event as one line.
func printItem(w io.Writer, item client.Item, asJSON bool) error {
	e := &item.Event
	if asJSON {
		_, err := w.Write(append(e.AppendJSON(nil), '\n'))
		return err
	}
	data := string(e.Data)
	if len(data) > 200 {
		data = data[:200] + "…"
	}
	_, err := fmt.Fprintf(w, "%s  %s  %s  %s  %q  %s\n",
		item.Cursor, e.Time.Local().Format(time.TimeOnly), e.Tenant, e.Type, e.Subject, data)
	return err
}
