package chaos

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	rpc "connectrpc.com/connect"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/topology"
	schedulerv1 "github.com/belfry-events/belfry/proto/belfry/scheduler/v1"
	"github.com/belfry-events/belfry/proto/belfry/scheduler/v1/schedulerv1connect"
)

// arm makes n schedules. Half of them fire everything that was missed, one by one;
// the others the last one only, and say how many there were.
func (w *timers) arm(n int) {
	w.t.Helper()
	client := schedulerv1connect.NewSchedulerServiceClient(httpClient(w.t), w.all[0].url, bearer(w.token("chaos")))
	const atOnce = 16
	ended := make(chan error, atOnce)
	var taken atomic.Int64
	for range atOnce {
		go func() {
			for {
				i := int(taken.Add(1)) - 1
				if i >= n {
					ended <- nil
					return
				}
				_, err := client.Create(w.t.Context(), request(i, n))
				for try := 0; try < 10 && rpc.CodeOf(err) == rpc.CodeUnavailable; try++ {
					_, err = client.Create(w.t.Context(), request(i, n)) // the same again is the same
				}
				if err != nil {
					ended <- fmt.Errorf("create schedule %d: %w", i, err)
					return
				}
			}
		}()
	}
	for range atOnce {
		if err := <-ended; err != nil {
			w.t.Fatal(err)
		}
	}
	for i := range n {
		w.ids = append(w.ids, scheduleID(i))
	}
}

func scheduleID(i int) string { return "s" + strconv.Itoa(i) }

// everyOne says of a schedule that it fires what it missed one by one.
func everyOne(id string) bool { return (id[len(id)-1]-'0')%2 == 0 }

func request(i, n int) *schedulerv1.CreateRequest {
	phase := time.Unix(0, 0).Add(interval * time.Duration(i) / time.Duration(n)).UTC()
	r := &schedulerv1.CreateRequest{
		Id:   scheduleID(i),
		Rule: &schedulerv1.Rule{Every: interval.String(), Anchor: phase.Format(time.RFC3339Nano)},
		Action: &schedulerv1.Action{Action: &schedulerv1.Action_Publish{
			Publish: &schedulerv1.Publish{Topic: "chaos", Verb: "struck", Subject: scheduleID(i)},
		}},
		CatchUp: &schedulerv1.CatchUp{Policy: "once"},
	}
	if everyOne(r.GetId()) {
		limit := int32(1000)
		r.CatchUp = &schedulerv1.CatchUp{Policy: "all", Limit: &limit}
	}
	return r
}

// occurrence is one that became an event.
type occurrence struct {
	id      string // of the event: schedule@nominal
	nominal time.Time
	missed  int // occurrences before it that did not become one
	seq     uint64
}

func (o occurrence) schedule() string {
	id, _, _ := strings.Cut(o.id, "@")
	return id
}

func readOccurrence(h nats.Header) (o occurrence, err error) {
	o.id = h.Get("ce-id")
	_, at, ok := strings.Cut(o.id, "@")
	if !ok {
		return o, fmt.Errorf("%q is no occurrence", o.id)
	}
	if o.nominal, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return o, err
	}
	o.missed, err = strconv.Atoi(h.Get("ce-missed"))
	return o, err
}

// count waits until every schedule has come past a moment, and then holds what is
// in EVENTS against what every schedule says: from its first event on each
// interval has one, or is counted as missed by the next, never both, never twice.
func (w *timers) count(moment time.Time) {
	w.t.Helper()
	var of map[string][]occurrence
	bustest.Eventually(w.t, 2*patience, "every schedule has come past the end", func() bool {
		of = w.occurrences()
		for _, id := range w.ids {
			list := of[id]
			if len(list) == 0 || list[len(list)-1].nominal.Before(moment) {
				return false
			}
		}
		return true
	})
	total, missed, wrong := 0, 0, 0
	report := func(format string, args ...any) {
		if wrong++; wrong <= 20 {
			w.t.Errorf(format, args...)
		}
	}
	for _, id := range w.ids {
		seen := map[string]uint64{}
		for i, o := range of[id] {
			total, missed = total+1, missed+o.missed
			if other, twice := seen[o.id]; twice {
				report("%s is at %d and at %d", o.id, other, o.seq)
			}
			seen[o.id] = o.seq
			if i == 0 {
				continue
			}
			last := of[id][i-1]
			if passed := o.nominal.Sub(last.nominal); passed != interval*time.Duration(o.missed+1) {
				report("%s follows %s and says that it missed %d", o.id, last.id, o.missed)
			}
			if o.missed > 0 && everyOne(id) {
				report("%s missed %d, and must not miss any", o.id, o.missed)
			}
		}
	}
	if wrong == 0 {
		sayf(w.t, "%d occurrences of %d schedules in %s, %d more said to be missed; none lost, none twice, in order",
			total, len(w.ids), topology.Events, missed)
	}
}

// occurrences are all in EVENTS, by schedule, in the order of the log.
func (w *timers) occurrences() map[string][]occurrence {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	s, err := w.bus.JS.Stream(ctx, topology.Events)
	if err != nil {
		w.t.Fatal(err)
	}
	last, err := s.GetLastMsgForSubject(ctx, struck())
	if err != nil {
		w.t.Fatal(err)
	}
	consumer, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{struck()}, HeadersOnly: true})
	if err != nil {
		w.t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		w.t.Fatal(err)
	}
	defer messages.Stop()
	of := map[string][]occurrence{}
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			w.t.Fatalf("read %s: %v", topology.Events, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			w.t.Fatal(err)
		}
		o, err := readOccurrence(m.Headers())
		if err != nil {
			w.t.Fatalf("%s at %d: %v", topology.Events, meta.Sequence.Stream, err)
		}
		o.seq = meta.Sequence.Stream
		of[o.schedule()] = append(of[o.schedule()], o)
		if o.seq >= last.Sequence {
			return of
		}
	}
}
