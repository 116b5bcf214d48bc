package process_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
)

// What NATS refuses is told by /readyz and in the log, with part, code and
// sentence; the process stays, and goes on once it is corrected.
func TestStaysAndSaysWhatNATSRefuses(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	for name, row := range map[string]struct {
		wrong func(*process.Config)
		part  string
		code  fault.Code
		says  string
		right func(t *testing.T, c process.Config) // nil: nobody corrects it
	}{
		"url": {
			wrong: func(c *process.Config) { c.NATS.URL = "nats://127.0.0.1:1" },
			part:  "bus", code: fault.Unavailable, says: "no NATS server answers at nats://127.0.0.1:1",
		},
		"password": {
			wrong: func(c *process.Config) {}, // the file holds another
			part:  "bus", code: fault.InvalidConfig, says: "refuses these credentials",
			right: func(t *testing.T, c process.Config) {
				t.Helper()
				if err := os.WriteFile(c.NATS.PasswordFile, []byte(server.Node().ServicePassword()), 0o600); err != nil {
					t.Error(err)
				}
			},
		},
		"replicas": {
			wrong: func(c *process.Config) {
				c.NATS.PasswordFile, c.NATS.Password, c.NATS.Replicas = "", server.Node().ServicePassword(), 3
			},
			part: "topology", code: fault.InvalidConfig, says: "a single NATS server cannot keep more than one",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			c.Admin = bustest.FreeAddrs(t, 1)[0]
			c.NATS.URL, c.NATS.User = server.URL(), embed.ServiceUser
			c.NATS.PasswordFile = filepath.Join(t.TempDir(), "password")
			if err := os.WriteFile(c.NATS.PasswordFile, []byte(strings.Repeat("x", 20)), 0o600); err != nil {
				t.Fatal(err)
			}
			row.wrong(&c)
			logged := make(chan slog.Record, 16)
			p, err := process.New(process.Options{Name: "test", Config: c, Log: slog.New(hook{func(r slog.Record) {
				if r.Message == "not ready, trying again" {
					logged <- r
				}
			}})})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			defer func() {
				stop()
				if err := <-done; err != nil {
					t.Errorf("the end: %v", err)
				}
			}()

			select {
			case r := <-logged:
				said := ""
				r.Attrs(func(a slog.Attr) bool { said += a.String() + " "; return true })
				for _, want := range []string{"part=" + row.part, "code=" + string(row.code), row.says} {
					if !strings.Contains(said, want) {
						t.Errorf("logged %q, without %q", said, want)
					}
				}
			case err := <-done:
				done <- err
				t.Fatalf("it ended: %v", err)
			case <-time.After(time.Minute):
				t.Fatal("nothing was logged")
			}
			status, state := readiness(t, "http://"+c.Admin)
			if code := codeOf(state, row.part); status != http.StatusServiceUnavailable || code != row.code {
				t.Errorf("readyz: %d %+v", status, state)
			}
			said := false
			for _, s := range state.Parts {
				said = said || s.Name == row.part && strings.Contains(s.Message, row.says)
				if s.Code == fault.StreamLost {
					t.Errorf("%s: what was never there is not lost: %s", s.Name, s.Message)
				}
			}
			if !said {
				t.Errorf("readyz does not say %q: %+v", row.says, state)
			}
			if status, body := get(t, "http://"+c.Admin+"/healthz"); status != http.StatusOK {
				t.Errorf("healthz, which would have it restarted: %d %s", status, body)
			}
			if row.right == nil {
				return
			}
			row.right(t, c)
			select {
			case <-p.Ready():
			case err := <-done:
				done <- err
				t.Fatalf("it ended: %v", err)
			case <-time.After(time.Minute):
				t.Error("corrected, and not ready")
			}
		})
	}
}
