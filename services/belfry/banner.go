package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/process"
)

// banner is what a person sees when everything is up.
type banner struct {
	process.Addresses
	config process.Config
	parts  []string // that run here
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
	b.examples(line, os.Args[0])
}

// examples are what to try, of the services that run here: copied as they are, each
// does what its line says.
func (b banner) examples(line func(string, ...any), me string) {
	call := b.urlFlag() + b.dataDirFlag()
	line("\nThings to try, in another terminal:\n")
	if b.runs("gateway") {
		line("  # a window, beside the page above; and what it shows, published over HTTP")
		line("  TOKEN=$(%s token --user %s --tenant %s%s)", me, demoUser, demoTenant, b.dataDirFlag())
		line("  curl -N -H \"Authorization: Bearer $TOKEN\" '%s/v1/sse?topic=invoices' &", b.HTTP)
		line("  curl %s/v1/events -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/cloudevents+json' \\", b.HTTP)
		line(`    -d '{"specversion":"1.0","id":"'$RANDOM'","source":"/curl","type":"invoices.created","data":{"total":12}}'` + "\n")
	}
	line("  # over NATS, with any client:  nats pub evt.%s.invoices.created '{\"total\":12}'", demoTenant)
	line("  %s publish invoices.created '{\"total\":12}' --tenant %s%s\n", me, demoTenant, b.natsFlag())
	if b.runs("mailbox") {
		line("  # a mailbox: keeps every invoice from now on for a partner, until it is confirmed")
		line("  %[1]s mailbox register crm%[2]s && %[1]s mailbox subscribe crm invoices%[2]s; %[1]s mailbox poll crm --confirm%[2]s\n", me, call)
	}
	if b.runs("scheduler") {
		line("  # the clock: an invoice every ten seconds, until \"schedule delete tick\"")
		line("  %s schedule add tick --every 10s --publish invoices.created%s\n", me, call)
	}
}

func (b banner) runs(part string) bool { return slices.Contains(b.parts, part) }

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

// dataDirFlag, urlFlag and natsFlag are what other commands need to find this process, if
// it is not where they look by themselves.
func (b banner) dataDirFlag() string {
	if b.config.DataDir == process.Default().DataDir {
		return ""
	}
	return " --data-dir " + b.config.DataDir
}

func (b banner) urlFlag() string {
	if b.config.HTTP == process.Default().HTTP {
		return ""
	}
	return " --url " + b.HTTP
}

func (b banner) natsFlag() string {
	if b.NATS == "nats://"+process.Default().NATS.Addr {
		return ""
	}
	return " --nats-url " + b.NATS
}
