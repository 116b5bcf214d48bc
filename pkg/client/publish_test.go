package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	c := connect(t, s.URL(), Options{Source: "/billing"})
	ctx := limited(t, patience)

	first, err := c.Publish(ctx, event.Event{Tenant: "AA", Topic: "Invoices", Verb: "created", Data: []byte(`{}`)})
	if err != nil || first.ID == "" || first.Cursor.Seq != 1 || first.Duplicate {
		t.Fatalf("first: %+v, %v", first, err)
	}
	second, err := c.Publish(ctx, invoice(2))
	if err != nil || second.Cursor.String() <= first.Cursor.String() || second.ID != "e2" {
		t.Fatalf("second: %+v, %v", second, err)
	}
	again, err := c.Publish(ctx, invoice(2))
	if err != nil || !again.Duplicate || again.Cursor != second.Cursor {
		t.Fatalf("the same event again: %+v, %v; want a duplicate at %v", again, err, second.Cursor)
	}
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	c := connect(t, s.URL(), Options{})
	big := bytes.Repeat([]byte("x"), int(c.nc.MaxPayload())+1)
	for name, tc := range map[string]struct {
		event event.Event
		want  fault.Code
	}{
		"no topic":       {event.Event{Type: "x", Tenant: "AA", Verb: "created"}, fault.InvalidTopic},
		"wildcard topic": {event.Event{Tenant: "AA", Topic: "*", Verb: "created"}, fault.InvalidTopic},
		"no tenant":      {event.Event{Topic: "invoices", Verb: "created"}, fault.InvalidName},
		"too large":      {event.Event{Tenant: "AA", Topic: "a", Verb: "b", Data: big, DataContentType: "text/plain"}, fault.EventTooLarge},
		"broken JSON":    {event.Event{Tenant: "AA", Topic: "a", Verb: "b", Data: []byte("{")}, fault.InvalidEvent},
	} {
		if _, err := c.Publish(limited(t, patience), tc.event); fault.CodeOf(err) != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	state, err := c.reader.State(t.Context())
	if err != nil || state.Last != 0 {
		t.Fatalf("%d events kept, %v; want none", state.Last, err)
	}
}

func TestPublishAsync(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	const n = 5000
	c := connect(t, s.URL(), Options{MaxPending: 64})
	ctx := limited(t, patience)
	acks := make([]*Ack, n)
	for i := range acks {
		var err error
		if acks[i], err = c.PublishAsync(ctx, invoice(i)); err != nil {
			t.Fatal(err)
		}
		if waiting := len(c.box.pending()); waiting > 64 {
			t.Fatalf("%d events unacknowledged, the bound is 64", waiting)
		}
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for i, a := range acks {
		<-a.Done()
		if r, err := a.Receipt(); err != nil || r.Cursor.Seq != uint64(i+1) || r.ID != fmt.Sprintf("e%d", i) {
			t.Fatalf("event %d: %+v, %v; want sequence %d", i, r, err, i+1)
		}
	}
}

// A full window waits for the caller's context and no longer.
func TestPublishAsyncFull(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	for name, o := range map[string]Options{
		"by count": {MaxPending: 4},
		"by bytes": {MaxPendingBytes: 1024},
	} {
		c := connect(t, s.URL(), o)
		c.box.stall(time.Hour) // as if the log did not answer
		var err error
		n := 0
		ctx, stop := context.WithTimeout(t.Context(), time.Second) // it ends the wait for room
		for ; err == nil && n < 100; n++ {
			_, err = c.PublishAsync(ctx, invoice(n))
		}
		stop()
		c.box.mu.Lock()
		c.box.resumeAt = time.Time{} // it answers again
		c.box.mu.Unlock()
		c.box.wake()
		if err := c.Flush(limited(t, patience)); err != nil {
			t.Errorf("%s: flush: %v", name, err)
		}
		if fault.CodeOf(err) != fault.Unavailable || !errors.Is(err, context.DeadlineExceeded) || n < 2 || n > 6 {
			t.Errorf("%s: after %d events: %v", name, n, err)
		}
	}
}

func TestConnectRefuses(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	for name, tc := range map[string]struct {
		url  string
		o    Options
		want fault.Code
	}{
		"nobody there":   {"nats://127.0.0.1:1", Options{}, fault.Unavailable},
		"wrong password": {s.URL(), Options{User: "service", Password: "wrong"}, fault.TokenInvalid},
		"give up":        {s.URL(), Options{GiveUp: time.Hour}, fault.InvalidConfig},
	} {
		if _, err := Connect(limited(t, patience), tc.url, tc.o); fault.CodeOf(err) != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	bare := bustest.Start(t, bustest.Bare())
	if _, err := Connect(limited(t, patience), bare.URL(), Options{}); fault.CodeOf(err).Kind() != fault.Down {
		t.Errorf("without the log: %v", err)
	}
}

// The client needs no permission that strangers do not have: reading with it
// works in the other tests, and the rest stays closed.
func TestAppUser(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	c := connect(t, s.URL(), Options{})
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	if _, err := c.nc.RequestWithContext(ctx, "$JS.API.CONSUMER.CREATE.EVENTS.x", []byte(`{}`)); err == nil {
		t.Error("a stranger may create a consumer")
	}
}

// Flush tells of a failure that nobody looked at, once.
func TestFlush(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	c := connect(t, s.URL(), Options{GiveUp: time.Millisecond})
	c.box.stall(time.Hour)
	ctx := limited(t, patience)
	a, err := c.PublishAsync(ctx, invoice(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Wait(ctx); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("the event waited: %v", err)
	}
	if err := c.Flush(ctx); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("flush after a failure: %v", err)
	}
	if _, err := c.Publish(ctx, invoice(2)); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("publish: %v", err)
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatalf("flush again: %v", err)
	}
}

func TestParseAck(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]pubAck{
		`{"stream":"EVENTS","seq":12}`:                            {12, false},
		`{"stream":"EVENTS","seq":12,"duplicate": true}`:          {12, true},
		`{"stream":"EVENTS","domain":"hub","seq":7}`:              {7, false},
		`{"stream":"EVENTS","seq":18446744073709551615}`:          {1<<64 - 1, false},
		`{"type":"x","stream":"EVENTS","seq":3,"duplicate":true}`: {3, true},
	} {
		if got, err := parseAck(&nats.Msg{Data: []byte(in)}); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for in, want := range map[string]fault.Code{
		`{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}}`:     fault.EventTooLarge,
		`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`: fault.Unavailable,
		`{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"}}`:       fault.Unavailable,
		`{"error":{"code":400,"err_code":10049,"description":"x"}}`:                                        fault.InvalidEvent,
		`{"error":{"code":500,"err_code":1,"description":"x"}}`:                                            fault.Internal,
		`{"stream":"OTHER","seq":1}`: fault.Internal,
		`no`:                         fault.Internal,
	} {
		if _, err := parseAck(&nats.Msg{Data: []byte(in)}); fault.CodeOf(err) != want {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}
