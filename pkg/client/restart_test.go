package client

import (
	"fmt"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// What is published while the server is away is kept, in order, when it is back.
func TestPublishThroughRestart(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	c := connect(t, s.URL(), Options{AckWait: time.Second})
	ctx := limited(t, patience)
	const n = 2000
	for i := range n {
		if i == n/2 {
			s.Restart()
		}
		if _, err := c.PublishAsync(ctx, invoice(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	i := 0
	for it, err := range c.Tail(ctx, TailOptions{FromStart: true}) {
		if err != nil || it.Event.ID != fmt.Sprintf("e%d", i) {
			t.Fatalf("event %d is %q, %v", i, it.Event.ID, err)
		}
		if i++; i == n {
			break
		}
	}
}

// A tail and a publisher both live through a restart of the server.
func TestTailThroughRestart(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	ctx := limited(t, patience)
	writer, reader := connect(t, s.URL(), Options{}), connect(t, s.URL(), Options{})
	f := follow(ctx, reader, TailOptions{FromStart: true, Tenants: []string{"AA"}})
	publish(ctx, t, writer, 0, 100)
	f.want(ctx, t, 0, 100)
	for round := 1; round <= 3; round++ {
		published := make(chan struct{})
		go func() {
			defer close(published)
			publish(ctx, t, writer, round*100, 100)
		}()
		s.Restart()
		f.want(ctx, t, round*100, 100)
		<-published
	}
	f.stop()
}

// Elections, a node that dies and one that comes back, while events are
// published: each arrives once, at every reader, in the log's order. Replicas
// that lag serve the pages.
func TestTailOnCluster(t *testing.T) {
	t.Parallel()
	s := bustest.Cluster(t, 3)
	ctx := limited(t, patience)
	writer := connect(t, s.URL(), Options{AckWait: time.Second})
	const step = 1500
	var followers []*follower
	for i := range 3 {
		// Each reader begins at another node.
		reader := connect(t, s.NodeURL(i)+","+s.URL(), Options{})
		followers = append(followers, follow(ctx, reader, TailOptions{FromStart: true, Tenants: []string{"AA"}}))
	}
	trouble := []func(){
		func() {},
		func() { // the leader steps down
			if _, err := s.Bus().NC.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+topology.Events, nil); err != nil {
				t.Error(err)
			}
		},
		func() { s.KillNode(1) },
		func() { s.StartNode(1) },
		func() { s.KillNode(2) },
	}
	for i, happen := range trouble {
		published := make(chan struct{})
		go func() {
			defer close(published)
			publish(ctx, t, writer, i*step, step)
		}()
		happen()
		<-published
	}
	var order []string // as the first reader gets them
	for i, f := range followers {
		seen := map[string]bool{}
		var last event.Cursor
		for n := range len(trouble) * step {
			it := f.next(ctx, t)
			if seen[it.Event.ID] || it.Cursor.String() <= last.String() {
				t.Fatalf("reader %d: %s at %v after %v, seen before: %v", i, it.Event.ID, it.Cursor, last, seen[it.Event.ID])
			}
			seen[it.Event.ID], last = true, it.Cursor
			if i == 0 {
				order = append(order, it.Event.ID)
			} else if order[n] != it.Event.ID {
				t.Fatalf("reader %d: event %d is %s, reader 0 got %s", i, n, it.Event.ID, order[n])
			}
		}
		f.stop()
	}
}

// A log that is replaced under a running tail is another log, even if its
// sequences reach as far.
func TestTailOfReplacedLog(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	ctx := limited(t, patience)
	c := connect(t, s.URL(), Options{})
	f := follow(ctx, c, TailOptions{FromStart: true})
	publish(ctx, t, c, 0, 5)
	f.want(ctx, t, 0, 5)
	if err := s.Bus().JS.DeleteStream(ctx, topology.Events); err != nil {
		t.Fatal(err)
	}
	o := s.Topology()
	o.RecreateLost = true
	if _, err := topology.Ensure(ctx, s.Bus().JS, topology.Platform(o), o); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-f.err:
		if fault.CodeOf(err) != fault.CursorGone {
			t.Fatalf("the tail ended with %v, want cursor_gone", err)
		}
	case <-ctx.Done():
		t.Fatal("the tail did not notice")
	}
	f.stop()
}
