package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/fault"
)

// server is one run of "belfry hook serve".
type server struct {
	std     stdio
	refuse  string
	command string
	mu      sync.Mutex // one line at a time
}

func newHookServe(std stdio) *cobra.Command {
	s := newSettings()
	h := &server{std: std}
	var tenant string
	cmd := &cobra.Command{
		Use:   "serve <name>",
		Short: "Answer the questions to a hook, from a terminal",
		Long: `Answer the questions to a hook that is asked over NATS: allow all of them, refuse
them with --refuse, or let a command decide with --exec. It gets the event as
CloudEvents JSON on its standard input; exit code 0 allows, 1 refuses, and the first
line it prints is the reason. Anything else is no answer.

To write one in Go takes a few lines more: client.ServeHook.`,
		Example: `  belfry hook serve guard --refuse 'is the only administrator'
  belfry hook serve guard --exec 'jq -e ".data.old.admin != true" >/dev/null || { echo is an administrator; exit 1; }'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if h.refuse != "" && h.command != "" {
				return fault.New(fault.UsageError, "--refuse and --exec exclude each other: who decides?")
			}
			if _, _, err := s.load(cmd); err != nil {
				return err
			}
			url, err := natsURL(s.process.NATS)
			if err != nil {
				return err
			}
			nc, err := s.dial(url, nats.Name("belfry-hook"), nats.PermissionErrOnSubscribe(true), nats.ReconnectWait(100*time.Millisecond),
				func(o *nats.Options) error { o.AllowReconnect, o.MaxReconnect = true, -1; return nil })
			if err != nil {
				return err
			}
			defer nc.Close()
			h.sayf("serving %s of %s; Ctrl-C ends it", args[0], tenant)
			return client.ServeHook(cmd.Context(), nc, tenant, args[0], h.answer)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&tenant, "tenant", "AA", "whose hook it is")
	fs.StringVar(&h.refuse, "refuse", "", "refuse everything, with this `reason`")
	fs.StringVar(&h.command, "exec", "", "shell `command` that decides")
	s.flags(fs, "nats-url", "nats-user", "nats-password-file", "nats-creds")
	return cmd
}

// answer decides one question and says so.
func (h *server) answer(ctx context.Context, b client.Before) client.Verdict {
	v := client.Allow()
	switch {
	case h.refuse != "":
		v = client.Refuse(h.refuse)
	case h.command != "":
		v = h.ask(ctx, b)
	}
	outcome := "allowed"
	if !v.Allow {
		outcome = "refused: " + v.Reason
	}
	note := ""
	if b.DryRun {
		note = " (a trial)"
	}
	h.sayf("%s %s %s%s  %s", b.Asks, b.Event.Topic, b.Event.Subject, note, outcome)
	return v
}

// ask lets the command decide. What is no decision panics, which ServeHook answers
// with an error at once: then the hook's policy counts, not this program's guess.
func (h *server) ask(ctx context.Context, b client.Before) client.Verdict {
	cmd := exec.CommandContext(ctx, "sh", "-c", h.command)
	cmd.Stdin = bytes.NewReader(b.Event.AppendJSON(nil))
	cmd.Stderr = h.std.err
	cmd.Env = append(os.Environ(), "BELFRY_EVENT_ID="+b.Event.ID, "BELFRY_ASKS="+b.Asks)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	reason, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	var exit *exec.ExitError
	switch {
	case err == nil:
		return client.Verdict{Allow: true, Reason: reason}
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return client.Refuse(reason)
	}
	h.sayf("%s %s %s  no answer: the command ended with %s", b.Asks, b.Event.Topic, b.Event.Subject, err)
	panic(err)
}

func (h *server) sayf(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, _ = fmt.Fprintf(h.std.out, format+"\n", args...)
}
