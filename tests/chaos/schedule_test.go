package chaos

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
	"github.com/belfry-events/belfry/services/scheduler"
)

// interval is that of every schedule. Their phases are spread over it, so that
// BELFRY_CHAOS_SCHEDULES of them fire evenly: 5,000 are 1,000 a second.
const interval = 5 * time.Second

const (
	defaultSchedules = 100
	defaultFreeze    = 6 // seconds: longer than the pin and every request
	scheduleRounds   = 5 // one of each blow
)

// timers is the schedulers under test, each a process that has nothing in common
// with the other but the cluster.
type timers struct {
	*cluster
	dealer
	asleep time.Duration // when it is frozen
	all    []*replica
	ids    []string // of the schedules
}

// TestTM6EveryOccurrenceOnce is the kill test of the scheduler: whatever dies or
// sleeps, every occurrence of every schedule becomes one event.
func TestTM6EveryOccurrenceOnce(t *testing.T) {
	rounds := min(setting(t, "BELFRY_CHAOS_ROUNDS", scheduleRounds), 25)
	seed := setting(t, "BELFRY_CHAOS_SEED", rand.Uint64N(1_000_000))
	n := setting(t, "BELFRY_CHAOS_SCHEDULES", defaultSchedules)
	sayf(t, "%d rounds with %d schedules every %s, BELFRY_CHAOS_SEED=%d", rounds, n, interval, seed)
	w := newTimers(t, seed)
	w.asleep = time.Duration(setting(t, "BELFRY_CHAOS_FREEZE", defaultFreeze)) * time.Second
	w.arm(int(n))
	w.settled()
	w.rounds(t, rounds, 2*time.Second, w)
	if t.Failed() {
		return
	}
	w.count(time.Now())
	for _, p := range w.all {
		if code := p.stop(); code != 0 {
			t.Errorf("%s: exit code %d after SIGTERM", p.name, code)
		}
	}
}

func newTimers(t *testing.T, seed uint64) *timers {
	t.Helper()
	w := &timers{cluster: newCluster(t), dealer: newDealer(seed)}
	o := topology.Options{Replicas: nodes}
	if _, err := topology.Ensure(t.Context(), w.bus.JS, topology.Platform(o).And(scheduler.Topology(o)), o); err != nil {
		t.Fatal(err)
	}
	for i := range workers {
		w.all = append(w.all, w.startReplica(fmt.Sprintf("scheduler-%d", i), "scheduler"))
	}
	return w
}

func (w *timers) blows() []blow {
	return append(w.leaders(w.cluster, scheduler.Schedules, topology.Events),
		blow{"kill -9 of a scheduler", func() string { return w.kill(w.active().process, w.upTo(time.Second)) }},
		// In the middle of whatever it does. The other one takes its work over.
		blow{"freeze of a scheduler", func() string { return w.freeze(w.active().process, w.asleep) }})
}

// active is the scheduler that brings events into the log: the one whose count of
// them grows. The other one only stands by there, and its death would prove little.
func (w *timers) active() (p *replica) {
	w.t.Helper()
	before := map[*replica]string{}
	w.eventually("a scheduler works", func(ctx context.Context) bool {
		for _, r := range w.all {
			n := r.metric(ctx, "belfry_relay_messages_total")
			if was, known := before[r]; known && was != "" && n != "" && n != was {
				p = r
			}
			before[r] = n
		}
		return p != nil
	})
	return p
}

// metric is the lines of a metric as the process shows them; "" if it does not.
func (r *replica) metric(ctx context.Context, name string) (lines string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.admin+"/metrics", nil)
	if err != nil {
		return ""
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body) // a part would lack the metric
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, name) {
			lines += line
		}
	}
	return lines
}

// settled waits until the cluster is whole, and an occurrence has become an event
// whose time came after this call.
func (w *timers) settled() {
	w.t.Helper()
	w.whole(scheduler.Schedules, scheduler.History, topology.Events, "KV_"+topology.RelayCopies)
	since := time.Now()
	w.eventually("schedules fire", func(ctx context.Context) bool {
		s, err := w.bus.JS.Stream(ctx, topology.Events)
		if err != nil {
			return false
		}
		m, err := s.GetLastMsgForSubject(ctx, struck())
		if err != nil {
			return false
		}
		o, err := readOccurrence(m.Header)
		return err == nil && o.nominal.After(since)
	})
}

// struck is the subject of what the schedules publish.
func struck() string {
	s, err := subject.Event(subject.Address{Tenant: "AA", Topic: "chaos", Verb: "struck"})
	if err != nil {
		panic(err) // constants
	}
	return s
}
