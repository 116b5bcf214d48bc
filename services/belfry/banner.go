package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/process"
)

// banner is what a person sees when everything is up.
type banner struct {
	process.Addresses
	config process.Config
	took   time.Duration
}

// Who the printed token is for. The tenant is the one the examples use.
const (
	demoUser   = "anna"
	demoTenant = "AA"
	demoTTL    = 24 * time.Hour
)

func (b banner) print(w io.Writer) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	line("Belfry is ready after %s. Ctrl-C stops it.\n", b.took.Round(time.Millisecond))
	line("  Open    %s", b.open())
	if b.NATS != "" {
		line("  NATS    %s", b.NATS)
	}
	if b.Admin != "" {
		line("  Admin   %s   /healthz /readyz /metrics /debug/pprof/", b.Admin)
	}
	if b.config.NATS.URL == "" {
		line("  Data    %s", b.config.DataDir)
	}
	me, dir := os.Args[0], b.dataDirFlag()
	line("\nThree things to try, in another terminal:\n")
	line("  TOKEN=$(%s token --user %s --tenant %s%s)\n", me, demoUser, demoTenant, dir)
	line("  # watch the events of a tenant")
	line("  curl -N -H \"Authorization: Bearer $TOKEN\" '%s/v1/sse?topic=invoices'\n", b.HTTP)
	line("  # publish over HTTP")
	line("  curl %s/v1/events -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/cloudevents+json' \\", b.HTTP)
	line(`    -d '{"specversion":"1.0","id":"'$RANDOM'","source":"/curl","type":"invoices.created","data":{"total":12}}'` + "\n")
	line("  # publish over NATS, with any client:  nats pub evt.%s.invoices.created '{\"total\":12}'", demoTenant)
	line("  %s publish invoices.created '{\"total\":12}' --tenant %s%s\n", me, demoTenant, b.natsFlag())
}

// open is the URL of the console. Its token is in the fragment, which browsers do
// not send anywhere. A process that others can reach prints none: its output may
// be kept where they can read it.
func (b banner) open() string {
	u, err := url.Parse(b.HTTP)
	if err != nil || !strings.HasPrefix(u.Hostname(), "127.") || !strings.HasPrefix(b.config.HTTP, u.Hostname()) {
		return b.HTTP + "/   (make a token with belfry token)"
	}
	tokens, err := b.config.Tokens()
	if err != nil {
		return b.HTTP + "/"
	}
	token, err := tokens.Sign(auth.Claims{Subject: demoUser, Tenants: []string{demoTenant}, Grants: auth.Everything(), TTL: demoTTL})
	if err != nil {
		return b.HTTP + "/"
	}
	return b.HTTP + "/#token=" + token
}

// dataDirFlag and natsFlag are what other commands need to find this process, if
// it is not where they look by themselves.
func (b banner) dataDirFlag() string {
	if b.config.DataDir == process.Default().DataDir {
		return ""
	}
	return " --data-dir " + b.config.DataDir
}

func (b banner) natsFlag() string {
	if b.NATS == "nats://"+process.Default().NATS.Addr {
		return ""
	}
	return " --nats-url " + b.NATS
}
