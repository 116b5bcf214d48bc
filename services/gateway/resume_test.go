package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// withAndWithoutMemory runs a test with the recent window as it is set by default,
// with one that is too small for the test's events, and with none.
func withAndWithoutMemory(t *testing.T, test func(t *testing.T, memory worldOption)) {
	t.Helper()
	t.Parallel()
	for name, bytes := range map[string]int{"all in memory": Default().RecentBytes, "some in memory": 64 << 10, "nothing in memory": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, configure(func(c *Config) { c.RecentBytes = bytes }))
		})
	}
}

// GW2: clients that are cut again and again, at any moment, while events flow,
// see every event once and in order.
func TestGW2ResumeSeam(t *testing.T) {
	withAndWithoutMemory(t, func(t *testing.T, memory worldOption) {
		t.Helper()
		const events, clients = 2000, 6
		w := newWorld(t, memory)
		start := w.open(w.token()).ask(`{"subscribe":{"topic":"invoices"}}`).Subscribed.Cursor

		var group sync.WaitGroup
		group.Go(func() {
			for i := range events {
				topic := [...]string{"invoices", "orders"}[i%2] // every other event is not wanted
				if _, err := w.nats.Bus().JS.PublishAsync("evt.AA."+topic+".created", fmt.Appendf(nil, "%d", i)); err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		})
		for n := range clients {
			group.Go(func() {
				random := rand.New(rand.NewPCG(uint64(n), 1))
				cursor, next := start, 0
				for next < events {
					c := w.open(w.token())
					f := c.ask(`{"id":"r","resume":{"cursor":"` + cursor + `","subscriptions":[{"topic":"invoices"}]}}`)
					if f.Resumed == nil {
						t.Errorf("resume from %s: %+v", cursor, f.Error)
						return
					}
					for cut := random.IntN(300); cut >= 0 && next < events; cut-- {
						f, err := c.read()
						if int(websocket.CloseStatus(err)) == fault.FeedLost.CloseCode() {
							break // the log was too busy to answer in time: as any client would
						}
						if err != nil || f.Event == nil {
							t.Errorf("client %d: %+v, %v", n, f, err)
							return
						}
						if got, want := string(f.Event.Data), fmt.Sprint(next); got != want {
							t.Errorf("client %d got event %s, want %s", n, got, want)
							return
						}
						if f.Cursor <= cursor {
							t.Errorf("cursor %s is not above %s", f.Cursor, cursor)
						}
						cursor, next = f.Cursor, next+2
					}
					_ = c.ws.CloseNow()
				}
			})
		}
		group.Wait()
	})
}

// GW2: a catch-up that lags so far behind the live feed that what is held back
// does not fit reads the log again, and still misses nothing.
func TestGW2HeldOverflow(t *testing.T) {
	withAndWithoutMemory(t, func(t *testing.T, memory worldOption) {
		t.Helper()
		const events = 400
		w := newWorld(t, memory, configure(func(c *Config) { c.QueueBytes = 64 << 10 }))
		first := w.open(w.token())
		cursor := first.ask(`{"subscribe":{"topic":"none"}}`).Subscribed.Cursor
		big := `"` + strings.Repeat("x", 8<<10) + `"`
		for range events / 2 {
			w.publish("evt.AA.invoices.created", big)
		}
		resumed := func(cursor string) *window {
			c := w.open(w.token())
			if f := c.ask(`{"resume":{"cursor":"` + cursor + `","subscriptions":[{"topic":"invoices"}]}}`); f.Resumed == nil {
				t.Fatalf("%+v", f)
			}
			return c
		}
		c := resumed(cursor)
		var live sync.WaitGroup
		defer live.Wait()
		live.Go(func() { // while the client reads its catch-up
			for range events / 2 {
				if _, err := w.nats.Bus().JS.PublishAsync("evt.AA.invoices.created", []byte(big)); err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		})
		want, err := event.ParseCursor(cursor)
		if err != nil {
			t.Fatal(err)
		}
		for got := 0; got < events; {
			f, err := c.read()
			if int(websocket.CloseStatus(err)) == fault.SlowConsumer.CloseCode() {
				c = resumed(want.String()) // live, but slower than this burst: as any client would
				continue
			}
			if want.Seq++; err != nil || f.Cursor != want.String() {
				t.Fatalf("got %s, want %s: %v", f.Cursor, want, err)
			}
			got++
		}
		w.nothing(c)
	})
}

// GW2: what cannot be told exactly is gone.
func TestGW2Gone(t *testing.T) {
	withAndWithoutMemory(t, func(t *testing.T, memory worldOption) {
		t.Helper()
		w := newWorld(t, memory)
		var last uint64
		for range 5 {
			last = w.publish("evt.AA.invoices.created", `{}`)
		}
		stream, err := w.nats.Bus().JS.Stream(t.Context(), "EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := w.open(w.token())
		at := func(epoch string, seq uint64) string { return event.Cursor{Epoch: epoch, Seq: seq}.String() }
		epoch := w.s.cursor(0).Epoch
		for cursor, want := range map[string]bool{
			at("zzzzzzzz", last): false,
			at(epoch, last+1):    false,
			at(epoch, last-1):    false,
			at(epoch, last):      true,
		} {
			f := c.ask(`{"resume":{"cursor":"` + cursor + `","subscriptions":[{}]}}`)
			if ok := f.Resumed != nil; ok != want {
				t.Errorf("%s: %+v %+v", cursor, f.Resumed, f.Error)
			}
			if !want && f.Error.Code != string(fault.CursorGone) {
				t.Errorf("%s: %+v", cursor, f.Error)
			}
		}
	})
}

// GW3: what the live feed dropped is read from the log before anything newer is
// passed on.
func TestGW3HoleInTheFeed(t *testing.T) {
	withAndWithoutMemory(t, func(t *testing.T, memory worldOption) {
		t.Helper()
		w := newWorld(t, memory, configure(func(c *Config) { c.CheckEvery = time.Hour })) // only the mismatch may tell
		c := w.open(w.token())
		c.ask(`{"subscribe":{}}`)
		w.publish("evt.AA.invoices.created", `0`)
		c.event()
		w.deaf(func() {
			for i := 1; i < 10; i++ {
				w.publish("evt.AA.invoices.created", fmt.Sprint(i))
			}
		})
		w.publish("evt.AA.invoices.created", `10`)
		w.publish("evt.AA.invoices.created", `11`)
		for i := 1; i < 12; i++ {
			if f := c.event(); string(f.Event.Data) != fmt.Sprint(i) {
				t.Fatalf("got %s, want %d", f.Event.Data, i)
			}
		}
	})
}

// GW3: a hole with nothing behind it is found by the comparison with the log.
func TestGW3HoleAtTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.CheckEvery = 100 * time.Millisecond }))
	c := w.open(w.token())
	c.ask(`{"subscribe":{}}`)
	w.deaf(func() { w.publish("evt.AA.invoices.created", `1`) })
	if f := c.event(); string(f.Event.Data) != "1" {
		t.Errorf("got %s", f.Event.Data)
	}
}

