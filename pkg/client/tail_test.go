package client

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// follower runs a Tail and hands over what it yields.
type follower struct {
	items chan Item
	err   chan error
	stop  context.CancelFunc
}

func follow(ctx context.Context, c *Client, o TailOptions) *follower {
	ctx, stop := context.WithCancel(ctx)
	f := &follower{make(chan Item), make(chan error, 1), stop}
	go func() {
		for it, err := range c.Tail(ctx, o) {
			if err != nil {
				f.err <- err
				return
			}
			select {
			case f.items <- it:
			case <-ctx.Done():
			}
		}
	}()
	return f
}

// next fails the test when the tail ends or brings nothing before ctx ends.
func (f *follower) next(ctx context.Context, t testing.TB) Item {
	t.Helper()
	select {
	case it := <-f.items:
		return it
	case err := <-f.err:
		t.Fatalf("tail ended: %v", err)
	case <-ctx.Done():
		t.Fatalf("nothing came")
	}
	return Item{}
}

// want reads n events and compares them, one for one, with ids e<from>….
func (f *follower) want(ctx context.Context, t testing.TB, from, n int) (last event.Cursor) {
	t.Helper()
	for i := from; i < from+n; i++ {
		it := f.next(ctx, t)
		if it.Event.ID != fmt.Sprintf("e%d", i) || it.Cursor.String() <= last.String() {
			t.Fatalf("got %s at %v after %v, want e%d", it.Event.ID, it.Cursor, last, i)
		}
		last = it.Cursor
	}
	return last
}

// publish may be called on any goroutine.
func publish(ctx context.Context, t testing.TB, c *Client, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		if _, err := c.PublishAsync(ctx, invoice(i)); err != nil {
			t.Errorf("publish e%d: %v", i, err)
			return
		}
	}
	if err := c.Flush(ctx); err != nil {
		t.Errorf("flush: %v", err)
	}
}

// The seam between the log and the live feed, while somebody publishes.
func TestTailSeam(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	ctx := limited(t, patience)
	c := connect(t, s.URL(), Options{})
	reader := connect(t, s.URL(), Options{})
	const n = 4_000
	publish(ctx, t, c, 0, n/4)
	published := make(chan struct{})
	go func() {
		defer close(published)
		publish(ctx, t, c, n/4, n-n/4)
	}()
	f := follow(ctx, reader, TailOptions{FromStart: true, Tenants: []string{"AA"}})
	middle := f.want(ctx, t, 0, n/2)
	f.stop()
	// Another reader goes on where the first was left, while events still come.
	f = follow(ctx, reader, TailOptions{After: middle})
	f.want(ctx, t, n/2, n/2)
	<-published
	publish(ctx, t, c, n, 1)
	f.want(ctx, t, n, 1)
	f.stop()
}

func TestTailFromNow(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	ctx := limited(t, patience)
	c := connect(t, s.URL(), Options{})
	publish(ctx, t, c, 0, 10)
	r, err := c.Publish(ctx, invoice(10))
	if err != nil {
		t.Fatal(err)
	}
	f := follow(ctx, c, TailOptions{After: r.Cursor})
	publish(ctx, t, c, 11, 1)
	f.want(ctx, t, 11, 1)
	f.stop()
}

