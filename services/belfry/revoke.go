package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/fault"
)

// revokeWithin bounds the whole command.
const revokeWithin = 5 * time.Second

func newRevoke(std stdio) *cobra.Command {
	s := newSettings()
	var r auth.Revocation
	var before string
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Take tokens back before their time",
		Long: `Take back one token, by its id (claim jti), or all of a user (claim sub) that were
issued until now. Every process refuses them from then on, token_revoked, and closes
the connections that were opened with them within a second. What is issued later is
good, from the next second on. A token that does not say when it was issued (claim
iat) counts as old.

It connects as a service: with the password in the data directory of "belfry run",
or with the credentials for nats.url. A revocation is kept for auth.max_life, the
longest that a token lives: use the settings of the platform.`,
		Example: `  belfry revoke --token-id MXQ4JTH3ZVYQ2X5W7K6A
  belfry revoke --user anna
  belfry revoke --user anna --tenant AA --before 2026-11-21T08:00:00Z`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if (r.TokenID == "") == (r.User == "") {
				return fault.New(fault.UsageError, "one of --token-id and --user is required: what is taken back?")
			}
			r.Before = time.Now()
			if before != "" {
				if r.TokenID != "" {
					return fault.New(fault.UsageError, "--before goes with --user")
				}
				if r.Before, err = time.Parse(time.RFC3339, before); err != nil {
					return fault.Wrap(fault.UsageError, err, "--before: %q is not like 2026-11-21T08:00:00Z", before)
				}
			}
			if _, _, err = s.load(cmd); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), revokeWithin)
			defer cancel()
			if err := s.revoke(ctx, r); err != nil {
				return err
			}
			_, err = fmt.Fprintln(std.out, revoked(r))
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&r.TokenID, "token-id", "", "id of the token")
	fs.StringVar(&r.User, "user", "", "whose tokens")
	fs.StringVar(&r.Tenant, "tenant", "", "only tokens of the user that may act for this tenant")
	fs.StringVar(&before, "before", "", "only tokens of the user issued before this `time` (default now)")
	s.flags(fs, "nats", "nats-url", "nats-user", "nats-password-file", "nats-creds", "data-dir")
	return cmd
}

func revoked(r auth.Revocation) string {
	switch {
	case r.TokenID != "":
		return "revoked token " + r.TokenID
	case r.Tenant != "":
		return fmt.Sprintf("revoked the tokens of %s for %s issued before %s", r.User, r.Tenant, r.Before.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("revoked the tokens of %s issued before %s", r.User, r.Before.UTC().Format(time.RFC3339))
}

func (s *settings) revoke(ctx context.Context, r auth.Revocation) error {
	nc, err := s.dialService()
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	return auth.Revoke(ctx, js, r, s.process.Auth.MaxLife)
}

// dialService connects with the rights of a service: the credentials that are
// set, else those that the embedded server keeps in the data directory.
func (s *settings) dialService() (*nats.Conn, error) {
	as := *s
	if n := &as.process.NATS; n.URL == "" && n.User == "" && n.CredsFile == "" {
		n.User = embed.ServiceUser
		if n.Password == "" && n.PasswordFile == "" {
			n.PasswordFile = filepath.Join(s.process.DataDir, embed.PasswordFile)
		}
	}
	url, err := natsURL(as.process.NATS)
	if err != nil {
		return nil, err
	}
	return as.dial(url)
}
