package chaos

import (
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"

	rpc "connectrpc.com/connect"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	platform "github.com/belfry-events/belfry/pkg/process"
)

// replica is one process of a service, which keeps its address over its lives.
type replica struct {
	*process
	url   string
	admin string // host:port
}

// startReplica runs one of Belfry's services on the cluster.
func (c *cluster) startReplica(name, service string, settings ...string) *replica {
	c.t.Helper()
	at := bustest.FreeAddrs(c.t, 2)
	r := &replica{url: "http://" + at[0], admin: at[1]}
	r.process = newProcess(c.t, name, c.dir, func() *exec.Cmd {
		return c.command(belfry, settings, "run", "--only", service, "--http", at[0], "--admin", at[1], "--replicas", "3",
			"--nats-url", c.url, "--nats-user", "service", "--nats-password-file", c.file, "--data-dir", c.dir, "--log-level", "warn")
	}, func(string) {})
	c.eventually(name+" is ready", func(ctx context.Context) bool {
		return exec.CommandContext(ctx, belfry, "check", "--admin", at[1]).Run() == nil
	})
	return r
}

// token is one for everything in tenant AA, and more, valid for as long as a test may
// be.
func (c *cluster) token(user string, more ...auth.Grant) string {
	c.t.Helper()
	secrets, err := auth.LoadOrCreateSecret(filepath.Join(c.dir, platform.SecretFile))
	if err != nil {
		c.t.Fatal(err)
	}
	tokens, err := auth.NewHS256(auth.HS256Options{Secrets: secrets})
	if err != nil {
		c.t.Fatal(err)
	}
	token, err := tokens.Sign(auth.Claims{Subject: user, Tenants: []string{"AA"}, Grants: append(auth.Everything(), more...), TTL: 3 * time.Hour})
	if err != nil {
		c.t.Fatal(err)
	}
	return token
}

// bearer adds a token to calls, and gives one up that nobody answers.
func bearer(token string) rpc.ClientOption {
	return rpc.WithInterceptors(rpc.UnaryInterceptorFunc(func(next rpc.UnaryFunc) rpc.UnaryFunc {
		return func(ctx context.Context, r rpc.AnyRequest) (rpc.AnyResponse, error) {
			r.Header().Set("Authorization", "Bearer "+token)
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return next(ctx, r)
		}
	}))
}

// httpClient is one that keeps no connection to a process that may be dead.
func httpClient(t interface{ Cleanup(func()) }) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