// deaf takes the gateway's interest in tenant AA away while f runs: what NATS
// would do to a slow or disconnected client.
func (w *world) deaf(f func()) {
	w.t.Helper()
	feed := w.s.feed
	tenant := func() *tenantFeed {
		w.s.hub.mu.Lock()
		defer w.s.hub.mu.Unlock()
		return w.s.hub.tenants["AA"]
	}()
	if err := tenant.sub.Unsubscribe(); err != nil {
		w.t.Fatal(err)
	}
	f()
	sub, err := feed.nc.ChanSubscribe("live.evt.AA.>", feed.live)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := feed.nc.Flush(); err != nil {
		w.t.Fatal(err)
	}
	w.s.hub.mu.Lock()
	tenant.sub = sub
	w.s.hub.mu.Unlock()
}

// GW3: the position of a quiet tenant follows the log, so that its cursors do not
// fall out of the window.
func TestGW3QuietTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.CheckEvery = time.Hour }))
	c := w.open(w.token())
	c.ask(`{"subscribe":{}}`)
	last := w.publish("evt.BB.invoices.created", `{}`)
	if err := w.s.feed.check(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.nothing(c)
	if got, want := c.ask(`{"subscribe":{"topic":"x"}}`).Subscribed.Cursor, w.s.cursor(last).String(); got < want {
		t.Errorf("the cursor %s is below %s", got, want)
	}
}

