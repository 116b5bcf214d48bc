package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

func newPublish(std stdio) *cobra.Command {
	s := newSettings()
	e := event.Event{Source: "/belfry-publish"}
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "publish <topic>.<verb> [<data> | @<file> | -] --tenant <tenant>",
		Short: "Publish an event",
		Long: `Publish an event over NATS and print its id and cursor once it is kept.

Data is JSON unless --content-type says otherwise. It is the second argument, the
content of a file (@invoice.json), or what comes in (-); without it the event has none.`,
		Example: `  belfry publish invoices.created '{"total":12}' --tenant AA
  belfry publish invoices.updated @invoice.json --tenant AA --subject 4711
  echo '{"total":12}' | belfry publish invoices.created - --tenant AA`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if e.Tenant == "" {
				return fault.New(fault.UsageError, "--tenant is required: whose event is it?")
			}
			if wait <= 0 {
				return fault.New(fault.UsageError, "--wait: %s is not above 0", wait)
			}
			if _, _, err := s.load(cmd); err != nil {
				return err
			}
			e.Type = args[0]
			if len(args) == 2 {
				if e.Data, err = readData(args[1], std.in, int64(s.process.Events.MaxBytes)); err != nil {
					return err
				}
				if e.DataContentType == "" && !json.Valid(e.Data) {
					return fault.Field(fault.InvalidEvent, "data", "is not JSON; say --content-type text/plain if that is meant")
				}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			c, err := s.connect(ctx)
			if err != nil {
				return err
			}
			receipt, err := c.Publish(ctx, e)
			if err != nil {
				_ = c.Close(ctx)
				return err
			}
			if err := c.Close(ctx); err != nil {
				return err
			}
			note := ""
			if receipt.Duplicate {
				note = "  (was there already)"
			}
			_, err = fmt.Fprintf(std.out, "id      %s\ncursor  %s%s\n", receipt.ID, receipt.Cursor, note)
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&e.Tenant, "tenant", "", "whose event it is (required)")
	fs.StringVar(&e.Subject, "subject", "", "id of the object it is about")
	fs.StringVar(&e.ID, "id", "", "id of the event; the same id and source again is kept once (default: a new one)")
	fs.StringVar(&e.Source, "source", e.Source, "who says so, a URI reference")
	fs.StringVar(&e.DataContentType, "content-type", "", "media type of the data (default application/json)")
	config.DurationVar(fs, &wait, "wait", 10*time.Second, "how long to try")
	s.flags(fs, "nats-url", "nats-user", "nats-password-file", "nats-creds")
	return cmd
}

// readData is the data an argument means: itself, @file, or - for what comes in.
// It is not longer than the limit, and one byte more so that the limit is seen.
func readData(arg string, in io.Reader, limit int64) ([]byte, error) {
	var r io.Reader
	switch {
	case arg == "-":
		r = in
	case strings.HasPrefix(arg, "@"):
		f, err := os.Open(arg[1:])
		if err != nil {
			return nil, fault.Wrap(fault.UsageError, err, "data: %s", err)
		}
		defer func() { _ = f.Close() }()
		r = f
	default:
		return []byte(arg), nil
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fault.Wrap(fault.UsageError, err, "data: %s", err)
	}
	if int64(len(b)) > limit {
		return nil, fault.Field(fault.EventTooLarge, "data", "is above the maximum of %d bytes", limit)
	}
	if utf8.Valid(b) { // a text file ends with a newline that nobody means
		b = []byte(strings.TrimSuffix(string(b), "\n"))
	}
	return b, nil
}
