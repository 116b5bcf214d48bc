package embed_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// plain is a nats-server that knows nothing of Belfry but a file.
type plain struct {
	t   *testing.T
	url string
	bus *bus.Bus
	key nkeys.KeyPair // of user "keyed"
}

// password of a user of plain.
func password(name string) string { return "password-of-" + name }

// plainServer runs one with the users of the table below.
func plainServer(t *testing.T) *plain {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	users := []embed.User{
		{Name: embed.ServiceUser, Role: embed.RoleService},
		{Name: "billing", Role: embed.RolePublisher, Tenants: []string{"AA", "A.1"}},
		{Name: "rival", Role: embed.RolePublisher, Tenants: []string{"BB"}},
		{Name: "erp", Role: embed.RolePublisher, Tenants: []string{embed.AllTenants}},
		{Name: "dash", Role: embed.RoleReader, Tenants: []string{"AA"}},
		{Name: "audit", Role: embed.RoleReader, Tenants: []string{embed.AllTenants}},
		{Name: "guard", Role: embed.RoleHook, Tenants: []string{"AA"}},
		{Name: "second", Role: embed.RoleHook, Tenants: []string{"AA"}},
		{Name: "spy", Role: embed.RoleHook, Tenants: []string{"BB"}},
		{Name: "keyed", Role: embed.RolePublisher, Tenants: []string{"AA"}, NKey: public},
	}
	for i, u := range users {
		if u.NKey != "" {
			continue
		}
		if users[i].Password, err = embed.HashPassword(password(u.Name)); err != nil {
			t.Fatal(err)
		}
	}
	host, port, err := net.SplitHostPort(bustest.FreeAddrs(t, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	o := embed.Options{DataDir: t.TempDir(), Host: host}
	if o.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	text, err := embed.File(o, users)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "password-of-") {
		t.Error("a password is in the file")
	}
	file := filepath.Join(t.TempDir(), "server.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(timeout) {
		t.Fatal("the server does not start")
	}
	p := &plain{t: t, url: s.ClientURL(), key: key}
	p.bus, err = bus.Connect(t.Context(), bus.Options{Config: bus.Config{URL: p.url, User: embed.ServiceUser, Password: password(embed.ServiceUser)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.bus.Close(t.Context()) }) // cancelled by then: it is cut
	if _, err := topology.Ensure(t.Context(), p.bus.JS, topology.Platform(topology.Options{Replicas: 1}), topology.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	return p
}

// as connects a user the way its page of the documentation says.
func (p *plain) as(name string) *nats.Conn {
	p.t.Helper()
	login := nats.UserInfo(name, password(name))
	if name == "keyed" {
		public, err := p.key.PublicKey()
		if err != nil {
			p.t.Fatal(err)
		}
		login = nats.Nkey(public, p.key.Sign)
	}
	return bustest.Connect(p.t, p.url, login, nats.NoReconnect())
}

func TestPlainServerRefuses(t *testing.T) {
	t.Parallel()
	p := plainServer(t)
	everybody := []string{
		"live.evt.AA.invoices.created", "ctl.op.AA.x", "mbx.a", "dead.relay.x", "clock._.Noon", "presence.AA.anna", "hook.AA.x", "rt._.all",
		"$KV.belfry_topology.EVENTS", "_INBOX.x", "_INBOX_SERVICE.x", "_R_.x", "other",
		"$JS.API.INFO", "$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.STREAM.MSG.GET.EVENTS", "$JS.API.STREAM.PURGE.EVENTS",
		"$JS.API.CONSUMER.CREATE.EVENTS", "$JS.API.CONSUMER.CREATE.EVENTS.x", "$JS.API.DIRECT.GET.DEADLETTERS", "$JS.API.STREAM.INFO.DEADLETTERS",
		"$JS.ACK.EVENTS.x.1.1.1.1.1", "$SYS.REQ.SERVER.PING", "$SRV.PING",
	}
	logged := []string{"$JS.API.DIRECT.GET.EVENTS", "$JS.API.STREAM.INFO.EVENTS"}
	otherTenants := []string{"evt.BB.invoices.created", "op.BB.invoices.insert.1", "rt.BB.u.anna", "evt.AA=2E1.x.y", "evt.*.x.y", "evt.>"}
	feeds := []string{">", "*.>", "evt.>", "ctl.>", "op.>", "rt.>", "rt.AA.u.anna", "svc.>", "hook.>", "mbx.>", "dead.>", "$JS.>", "$SYS.>", "_INBOX_SERVICE.>", "_INBOX_*.>", "_R_.>"}
	for _, u := range []struct {
		name             string
		publish, listen  []string
		mayPublish, hear []string
	}{
		{
			"billing", append(slices.Clone(logged), otherTenants...), append([]string{"live.>", "live.evt.AA.>", "clock.>"}, feeds...),
			[]string{"evt.AA.invoices.created", "evt.A=2E1.invoices.created", "op.AA.invoices.insert.1", "rt.AA.u.anna", "svc.gateway.Publish"},
			nil,
		},
		{"keyed", append(slices.Clone(logged), otherTenants...), feeds, []string{"evt.AA.invoices.created"}, nil},
		{"erp", []string{"$JS.API.DIRECT.GET.EVENTS"}, feeds, []string{"evt.BB.x.created", "rt.AA.all", "$JS.API.STREAM.INFO.EVENTS"}, nil},
		{
			"dash", append([]string{"evt.AA.invoices.created", "op.AA.x.insert.1", "rt.AA.u.anna", "$JS.API.DIRECT.GET.EVENTS.evt.BB.x.y", "$JS.API.DIRECT.GET.EVENTS.ctl.x"}, append(logged, otherTenants...)...),
			append([]string{"live.>", "live.evt.BB.>", "live.evt.*.x.y", "clock.>", "clock.BB.>", "presence.>", "presence.BB.x"}, feeds...),
			[]string{"svc.gateway.ReadEvents", "$JS.API.DIRECT.GET.EVENTS.evt.AA.x.y"},
			[]string{"live.evt.AA.>", "live.evt.AA.invoices.*", "clock._.>", "clock.AA.>", "presence.AA.*"},
		},
		{"audit", []string{"evt.AA.invoices.created", "op.AA.x.insert.1"}, feeds, logged, []string{"live.>", "clock.>", "presence.>"}},
	} {
		try := func(verb, subj string, may bool, do func(*nats.Conn) error) {
			c := p.as(u.name)
			if err := do(c); err != nil {
				t.Fatal(err)
			}
			if refused(t, c) == may {
				t.Errorf("%s: %s %s: allowed is %t", u.name, verb, subj, !may)
			}
			c.Close()
		}
		for may, subjects := range map[bool][]string{false: append(slices.Clone(everybody), u.publish...), true: u.mayPublish} {
			for _, subj := range subjects {
				if subj == "rt._.all" && u.name == "erp" {
					continue // every tenant, and all of them at once
				}
				try("publish", subj, may, func(c *nats.Conn) error { return c.Publish(subj, nil) })
			}
		}
		for may, subjects := range map[bool][]string{false: u.listen, true: u.hear} {
			for _, subj := range subjects {
				try("subscribe", subj, may, func(c *nats.Conn) error { _, err := c.SubscribeSync(subj); return err })
			}
		}
	}
	for name, login := range map[string]nats.Option{
		"nobody":         nats.Name("nobody"),
		"wrong password": nats.UserInfo("billing", password("dash")),
		"the hash":       nats.UserInfo("billing", "$2a$04$"),
		"app":            nats.UserInfo(embed.AppUser, ""),
	} {
		if c, err := nats.Connect(p.url, login); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s got in: %v", name, err)
			c.Close()
		}
	}
}

// What they are there for works: publish and be answered, listen, read the log.
func TestPlainServerServes(t *testing.T) {
	t.Parallel()
	p := plainServer(t)
	dash, audit := p.as("dash"), p.as("audit")
	heard := map[*nats.Conn]chan *nats.Msg{dash: make(chan *nats.Msg, 8), audit: make(chan *nats.Msg, 8)}
	for c, subj := range map[*nats.Conn]string{dash: "live.evt.AA.>", audit: "live.>"} {
		if _, err := c.ChanSubscribe(subj, heard[c]); err != nil || c.Flush() != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"rival", "billing", "keyed", "erp"} {
		tenant := map[bool]string{true: "BB", false: "AA"}[name == "rival"]
		js, err := p.as(name).JetStream()
		if err != nil {
			t.Fatal(err)
		}
		ack, err := js.Publish("evt."+tenant+".invoices.created", []byte(`{}`))
		if err != nil || ack.Sequence != uint64(i+1) {
			t.Fatalf("%s: %+v, %v", name, ack, err)
		}
	}
	for c, want := range map[*nats.Conn][]string{dash: {"2", "3", "4"}, audit: {"1", "2", "3", "4"}} {
		for _, seq := range want {
			select {
			case m := <-heard[c]:
				if got := m.Header.Get("Nats-Sequence"); got != seq {
					t.Errorf("heard %s, want %s", got, seq)
				}
			case <-t.Context().Done():
				t.Fatal("nothing heard")
			}
		}
	}
	m, err := dash.Request("$JS.API.DIRECT.GET.EVENTS.evt.AA.invoices.created", nil, timeout)
	if err != nil || m.Header.Get("Nats-Sequence") != "4" {
		t.Errorf("the last of a subject: %v, %v", m, err)
	}
	// The address is of one's own tenant, the body asks for another's.
	for _, body := range []string{`{"seq":1}`, `{"last_by_subj":"evt.BB.invoices.created"}`, `{"multi_last":["evt.BB.>"]}`, `{"seq":1,"next_by_subj":"evt.BB.>"}`} {
		m, err := dash.Request("$JS.API.DIRECT.GET.EVENTS.evt.AA.invoices.created", []byte(body), timeout)
		if err != nil || m.Header.Get("Status") != "408" {
			t.Errorf("%s: %v, %v", body, m, err)
		}
	}
	ours, err := client.Connect(t.Context(), p.url, client.Options{Source: "/erp", User: "erp", Password: password("erp")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Publish(t.Context(), event.Event{Tenant: "AA", Topic: "x", Verb: "created"}); err != nil {
		t.Error(err)
	}
	if err := ours.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if s, err := topology.EventsState(t.Context(), audit); err != nil || s.Last != 5 {
		t.Errorf("%+v, %v", s, err)
	}
}

// Answers are asked onto places where others would believe them: another's
// inbox, the live feed, a control record. They come to nobody but who asked.
func TestPlainServerKeepsAnswersApart(t *testing.T) {
	t.Parallel()
	p := plainServer(t)
	billing, rival := p.as("billing"), p.as("rival")
	if _, err := p.bus.NC.Subscribe("svc.echo.Echo", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		t.Fatal(err)
	}
	heard := make(chan *nats.Msg, 64)
	hear := func(c *nats.Conn, subjects ...string) {
		t.Helper()
		for _, subj := range subjects {
			if _, err := c.ChanSubscribe(subj, heard); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Flush(); err != nil || c.LastError() != nil {
			t.Fatal(err, c.LastError())
		}
	}
	hear(p.bus.NC, "ctl.>", "live.>", "dead.>", "$JS.API.STREAM.DELETE.*", "_INBOX.x", "_INBOX_SERVICE.x", "evt.AA.>")
	hear(p.as("dash"), "live.evt.AA.>", "_INBOX.>")
	hear(p.as("audit"), "live.>", "_INBOX.>")
	hear(billing, "_INBOX.>")

	for _, answer := range []string{
		"ctl.forged", "live.evt.AA.invoices.forged", "dead.x.y", "$JS.API.STREAM.DELETE.EVENTS",
		"_INBOX.x", "_INBOX_SERVICE.x", "evt.AA.invoices.forged",
	} {
		if err := rival.PublishRequest("svc.echo.Echo", answer, []byte("forged")); err != nil {
			t.Fatal(err)
		}
	}
	// The last of rival's requests is answered after those before it.
	if m, err := rival.Request("svc.echo.Echo", []byte("mine"), timeout); err != nil || string(m.Data) != "mine" {
		t.Fatalf("%v, %v", m, err)
	}
	for _, c := range []*nats.Conn{p.bus.NC, billing} {
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := topology.EventsState(t.Context(), p.bus.NC); err != nil || s.Last != 0 {
		t.Errorf("the log: %+v, %v", s, err)
	}
	select {
	case m := <-heard:
		t.Errorf("%s: %q of rival was taken for somebody else's", m.Subject, m.Data)
	default:
	}
}

func TestUsersAreChecked(t *testing.T) {
	t.Parallel()
	good := embed.User{Name: "x", Role: embed.RoleReader, Tenants: []string{"AA"}, Password: "p"}
	for name, change := range map[string]func(*embed.User){
		"no name":          func(u *embed.User) { u.Name = "" },
		"a wildcard":       func(u *embed.User) { u.Name = "*" },
		"a path":           func(u *embed.User) { u.Name = "../x" },
		"the app":          func(u *embed.User) { u.Name = embed.AppUser },
		"no role":          func(u *embed.User) { u.Role = "" },
		"no tenant":        func(u *embed.User) { u.Tenants = nil },
		"an empty tenant":  func(u *embed.User) { u.Tenants = []string{""} },
		"all and one":      func(u *embed.User) { u.Tenants = []string{"AA", embed.AllTenants} },
		"no password":      func(u *embed.User) { u.Password = "" },
		"password and key": func(u *embed.User) { u.NKey = "U" },
		"no public key":    func(u *embed.User) { u.Password, u.NKey = "", "SUAB" },
	} {
		u := good
		change(&u)
		if _, err := embed.Accounts([]embed.User{u}, ""); fault.CodeOf(err).Kind() != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := embed.Accounts([]embed.User{good, good}, ""); err == nil {
		t.Error("two users of one name")
	}
}
