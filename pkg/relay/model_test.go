package relay_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/topology"
)

// What may happen between two steps of a worker.
const (
	crash  = "crash"  // it ends there; another starts in its place later
	freeze = "freeze" // it stands still, loses its pin, and goes on later: the zombie
	unpin  = "unpin"  // another is pinned behind its back
	remove = "remove" // the source's durable is deleted
	reset  = "reset"  // somebody resets the durable, as a late rival would
)

// mishap happens at the n-th step that any worker takes.
type mishap struct {
	What string
	Step int
	For  time.Duration // how long a zombie sleeps, or a crashed worker is away
}

// fate is what becomes of a message.
type fate struct {
	Effects int
	Fails   int    // Map fails so often before it answers; -1: always; -2: it is invalid
	Once    string // operation it reports
}

// scenario is one run.
type scenario struct {
	Rollup          bool
	Workers         int
	MaxBatch        int
	Linger          time.Duration
	Prefetch        int
	Fates           []fate
	Mishaps         []mishap
	PublishPause    time.Duration // after every tenth message
	CrashAtNthVisit map[string]int
}

const maxAttempts = 3

func draw(t *rapid.T) scenario {
	s := scenario{
		Rollup:       rapid.Bool().Draw(t, "rollup"),
		Workers:      rapid.IntRange(1, 3).Draw(t, "workers"),
		MaxBatch:     rapid.SampledFrom([]int{3, 7, 50, 1000}).Draw(t, "max batch"),
		Linger:       rapid.SampledFrom([]time.Duration{0, 20 * time.Millisecond}).Draw(t, "linger"),
		Prefetch:     rapid.SampledFrom([]int{1, 5, 500}).Draw(t, "prefetch"),
		PublishPause: rapid.SampledFrom([]time.Duration{0, time.Second, 40 * time.Second}).Draw(t, "pause"),
	}
	few := rapid.IntRange(0, 5)
	many := rapid.IntRange(0, min(3*s.MaxBatch, 3000))
	s.Fates = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) (f fate) {
		if f.Effects = few.Draw(t, "few"); rapid.IntRange(0, 9).Draw(t, "size") == 0 {
			f.Effects = many.Draw(t, "many")
		}
		f.Fails = rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 0, 1, 2, -1, -2}).Draw(t, "fails")
		if rapid.IntRange(0, 3).Draw(t, "with once") == 0 {
			f.Once = rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "once")
		}
		return f
	}), 1, 40).Draw(t, "fates")
	s.Mishaps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) mishap {
		return mishap{
			What: rapid.SampledFrom([]string{crash, crash, freeze, freeze, unpin, remove, reset}).Draw(t, "what"),
			Step: rapid.IntRange(0, 120).Draw(t, "step"),
			For:  rapid.SampledFrom([]time.Duration{0, time.Second, 8 * time.Second, time.Minute, 10 * time.Minute}).Draw(t, "for"),
		}
	}), 0, 8).Draw(t, "mishaps")
	return s
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := draw(rt)
		var trouble string
		bustest.Bubble(t, func(t *testing.T) { trouble = play(t, s) })
		if trouble != "" {
			rt.Fatal(trouble)
		}
	})
}

// A worker ends at every step in turn, the first and the second time it comes
// there, and its successor too.
func TestCrashAtEveryStep(t *testing.T) {
	for _, step := range relay.Steps {
		for visit := 1; visit <= 2; visit++ {
			for _, rollup := range []bool{false, true} {
				s := scenario{
					Rollup: rollup, Workers: 2, MaxBatch: 10, Prefetch: 500,
					CrashAtNthVisit: map[string]int{step: visit},
				}
				for i := range 12 {
					s.Fates = append(s.Fates, fate{Effects: i * 3 % 25, Fails: []int{0, 0, 0, 1, 0, -2}[i%6], Once: []string{"", "a"}[i%2]})
				}
				bustest.Bubble(t, func(t *testing.T) {
					if trouble := play(t, s); trouble != "" {
						t.Fatalf("%s, visit %d, rollup %v: %s", step, visit, rollup, trouble)
					}
				})
			}
		}
	}
}

// world is a scenario being played.
type world struct {
	t *testing.T
	s scenario
	b *bus.Bus

	mu      sync.Mutex
	steps   int
	visits  map[string]int
	failed  map[int]int // by message: how often Map has failed
	after   []int       // messages, in the order of their first AfterCommit
	settled map[int]bool
}

