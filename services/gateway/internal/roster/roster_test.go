package roster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
)

// site is some gateways on one NATS server, and what they announce.
type site struct {
	t      *testing.T
	server *bustest.Server
	grace  time.Duration

	mu   sync.Mutex
	told []string
}

func newSite(t *testing.T) *site {
	s := &site{t: t, server: bustest.Start(t, bustest.InProcess()), grace: 2 * time.Second}
	sub, err := s.server.Bus().NC.Subscribe("presence.>", func(m *nats.Msg) {
		e := event.Decode(m.Subject, m.Header, m.Data, event.Stored{})
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = append(s.told, e.Type[len("presence."):]+" "+e.Tenant+"/"+e.Subject)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	return s
}

// heard is what has been announced since the last call, sorted.
func (s *site) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := s.told
	s.told = nil
	slices.Sort(told)
	return told
}

// gateway is a running roster; kill ends it without a goodbye, stop with one.
type gateway struct {
	*Roster
	kill, stop func()
}

func (s *site) gateway(id string) *gateway {
	s.t.Helper()
	return s.on(s.server.Bus().NC, id)
}

func (s *site) on(nc *nats.Conn, id string) *gateway {
	r := New(Options{NC: nc, Gateway: id, Grace: s.grace, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.Run(ctx); err != nil {
			s.t.Errorf("run: %v", err)
		}
	}()
	stop := sync.OnceFunc(func() { cancel(); <-ended })
	s.t.Cleanup(stop)
	return &gateway{r, func() {
		nc.Close() // first, so that nobody hears a goodbye
		stop()
	}, stop}
}

// pass lets time go by in the bubble.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // in a bubble
	synctest.Wait()
}

var (
	anna = Person{"AA", "anna"}
	eva  = Person{"AA", "e.v*a>"}
)

func (s *site) expect(what string, want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.heard()); diff != "" {
		s.t.Errorf("%s: announced (-want +got)\n%s", what, diff)
	}
}

func (g *gateway) expect(t *testing.T, what string, p Person, connections, gateways int) {
	t.Helper()
	a := g.Get(p)
	if a.Online != (connections > 0) || a.Connections != connections || a.Gateways != gateways {
		t.Errorf("%s: %s sees %v as %+v, want %d connections on %d gateways", what, g.me.id, p, a, connections, gateways)
	}
}

func TestRT7EveryGatewaySeesEverybody(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		s := newSite(t)
		a, b := s.gateway("a"), s.gateway("b")
		pass(time.Second)
		a.Enter(anna)
		a.Enter(anna)
		pass(100 * time.Millisecond)
		b.Enter(anna)
		b.Enter(eva)
		pass(100 * time.Millisecond)
		for _, g := range []*gateway{a, b} {
			g.expect(t, "all here", anna, 3, 2)
			g.expect(t, "all here", eva, 1, 1)
			if n := g.Gateways(Person{Tenant: "AA"}); n != 2 {
				t.Errorf("somebody of AA is at %d gateways", n)
			}
			if n := g.Gateways(Person{Tenant: "BB"}); n != 0 {
				t.Errorf("somebody of BB is at %d gateways", n)
			}
		}
		if a.Get(anna).Since != b.Get(anna).Since.Truncate(time.Millisecond) && a.Get(anna).Since.Sub(b.Get(anna).Since).Abs() > time.Millisecond {
			t.Errorf("anna is online since %v and %v", a.Get(anna).Since, b.Get(anna).Since)
		}
		s.expect("once each, by one of two", "online AA/anna", "online AA/e.v*a>")

		late := s.gateway("c")
		pass(time.Second)
		late.expect(t, "a newcomer", anna, 3, 2)
		s.expect("a newcomer announces nobody again")
	})
}

