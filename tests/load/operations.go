package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
	"github.com/belfry-events/belfry/services/objectevent"
)

// asked is the rate that object events must keep up with, per second.
const asked = 12_000

// measureOperations works off a full queue of operations, beside raw batches of the
// same receipts and events that nobody reads, decides or acknowledges; and lets
// operations come at the rate asked for, and looks how long each takes.
func measureOperations(ctx context.Context, p plan) (_ []figure, err error) {
	c, err := startCluster(ctx, p, 1, func(o topology.Options) topology.Spec {
		return topology.Platform(o).And(objectevent.Topology(o))
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.stop(ctx)) }()
	var figures []figure
	for _, kind := range []struct {
		op             string
		events, perSec int // of one operation; and how many a second, about
	}{{"insert", 1, 15_000}, {"update", 1, 15_000}, {"trash", 2, 5_000}} {
		n := int(p.length.Seconds() * float64(kind.perSec))
		var ours, reference, cost, rawCost []float64
		for round := range p.rounds {
			id := func(i int) string { return fmt.Sprintf("%s-%d-%d", kind.op, round, i) }
			if err := c.report(ctx, kind.op, n, id); err != nil {
				return nil, err
			}
			rate, batches, each, err := c.decide(ctx, p, n, kind.events)
			if err != nil {
				return nil, err
			}
			ours, cost = append(ours, rate), append(cost, micros(each.service+each.nats))
			before := c.spent(nil)
			if rate, err = c.rawDecisions(ctx, n, kind.events, batches, "raw-"+id(0)); err != nil {
				return nil, err
			}
			each = c.spent(nil).plus(before, -1).by(n)
			reference, rawCost = append(reference, rate), append(rawCost, micros(each.partners+each.nats))
		}
		figures = append(figures, numbers(fmt.Sprintf("operations, R1, %s, operations/s", kind.op), "%.0f", ours, reference),
			numbers(fmt.Sprintf("operations, R1, %s, CPU µs each, with NATS", kind.op), "%.0f", cost, rawCost))
	}
	paced, err := c.paced(ctx, p)
	return append(figures, paced...), err
}

// operation is one as a source system sends it.
func operation(op, id string, object int) *nats.Msg {
	return &nats.Msg{Subject: "op.AA.orders." + op + "." + strconv.Itoa(object), Header: nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {id}, "ce-source": {"/load"}, "ce-type": {"orders." + op}, "ce-senderuser": {"anna"},
		"ce-objectversion": {"7"}, "ce-dataschema": {"urn:belfry:change:v1"}, "ce-datacontenttype": {"application/json"},
	}, Data: []byte(`{"old":{"number":"2026-0041","total":12.5},"new":{"number":"2026-0042","total":18.5}}`)}
}

// report fills the queue. Every operation has an object of its own.
func (c *cluster) report(ctx context.Context, op string, n int, id func(int) string) error {
	return fill(ctx, c.bus, n, func(i int) *nats.Msg {
		m := operation(op, id(i), i)
		m.Subject += "-" + id(0)
		return m
	})
}

// decide starts the service on a full queue, and answers the rate from its first to
// its last event, by the log's own clock, how many batches it took, and what each cost;
// that the service starts is in it.
func (c *cluster) decide(ctx context.Context, p plan, n, events int) (rate float64, batches int, each effort, err error) {
	before, err := c.events(ctx)
	if err != nil {
		return 0, 0, each, err
	}
	idle := c.spent(nil)
	service, err := startService(ctx, p, c, "objectevent")
	if err != nil {
		return 0, 0, each, err
	}
	defer func() {
		_, stopped := service.stop()
		err = errors.Join(err, stopped)
	}()
	if err := c.empty(ctx); err != nil {
		return 0, 0, each, err
	}
	each = c.spent(service).plus(idle, -1).by(n)
	log, err := c.bus.JS.Stream(ctx, topology.Events)
	if err != nil {
		return 0, 0, each, err
	}
	first, err := log.GetMsg(ctx, before+1, jetstream.WithGetMsgSubject(subject.Events))
	if err != nil {
		return 0, 0, each, err
	}
	last, err := log.GetLastMsgForSubject(ctx, subject.Events)
	if err != nil {
		return 0, 0, each, err
	}
	after, err := c.events(ctx)
	// Every batch has a cursor, and each of eight take-overs one more.
	batches = int(after-before) - n*(events+1) - subject.Partitions
	return float64(n) / last.Time.Sub(first.Time).Seconds(), max(batches, subject.Partitions), each, err
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// events is the log's last sequence.
func (c *cluster) events(ctx context.Context) (uint64, error) {
	s, err := c.bus.JS.Stream(ctx, topology.Events)
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().State.LastSeq, nil
}

// empty waits until the queue is.
func (c *cluster) empty(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		s, err := c.bus.JS.Stream(ctx, objectevent.Operations)
		switch {
		case err != nil:
			return err
		case s.CachedInfo().State.Msgs == 0:
			return nil
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // polling another process
	}
}

// rawDecisions writes as many receipts, events and cursors in as many batches, by
// eight writers at once, and does nothing else.
func (c *cluster) rawDecisions(ctx context.Context, n, events, batches int, id string) (float64, error) {
	perBatch := (n + batches - 1) / batches
	var writers sync.WaitGroup
	errs := make(chan error, subject.Partitions)
	began := time.Now()
	for w := range subject.Partitions {
		writers.Go(func() { errs <- c.rawWriter(ctx, w, n/subject.Partitions, events, perBatch, id) })
	}
	writers.Wait()
	took := time.Since(began)
	for range subject.Partitions {
		if err := <-errs; err != nil {
			return 0, err
		}
	}
	return float64(n) / took.Seconds(), nil
}

func (c *cluster) rawWriter(ctx context.Context, w, n, events, perBatch int, id string) error {
	revision, sent := uint64(0), operation("insert", "", 0)
	sent.Header["ce-topic"], sent.Header["ce-verb"], sent.Header["ce-tenant"] = []string{"orders"}, []string{"created"}, []string{"AA"}
	for done := 0; done < n; {
		var msgs []*nats.Msg
		for k := 0; k < perBatch && done < n && len(msgs)+events+2 <= bus.MaxBatch; k++ {
			done++
			msgs = append(msgs, &nats.Msg{
				Subject: fmt.Sprintf("ctl.op.AA.%s-%d-%d", id, w, done), Data: make([]byte, 100),
				Header: nats.Header{"Nats-Expected-Last-Subject-Sequence": {"0"}},
			})
			for range events {
				msgs = append(msgs, &nats.Msg{Subject: "evt.AA.raw.created", Header: sent.Header, Data: sent.Data})
			}
		}
		cursor := &nats.Msg{Subject: fmt.Sprintf("ctl.raw.%s.%d", id, w), Data: make([]byte, 200), Header: nats.Header{
			"Nats-Expected-Last-Subject-Sequence": {strconv.FormatUint(revision, 10)},
		}}
		ack, err := c.bus.PublishBatch(ctx, append(msgs, cursor))
		if err != nil {
			return err
		}
		revision = ack.Seq
	}
	return nil
}