// play runs the scenario and says how the target differs from the model.
func play(t *testing.T, s scenario) string {
	b := bustest.Start(t, bustest.InProcess(), bustest.Spec(func(spec *topology.Spec) {
		streams(spec)
		for i := range spec.Streams {
			if c := &spec.Streams[i]; c.Name == "TARGET" {
				c.AllowRollup = s.Rollup
			}
		}
	})).Bus()
	w := &world{t: t, s: s, b: b, visits: map[string]int{}, failed: map[int]int{}, settled: map[int]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	var over sync.WaitGroup
	defer func() { cancel(); over.Wait() }()
	for range s.Workers {
		over.Go(func() { w.worker(ctx) })
	}
	var last uint64
	for i := range s.Fates {
		last = put(t, b, "src.a", i, i+1)
		if i%10 == 9 {
			time.Sleep(s.PublishPause) //nolint:forbidigo // in a bubble
		}
	}
	watcher, err := relay.New(options(b))
	if err != nil {
		return err.Error()
	}
	in, stop := context.WithTimeout(ctx, 24*time.Hour)
	defer stop()
	if err := watcher.Await(in, last); err != nil {
		at, err2 := watcher.Position(ctx)
		return fmt.Sprintf("not done after a day: %v, at %s %v", err, at, err2)
	}
	time.Sleep(11 * time.Minute) //nolint:forbidigo // in a bubble: zombies wake up, what is late comes
	return w.compare()
}

// worker runs one worker after the other until ctx ends.
func (w *world) worker(ctx context.Context) {
	for ctx.Err() == nil {
		o := options(w.b)
		o.MaxBatch, o.Linger, o.Prefetch, o.MaxAttempts = w.s.MaxBatch, w.s.Linger, w.s.Prefetch, maxAttempts
		o.Map, o.AfterCommit = w.mapped, w.afterCommit
		r, err := relay.New(o)
		if err != nil {
			w.t.Error(err)
			return
		}
		var away time.Duration
		r.At(func(ctx context.Context, step string) (err error) {
			away, err = w.step(ctx, step)
			return err
		})
		if err := r.Run(ctx); err != nil && !relay.IsCrash(err) {
			w.t.Errorf("run: %v", err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(away):
		}
	}
}

// step is called between every two steps of every worker.
func (w *world) step(ctx context.Context, step string) (away time.Duration, err error) {
	w.mu.Lock()
	n := w.steps
	w.steps++
	w.visits[step]++
	visit := w.visits[step]
	w.mu.Unlock()
	if w.s.CrashAtNthVisit[step] == visit {
		return time.Second, relay.ErrCrash
	}
	for _, m := range w.s.Mishaps {
		if m.Step != n {
			continue
		}
		switch m.What {
		case crash:
			return m.For, relay.ErrCrash
		case freeze:
			w.unpin(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(m.For):
			}
		case unpin:
			w.unpin(ctx)
		case remove:
			w.ignore(w.b.JS.DeleteConsumer(ctx, "SOURCE", "copy"))
		case reset:
			_, err := w.b.JS.ResetConsumer(ctx, "SOURCE", "copy")
			w.ignore(err)
		}
	}
	return 0, nil
}

func (w *world) unpin(ctx context.Context) {
	s, err := w.b.JS.Stream(ctx, "SOURCE")
	if err == nil {
		err = s.UnpinConsumer(ctx, "copy", "relay")
	}
	w.ignore(err)
}

// ignore: what a mishap does not find, it cannot harm.
func (w *world) ignore(err error) {
	if err != nil {
		w.t.Log(err)
	}
}

func number(m relay.Message) (n int) {
	_, _ = fmt.Sscan(string(m.Data), &n)
	return n
}

func (w *world) mapped(_ context.Context, m relay.Message) (e relay.Effects, err error) {
	i := number(m)
	f := w.s.Fates[i]
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case f.Fails == -2:
		return e, fault.New(fault.InvalidEvent, "not for us")
	case f.Fails == -1:
		panic("never")
	case w.failed[i] < f.Fails:
		if w.failed[i]++; i%2 == 0 {
			return e, fault.New(fault.Unavailable, "not now")
		}
		return e, fault.New(fault.Internal, "not yet")
	}
	if f.Once != "" {
		e.Once = &nats.Msg{Subject: "dst.once." + f.Once}
	}
	for k := range f.Effects {
		e.Msgs = append(e.Msgs, &nats.Msg{
			Subject: fmt.Sprintf("dst.m.%d", k%3), Data: fmt.Appendf(nil, "%d/%d", i, k), Header: nats.Header{nats.MsgIdHdr: {"the same for all"}},
		})
	}
	return e, nil
}

func (w *world) afterCommit(_ context.Context, m relay.Message) error {
	i := number(m)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.settled[i] {
		w.settled[i] = true
		w.after = append(w.after, i)
	}
	return nil
}

// compare reads everything and sets it beside the model.
func (w *world) compare() string {
	var effects, dead []string
	var after []int
	once := map[string]bool{}
	for i, f := range w.s.Fates {
		after = append(after, i)
		switch {
		case f.Fails < 0:
			dead = append(dead, fmt.Sprint(i))
		case f.Once == "" || !once[f.Once]:
			once[f.Once] = true
			for k := range f.Effects {
				effects = append(effects, fmt.Sprintf("%d/%d", i, k))
			}
		}
	}
	if d := cmp.Diff(effects, stored(w.t, w.b, "TARGET", "dst.m.*")); d != "" {
		return "target (-model +stored):\n" + d
	}
	if d := cmp.Diff(dead, stored(w.t, w.b, topology.DeadLetters, "dead.>")); d != "" {
		return "dead letters (-model +stored):\n" + d
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(after, w.after) {
		return fmt.Sprintf("after commit came for %v", w.after)
	}
	if n := len(stored(w.t, w.b, "TARGET", "dst.cursor")); n != 1 {
		return fmt.Sprintf("%d cursors are left", n)
	}
	info, err := w.b.JS.Consumer(w.t.Context(), "SOURCE", "copy")
	if err != nil {
		return err.Error()
	}
	if i := info.CachedInfo(); i.NumPending != 0 || i.NumAckPending != 0 {
		return fmt.Sprintf("%d pending, %d unacknowledged", i.NumPending, i.NumAckPending)
	}
	return ""
}
