package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/fault"
)

// permissions are the users that a NATS server of the operator's own shall have.
type permissions struct {
	services, publishers, readers, hooks, nkeys []string
	out                                         string
}

func newPermissions(std stdio) *cobra.Command {
	s := newSettings()
	p := &permissions{}
	cmd := &cobra.Command{
		Use:   "nats-permissions",
		Short: "Write the configuration of a NATS server with users for everybody",
		Long: `Write a configuration for a plain nats-server in which everybody has a user:
Belfry's services, publishers, readers and hooks, each only for the tenants you name. It
has the limits Belfry needs, and the address, directory and certificates of the
settings. Nobody gets in without credentials.

Passwords are generated, and the configuration holds their bcrypt hashes. With
--out they are kept beside it, in <user>.password; those that are there already
are used again, so that users can be added later. Without --out the configuration
goes to the standard output and the passwords to the standard error, once.`,
		Example: `  belfry doctor nats-permissions --publisher billing:AA,BB --reader 'audit:*' --out nats/server.conf
  nats-server -c nats/server.conf`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, _, err := s.load(cmd); err != nil {
				return err
			}
			return p.run(s, std)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringArrayVar(&p.services, "service", []string{embed.ServiceUser}, "`name` of a user for Belfry's own processes; repeatable")
	fs.StringArrayVar(&p.publishers, "publisher", nil, "`name:tenant[,tenant]` of one who sends events; * = every tenant; repeatable")
	fs.StringArrayVar(&p.readers, "reader", nil, "`name:tenant[,tenant]` of one who listens; * = every tenant; repeatable")
	fs.StringArrayVar(&p.hooks, "hook", nil, "`name:tenant[,tenant]` of one who answers hooks; * = every tenant; repeatable")
	fs.StringArrayVar(&p.nkeys, "nkey", nil, "`name=U…`: the public nkey of one of these, instead of a password; repeatable")
	fs.StringVar(&p.out, "out", "", "`file` to write to, and passwords beside it; must not exist or be one of ours")
	s.flags(fs, "nats", "data-dir", "sync")
	return cmd
}

func (p *permissions) run(s *settings, std stdio) error {
	users, err := p.users()
	if err != nil {
		return err
	}
	passwords := map[string]string{}
	for i, u := range users {
		if u.NKey != "" {
			continue
		}
		if passwords[u.Name], err = p.password(u.Name); err != nil {
			return err
		}
		if users[i].Password, err = embed.HashPassword(passwords[u.Name]); err != nil {
			return err
		}
	}
	o, err := embedOptions(s.process, nil)
	if err != nil {
		return err
	}
	if o.NoListen || o.Port <= 0 {
		return fault.Field(fault.InvalidConfig, "nats.addr", "must name the address and port that the server shall have")
	}
	text, err := embed.File(o, users)
	if err != nil {
		return err
	}
	if p.out != "" {
		return p.write(text, passwords, std)
	}
	if _, err := fmt.Fprint(std.out, text); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	for _, u := range users {
		if u.NKey == "" {
			_, _ = fmt.Fprintf(std.err, "password of %s, shown this once: %s\n", u.Name, passwords[u.Name])
		}
	}
	return nil
}

// users reads the flags. Code usage, naming the flag.
func (p *permissions) users() (users []embed.User, err error) {
	seen := map[string]bool{}
	add := func(flag string, u embed.User) {
		if seen[u.Name] && err == nil {
			err = fault.New(fault.UsageError, "--%s %s: there is another user of this name", flag, u.Name)
		}
		seen[u.Name] = true
		users = append(users, u)
	}
	for _, name := range p.services {
		add("service", embed.User{Name: name, Role: embed.RoleService})
	}
	for _, list := range []struct {
		role  embed.Role
		items []string
	}{{embed.RolePublisher, p.publishers}, {embed.RoleReader, p.readers}, {embed.RoleHook, p.hooks}} {
		for _, item := range list.items {
			name, tenants, ok := strings.Cut(item, ":")
			if !ok || tenants == "" {
				return nil, fault.New(fault.UsageError, "--%s %q: must be <name>:<tenant>[,<tenant>], or <name>:* for every tenant", list.role, item)
			}
			add(string(list.role), embed.User{Name: name, Role: list.role, Tenants: strings.Split(tenants, ",")})
		}
	}
	for _, item := range p.nkeys {
		name, key, _ := strings.Cut(item, "=")
		found := false
		for i := range users {
			if users[i].Name == name && users[i].Role != embed.RoleService {
				users[i].NKey, found = key, true
			}
		}
		if !found {
			return nil, fault.New(fault.UsageError, "--nkey %q: must be <name>=<public key>, the name being that of a publisher, reader or hook", item)
		}
	}
	return users, err
}

// password is the one that is kept beside the configuration, or a new one.
func (p *permissions) password(name string) (string, error) {
	if p.out == "" {
		return rand.Text(), nil // 128 bits
	}
	b, err := os.ReadFile(p.passwordFile(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return rand.Text(), nil
	case err != nil:
		return "", fault.Wrap(fault.UsageError, err, "--out: %s", err)
	case len(b) < 16:
		return "", fault.New(fault.UsageError, "--out: %s holds no password", p.passwordFile(name))
	}
	return strings.TrimSpace(string(b)), nil
}

func (p *permissions) passwordFile(name string) string {
	return filepath.Join(filepath.Dir(p.out), filepath.Base(name)+".password")
}

// write puts everything into files that only their owner reads.
func (p *permissions) write(text string, passwords map[string]string, std stdio) error {
	fail := func(err error) error { return fault.Wrap(fault.UsageError, err, "--out: %s", err) }
	old, err := os.ReadFile(p.out)
	if first, _, _ := strings.Cut(text, "\n"); err == nil && !strings.HasPrefix(string(old), first) {
		return fault.New(fault.UsageError, "--out: %s exists, and is not one of ours", p.out)
	}
	if err := os.MkdirAll(filepath.Dir(p.out), 0o700); err != nil {
		return fail(err)
	}
	for name, password := range passwords {
		if err := os.WriteFile(p.passwordFile(name), []byte(password+"\n"), 0o600); err != nil {
			return fail(err)
		}
	}
	if err := os.WriteFile(p.out, []byte(text), 0o600); err != nil {
		return fail(err)
	}
	_, err = fmt.Fprintf(std.out, "%s, and the passwords of %d users beside it (<user>.password)\n", p.out, len(passwords))
	return err
}