// A log that was made anew sends everybody away, to come back and learn it.
func TestEpochChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.CheckEvery = 100 * time.Millisecond }))
	c := w.open(w.token())
	cursor := c.ask(`{"subscribe":{}}`).Subscribed.Cursor
	js := w.nats.Bus().JS
	stream, err := js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.Metadata = map[string]string{"belfry_epoch": "newepoch"}
	if err := js.DeleteStream(t.Context(), "EVENTS"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if code, _ := c.closed(); int(code) != fault.EpochMismatch.CloseCode() {
		t.Errorf("closed with %d", code)
	}
	back := w.open(w.token())
	if f := back.ask(`{"resume":{"cursor":"` + cursor + `","subscriptions":[{}]}}`); f.Error == nil || f.Error.Code != string(fault.CursorGone) {
		t.Errorf("%+v", f)
	}
	back.ask(`{"subscribe":{}}`)
	w.publish("evt.AA.invoices.created", `{}`)
	if f := back.event(); !strings.HasPrefix(f.Cursor, "newepoch-") {
		t.Errorf("cursor %s", f.Cursor)
	}
}

// GW4: a client that does not read is closed with a code that says resume, a
// metric has moved before, and nobody else waits for it.
func TestGW4SlowClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, configure(func(c *Config) { c.QueueBytes = 256 << 10; c.WriteTimeout = unhurried }))
	slow, quick := w.open(w.token()), w.open(w.token())
	slow.ask(`{"subscribe":{}}`)
	cursor := quick.ask(`{"subscribe":{}}`).Subscribed.Cursor
	big := `"` + strings.Repeat("x", 60<<10) + `"`
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n := 0
	for ; counter(w.s.stats.cuts.WithLabelValues("AA")) == 0 && ctx.Err() == nil; n++ {
		w.publish("evt.AA.invoices.created", big)
		quick.event() // as ever
	}
	if counter(w.s.stats.near) == 0 {
		t.Error("nothing moved before the cut")
	}
	// The socket was full, so the goodbye may not have come through; resuming does.
	back := w.open(w.token())
	back.ask(`{"resume":{"cursor":"` + cursor + `","subscriptions":[{}]}}`)
	for range n {
		back.event()
	}
	w.nothing(back)
}

// SSE cursors between two forms of one event.
func TestParseCursor(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		seq   uint64
		parts int
		code  fault.Code
	}{
		"abcdefgh-000000000000000a":     {10, 0, ""},
		"abcdefgh-000000000000000a+02":  {9, 2, ""},
		"abcdefgh-000000000000000a+":    {0, 0, fault.InvalidCursor},
		"abcdefgh-000000000000000a+0":   {0, 0, fault.InvalidCursor},
		"abcdefgh-0000000000000000+1":   {0, 0, fault.InvalidCursor},
		"abcdefgh-000000000000000a+x":   {0, 0, fault.InvalidCursor},
		"abcdefgh-000000000000000a+1+1": {0, 0, fault.InvalidCursor},
		"+1":                            {0, 0, fault.InvalidCursor},
	} {
		c, parts, err := parseCursor(text)
		if err != nil {
			c, parts = event.Cursor{}, 0
		}
		if d := cmp.Diff([]any{want.seq, want.parts, want.code}, []any{c.Seq, parts, fault.CodeOf(err)}); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}