func TestRT7AReloadDoesNotFlap(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		s := newSite(t)
		a, b := s.gateway("a"), s.gateway("b")
		pass(time.Second)
		a.Enter(anna)
		pass(time.Second)
		since := a.Get(anna).Since
		a.Leave(anna)
		pass(time.Second)
		if p := b.Get(anna); !p.Online || p.Connections != 0 || p.Gateways != 0 {
			t.Errorf("in her grace anna is %+v", p)
		}
		b.Enter(anna) // the page came back elsewhere
		pass(5 * time.Second)
		a.expect(t, "after the reload", anna, 1, 1)
		if got := b.Get(anna).Since; got.Sub(since).Abs() > time.Millisecond {
			t.Errorf("online since %v, was %v", got, since)
		}
		s.expect("no flapping", "online AA/anna")

		b.Leave(anna)
		pass(s.grace - 10*time.Millisecond)
		s.expect("still in the grace")
		pass(beat)
		s.expect("once, not by every gateway", "offline AA/anna")
		a.expect(t, "gone", anna, 0, 0)
	})
}

func TestRT7ADeadGatewaysUsersAreOfflineWithinFiveSeconds(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		s := newSite(t)
		a, b := s.gateway("a"), s.gateway("b")
		other := s.onItsOwn("x")
		pass(time.Second)
		for i := range 50 {
			other.Enter(Person{"AA", fmt.Sprint("u", i)})
		}
		other.Enter(anna)
		a.Enter(anna)
		pass(time.Second)
		if got := s.heard(); len(got) != 51 {
			t.Fatalf("announced %d persons: %v", len(got), got)
		}
		other.kill()
		died := time.Now()
		// Who comes while nobody knows of the death is announced all the same,
		// whoever's business it was.
		for i := range 30 {
			a.Enter(Person{"AA", fmt.Sprint("new", i)})
		}
		for b.Get(Person{"AA", "u7"}).Online || a.Get(Person{"AA", "u7"}).Online {
			pass(50 * time.Millisecond)
			if time.Since(died) > 5*time.Second {
				t.Fatal("after 5 s the dead gateway's users are online")
			}
		}
		a.expect(t, "of two gateways one is left", anna, 1, 1)
		pass(time.Second)
		got := s.heard()
		online, offline := 0, 0
		for _, line := range slices.Compact(slices.Clone(got)) {
			if line[:2] == "on" {
				online++
			} else {
				offline++
			}
		}
		if online != 30 || offline != 50 || len(got) != 80 {
			t.Errorf("announced %d coming, %d going, %d in all; want 30, 50, 80", online, offline, len(got))
		}
	})
}

func TestRT7AGatewayThatStopsSaysGoodbye(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		s := newSite(t)
		a, b := s.gateway("a"), s.gateway("b")
		pass(time.Second)
		a.Enter(anna)
		a.Enter(eva)
		pass(time.Second)
		s.heard()
		a.stop()
		pass(50 * time.Millisecond)
		if p := b.Get(anna); p.Connections != 0 || !p.Online || b.Peers() != 0 {
			t.Errorf("after the goodbye: %+v, %d peers", p, b.Peers())
		}
		b.Enter(anna) // she resumes there
		pass(s.grace + time.Second)
		s.expect("only who did not come back", "offline AA/e.v*a>")
	})
}

func TestRT7WhoIsOnlineIsListedByName(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		s := newSite(t)
		a, b := s.gateway("a"), s.gateway("b")
		pass(time.Second)
		const n = 10_000 // several messages
		for i := range n {
			a.Enter(Person{"AA", fmt.Sprintf("user-with-a-long-name-%06d", i)})
		}
		late := s.gateway("c") // gets an answer of several parts
		pass(2 * time.Second)
		for _, g := range []*gateway{a, b, late} {
			seen, after := 0, ""
			for {
				page, total, more := g.List("AA", after, 999)
				if total != n {
					t.Fatalf("%s: %d are online", g.me.id, total)
				}
				for _, p := range page {
					if p.User <= after || p.Connections != 1 {
						t.Fatalf("%s: %+v after %q", g.me.id, p, after)
					}
					after = p.User
				}
				seen += len(page)
				if !more {
					break
				}
			}
			if seen != n {
				t.Errorf("%s lists %d", g.me.id, seen)
			}
		}
		if page, total, more := a.List("BB", "", 10); len(page)+total > 0 || more {
			t.Error("somebody is online in BB")
		}
	})
}

// onItsOwn is a gateway with a connection of its own, which can be cut.
func (s *site) onItsOwn(id string) *gateway {
	s.t.Helper()
	nc := s.server.Connect().NC
	return s.on(nc, id)
}