// Filters, among other tenants' events, control records, spellings, and what
// raw publishers send, with headers that look like the server's.
func TestTailFilters(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	ctx := limited(t, patience)
	c := connect(t, s.URL(), Options{})
	raw := func(subj, data string, h nats.Header) {
		t.Helper()
		nc := s.Bus().NC
		if err := nc.PublishMsg(&nats.Msg{Subject: subj, Data: []byte(data), Header: h}); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	send := func(n int) {
		t.Helper()
		raw("evt.BB.invoices.created", `{"of":"another tenant"}`, nil)
		raw("ctl.test", `{"a":"control record"}`, nil)
		raw("evt.AA.INVOICES.Created", `{"n":1}`, nats.Header{"Nats-Sequence": {"999999"}, "ce-id": {"x"}})
		raw("evt.AA.invoices.deleted", `{"an":"other verb"}`, nil)
		raw("evt.AA.orders.created", `{"an":"other topic"}`, nil)
		publish(ctx, t, c, n, 1)
	}
	send(0)
	o := TailOptions{FromStart: true, Tenants: []string{"AA"}, Topics: []string{"Invoices"}, Verbs: []string{"created"}}
	one := follow(ctx, c, o)
	o.Tenants = []string{"AA", "CC"} // several tenants: filtered here instead of by the server
	several := follow(ctx, c, o)
	for n := range 20 {
		if n > 0 {
			send(n)
		}
		for _, f := range []*follower{one, several} {
			if it := f.next(ctx, t); it.Event.Topic != "INVOICES" || it.Cursor.Seq != uint64(n*6+3) {
				t.Fatalf("got %+v at %v", it.Event, it.Cursor)
			}
			f.want(ctx, t, n, 1)
		}
	}
	one.stop()
	several.stop()
}

// A loop slower than the publishers: the feed's buffer overflows, is dropped,
// and nothing is lost.
func TestTailOverflow(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	ctx := limited(t, patience)
	c := connect(t, s.URL(), Options{})
	f := follow(ctx, c, TailOptions{FromStart: true})
	publish(ctx, t, c, 0, 1)
	f.want(ctx, t, 0, 1)
	const n = feedEvents*2 + 100
	publish(ctx, t, c, 1, n) // the loop waits with e1 in its hand
	f.want(ctx, t, 1, n)
	f.stop()
}

// What the feed does not bring at all is read when the leader's position shows
// it: here the feed is cut.
func TestTailWithoutFeed(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	ctx := limited(t, patience)
	c := connect(t, s.URL(), Options{})
	tl := &tail{c: c}
	got := make(chan Item)
	tl.yield = func(it Item, _ error) bool {
		got <- it
		return it.Event.ID != "e9"
	}
	if err := tl.open(ctx, TailOptions{}); err != nil {
		t.Fatal(err)
	}
	tl.feed.close()
	ended := make(chan error, 1)
	go func() { ended <- tl.run(ctx) }()
	publish(ctx, t, c, 0, 10)
	for i := range 10 {
		if it := <-got; it.Event.ID != fmt.Sprintf("e%d", i) {
			t.Fatalf("got %s, want e%d", it.Event.ID, i)
		}
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	tl.close()
}

// What the feed loses in the middle, as an election does without a sign, comes
// from the log before anything newer passes.
func TestTailHole(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	ctx := limited(t, patience)
	c := connect(t, s.URL(), Options{})
	var got []string
	tl := &tail{c: c, yield: func(it Item, _ error) bool {
		got = append(got, it.Event.ID)
		return true
	}}
	if err := tl.open(ctx, TailOptions{}); err != nil {
		t.Fatal(err)
	}
	defer tl.close()
	tl.feed.close() // from here on, the feed is what the test makes of it
	live, err := c.nc.SubscribeSync(subject.LiveEvents)
	if err != nil {
		t.Fatal(err)
	}
	publish(ctx, t, c, 0, 10)
	for i := range 10 {
		m, err := live.NextMsgWithContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if i != 0 && i != 5 && i != 6 {
			tl.feed.push(m)
		}
	}
	if err := tl.follow(ctx); err != nil {
		t.Fatal(err)
	}
	if want := []string{"e0", "e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestTailGone(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	ctx := limited(t, patience)
	c := connect(t, s.URL(), Options{})
	publish(ctx, t, c, 0, 10)
	state, err := c.reader.State(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := s.Bus().JS.Stream(ctx, topology.Events)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 5; seq++ {
		if err := stream.DeleteMsg(ctx, seq); err != nil {
			t.Fatal(err)
		}
	}
	at := func(epoch string, seq uint64) event.Cursor { return event.Cursor{Epoch: epoch, Seq: seq} }
	for name, tc := range map[string]struct {
		o    TailOptions
		want fault.Code
	}{
		"another log":  {TailOptions{After: at("aaaaaaaa", 7)}, fault.CursorGone},
		"not yet":      {TailOptions{After: at(state.Epoch, 11)}, fault.CursorGone},
		"expired":      {TailOptions{After: at(state.Epoch, 4)}, fault.CursorGone},
		"both":         {TailOptions{After: at(state.Epoch, 7), FromStart: true}, fault.InvalidRequest},
		"wrong tenant": {TailOptions{Tenants: []string{subject.Platform}}, fault.InvalidName},
		"last kept":    {TailOptions{After: at(state.Epoch, 5)}, ""},
		"the end":      {TailOptions{After: at(state.Epoch, 10)}, ""},
	} {
		within := patience
		if tc.want == "" {
			within = 400 * time.Millisecond // nothing comes, and that is all
		}
		ctx, stop := context.WithTimeout(ctx, within)
		for _, err := range c.Tail(ctx, tc.o) {
			if tc.want == "" && (err == nil || ctx.Err() != nil) {
				break
			}
			if fault.CodeOf(err) != tc.want {
				t.Errorf("%s: %v, want %s", name, err, tc.want)
			}
		}
		stop()
	}
}

func TestTailEndsWithClient(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	ctx := limited(t, patience)
	c := connect(t, s.URL(), Options{})
	f := follow(ctx, c, TailOptions{FromStart: true})
	publish(ctx, t, c, 0, 1)
	f.want(ctx, t, 0, 1)
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-f.err; fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("the tail of a closed client: %v", err)
	}
	if _, err := c.Publish(ctx, invoice(1)); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("publish on a closed client: %v", err)
	}
	f.stop()
}
