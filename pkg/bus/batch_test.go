package bus_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

func batch(n int) (msgs []*nats.Msg) {
	for i := range n {
		msgs = append(msgs, &nats.Msg{Subject: fmt.Sprintf("evt.AA.invoices.v%d", i), Header: nats.Header{"ce-id": {fmt.Sprint(i)}}, Data: []byte("{}")})
	}
	return msgs
}

func last(t *testing.T, b *bus.Bus) uint64 {
	t.Helper()
	l, err := topology.EventsState(t.Context(), b.NC)
	if err != nil {
		t.Fatal(err)
	}
	return l.Last
}

func TestBatchIsStoredInARow(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t).Bus()
	for _, n := range []int{1, 2, bus.MaxBatch} {
		before := last(t, b)
		msgs := batch(n)
		ack, err := b.PublishBatch(t.Context(), msgs)
		if err != nil {
			t.Fatalf("%d: %v", n, err)
		}
		want := bus.BatchAck{Stream: topology.Events, Seq: before + uint64(n), Count: n}
		if d := cmp.Diff(want, ack); d != "" || ack.First() != before+1 || last(t, b) != want.Seq {
			t.Fatalf("%d: last %d, %s", n, last(t, b), d)
		}
		if d := cmp.Diff(batch(n), msgs, cmp.AllowUnexported(nats.Msg{})); d != "" {
			t.Fatalf("the caller's messages were changed: %s", d)
		}
	}
}

func TestBatchIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t).Bus()
	first := batch(1)
	first[0].Header.Set(nats.MsgIdHdr, "AA/x/1")
	if _, err := b.PublishBatch(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	stale := batch(3)
	stale[2].Subject = first[0].Subject
	stale[2].Header.Set("Nats-Expected-Last-Subject-Sequence", "0")
	repeated := batch(3)
	repeated[1].Header.Set(nats.MsgIdHdr, "AA/x/1")
	large := batch(2)
	large[1].Data = bytes.Repeat([]byte("x"), topology.DefaultMaxEventBytes+topology.HeaderRoom)
	huge := batch(2)
	huge[0].Data = bytes.Repeat([]byte("x"), 2*topology.DefaultMaxEventBytes)
	elsewhere := batch(2)
	elsewhere[1].Subject = "dead.x.y"
	nowhere := batch(1)
	nowhere[0].Subject = "nobody.listens"
	for name, c := range map[string]struct {
		msgs []*nats.Msg
		is   error
		code fault.Code
	}{
		"expectation":   {stale, bus.ErrExpectation, fault.Conflict},
		"duplicate":     {repeated, bus.ErrDuplicate, fault.Conflict},
		"large":         {large, fault.EventTooLarge.Err(), fault.EventTooLarge},
		"huge":          {huge, nats.ErrMaxPayload, fault.EventTooLarge},
		"other stream":  {elsewhere, fault.Unavailable.Err(), fault.Unavailable},
		"no stream":     {nowhere, nats.ErrNoResponders, fault.Unavailable},
		"empty":         {nil, fault.InvalidRequest.Err(), fault.InvalidRequest},
		"above maximum": {batch(bus.MaxBatch + 1), fault.InvalidRequest.Err(), fault.InvalidRequest},
	} {
		_, err := b.PublishBatch(t.Context(), c.msgs)
		if !errors.Is(err, c.is) || fault.CodeOf(err) != c.code {
			t.Errorf("%s: %v (%s)", name, err, fault.CodeOf(err))
		}
		if n := last(t, b); n != 1 {
			t.Errorf("%s: stored up to %d", name, n)
		}
	}
}

// One publisher must not be able to empty the log.
func TestRollupIsRefused(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	app := bustest.Connect(t, s.URL())
	for _, rollup := range []string{"", "all", "sub"} {
		m := &nats.Msg{Subject: "evt.AA.invoices.created", Data: []byte("{}"), Header: nats.Header{}}
		if rollup != "" {
			m.Header.Set("Nats-Rollup", rollup)
		}
		if _, err := app.RequestMsg(m, wait); err != nil {
			t.Fatal(err)
		}
	}
	l, err := topology.EventsState(t.Context(), s.Bus().NC)
	if err != nil || l.First != 1 || l.Last != 1 {
		t.Fatalf("%+v, %v", l, err)
	}
}
