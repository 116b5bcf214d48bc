package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/event"
)

// mortal is a way to NATS that breaks for good after so many writes, whatever was
// on its way: what a process that is killed between two calls leaves behind.
type mortal struct {
	to     nats.InProcessConnProvider
	writes atomic.Int64 // left
	died   chan struct{}
	once   sync.Once
}

var errDead = errors.New("the process is dead")

func (m *mortal) InProcessConn() (net.Conn, error) {
	if m.writes.Load() <= 0 {
		return nil, errDead
	}
	c, err := m.to.InProcessConn()
	return &mortalConn{c, m}, err
}

type mortalConn struct {
	net.Conn
	m *mortal
}

func (c *mortalConn) Write(b []byte) (int, error) {
	left := c.m.writes.Add(-1)
	if left < 0 {
		return 0, errDead
	}
	n, err := c.Conn.Write(b)
	if left == 0 {
		c.m.once.Do(func() { close(c.m.died) })
		_ = c.Conn.Close()
	}
	return n, err
}

// liveAndDie is one process: it works until its connection breaks.
func liveAndDie(t *testing.T, srv *bustest.Server, writes int64, notify notifier, over <-chan struct{}) {
	m := &mortal{to: srv, died: make(chan struct{})}
	m.writes.Store(writes)
	b, err := bus.Connect(t.Context(), bus.Options{
		Config:    bus.Config{User: embed.ServiceUser, Password: srv.Node().ServicePassword(), Name: "mortal"},
		InProcess: m, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return // died while it connected
	}
	defer b.NC.Close()
	r := makeReplica(t, b, quiet, replace(func(s *Service) { s.notify = notify }))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.s.Run(ctx) }()
	select {
	case <-m.died:
	case <-over:
	}
	cancel()
	<-ended
}

// TestTM6Crashes runs two processes that die between any two things they send,
// again and again, and counts what became of every occurrence.
func TestTM6Crashes(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bustest.Bubble(t, func(t *testing.T) { crashes(t, seed) })
		})
	}
}

func crashes(t *testing.T, seed uint64) {
	srv := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams))
	var mu sync.Mutex
	noticed := map[string]int{}
	notify := func(ctx context.Context, _, _, _ string, build func(context.Context) (event.Event, error)) (int, error) {
		e, err := build(ctx)
		mu.Lock()
		defer mu.Unlock()
		noticed[e.ID]++
		return 1, err
	}
	desk := makeReplica(t, srv.Bus(), quiet) // answers calls, does not run
	token := desk.token()
	began := time.Now()
	random := rand.New(rand.NewPCG(seed, 0))
	for id, body := range map[string]string{
		"each":  `"rule":{"every":"10s"},"catchUp":{"policy":"all","limit":1000},"action":{"publish":{"topic":"each","verb":"x"}}`,
		"once":  `"rule":{"cron":"*/15 * * * * *"},"action":{"publish":{"topic":"once","verb":"x"}}`,
		"tell":  `"rule":{"every":"20s"},"catchUp":{"policy":"all","limit":1000},"action":{"notify":{"user":"anna"}}`,
		"touch": `"rule":{"every":"7s"},"action":{"publish":{"topic":"touch","verb":"x"}}`,
	} {
		desk.must("POST", "/v1/schedules", token, `{"id":"`+id+`",`+body+`}`)
	}
	const alarms = 30
	for i := range alarms {
		at := began.Add(time.Duration(random.Int64N(int64(8 * time.Minute)))).UTC().Format(time.RFC3339Nano)
		desk.must("POST", "/v1/schedules", token, `{"id":"alarm`+strconv.Itoa(i)+`","rule":{"at":"`+at+`"},"action":{"publish":{"topic":"alarm","verb":"x"}}}`)
	}

	over := make(chan struct{})
	var processes sync.WaitGroup
	for p := range uint64(2) {
		processes.Go(func() {
			random := rand.New(rand.NewPCG(seed, p+1))
			for {
				select {
				case <-over:
					return
				default:
				}
				liveAndDie(t, srv, 20+random.Int64N(300), notify, over)
				pass(time.Duration(random.Int64N(int64(8 * time.Second))))
			}
		})
	}
	// Meanwhile somebody keeps changing one of them.
	runs := 0
	for time.Since(began) < 9*time.Minute {
		pass(time.Duration(random.Int64N(int64(20 * time.Second))))
		switch random.IntN(3) {
		case 0:
			desk.must("POST", "/v1/schedules/touch/pause", token, "")
			desk.must("POST", "/v1/schedules/touch/resume", token, "")
		case 1:
			desk.must("POST", "/v1/schedules/touch/run", token, "")
			runs++
		case 2:
			now := decode[scheduleJSON](t, desk.must("GET", "/v1/schedules/touch", token, "")).Schedule
			desk.must("PUT", "/v1/schedules/touch", token, `{"revision":`+strconv.Itoa(int(now.Revision))+
				`,"description":"`+event.NewID()+`","rule":{"every":"7s"},"action":{"publish":{"topic":"touch","verb":"x"}}}`)
		}
	}
	pass(time.Minute - time.Duration(time.Now().Second())*time.Second)
	ended := time.Now()
	close(over)
	processes.Wait()
	survivor := newReplica(t, srv.Bus(), quiet, replace(func(s *Service) { s.notify = notify }))
	pass(2 * time.Minute)
	survivor.stop()

	exactly(t, "each", stored(t, srv.Bus(), "evt.AA.each.x"), began, ended, 10*time.Second, false)
	exactly(t, "once", stored(t, srv.Bus(), "evt.AA.once.x"), began, ended, 15*time.Second, true)
	hand := 0
	for id, n := range ids(stored(t, srv.Bus(), "evt.AA.touch.x")) {
		if n != 1 {
			t.Errorf("%s was stored %d times", id, n)
		}
		if strings.Contains(id, "@run-") {
			hand++
		}
	}
	if hand != runs {
		t.Errorf("%d runs by hand, %d asked for", hand, runs)
	}
	if got := ids(stored(t, srv.Bus(), "evt.AA.alarm.x")); len(got) != alarms {
		t.Errorf("%d alarms of %d", len(got), alarms)
	}
	mu.Lock()
	defer mu.Unlock()
	for at := began.Truncate(20 * time.Second).Add(20 * time.Second); !at.After(ended); at = at.Add(20 * time.Second) {
		if noticed["tell@"+at.UTC().Format(time.RFC3339Nano)] == 0 {
			t.Errorf("nobody was told of %s", at)
		}
	}
}

func ids(events []event.Event) map[string]int {
	n := map[string]int{}
	for _, e := range events {
		n[e.ID]++
	}
	return n
}

// exactly says that every nominal time of an interval is in the log once, or, where
// missed ones may be left out, that each event says how many were.
func exactly(t *testing.T, id string, events []event.Event, began, ended time.Time, every time.Duration, mayMiss bool) {
	t.Helper()
	next := began.Truncate(every).Add(every)
	for _, e := range events {
		if missed, _ := e.Extensions[extMissed].(int32); mayMiss {
			next = next.Add(time.Duration(missed) * every)
		}
		if want := id + "@" + next.UTC().Format(time.RFC3339Nano); e.ID != want {
			t.Fatalf("%s is %s", want, e.ID)
		}
		next = next.Add(every)
	}
	if next.Before(ended) {
		t.Errorf("%s ends before %s", id, next)
	}
}
