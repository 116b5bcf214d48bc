package run_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/run"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// diary is what happened, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// fake is a part that writes into the diary what it is told.
type fake struct {
	name     string
	diary    *diary
	ready    chan struct{}
	starts   time.Duration // how long until ready
	stops    time.Duration // how long until stopped
	newErr   error         // New fails
	newPanic bool          // New panics
	die      chan error    // Run ends with what comes out of here
	panics   bool          // Run panics once ready
	stopErr  error         // Run's result after a stop
}

func (f *fake) part() run.Part {
	return run.Part{Name: f.name, StopWithin: time.Second, New: func(context.Context) (run.Service, error) {
		if f.newPanic {
			panic("out of ideas")
		}
		if f.newErr != nil {
			return nil, f.newErr
		}
		f.ready = make(chan struct{})
		return f, nil
	}}
}

func (f *fake) Ready() <-chan struct{} { return f.ready }

func (f *fake) Run(ctx context.Context) error {
	f.diary.write("start " + f.name)
	select {
	case <-time.After(f.starts):
	case <-ctx.Done():
		f.diary.write("interrupted " + f.name)
		return nil
	}
	close(f.ready)
	if f.panics {
		panic("out of paper")
	}
	select {
	case err := <-f.die:
		f.diary.write("died " + f.name)
		return err
	case <-ctx.Done():
	}
	if f.stops > 0 {
		<-time.After(f.stops)
	}
	f.diary.write("stop " + f.name)
	return f.stopErr
}

// world is a group of three fakes.
type world struct {
	a, b, c *fake
	diary   *diary
	log     bytes.Buffer
	group   *run.Group
}

func newWorld(change func(w *world)) *world {
	d := &diary{}
	w := &world{diary: d}
	w.a, w.b, w.c = &fake{name: "a", diary: d}, &fake{name: "b", diary: d}, &fake{name: "c", diary: d}
	change(w)
	log := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.group = run.NewGroup(log, w.a.part(), w.b.part(), w.c.part())
	return w
}

func TestGroup(t *testing.T) {
	t.Parallel()
	boom := fault.New(fault.PortInUse, "another process listens there")
	for _, c := range []struct {
		name   string
		change func(*world)
		stopAt time.Duration // when ctx ends; 0 = never
		want   []string
		code   fault.Code
		says   []string
		ready  bool
	}{
		{
			name: "starts in order, stops in reverse", stopAt: time.Hour, ready: true,
			change: func(w *world) { w.b.starts, w.b.stops = time.Second, time.Second/2 },
			want:   []string{"start a", "start b", "start c", "stop c", "stop b", "stop a"},
		},
		{
			name:   "a part that cannot be made stops those before it",
			change: func(w *world) { w.b.newErr = boom },
			want:   []string{"start a", "stop a"}, code: fault.PortInUse, says: []string{"b: another process"},
		},
		{
			name:   "a panic while making a part",
			change: func(w *world) { w.c.newPanic = true },
			want:   []string{"start a", "start b", "stop b", "stop a"}, code: fault.Internal, says: []string{"c: panic: out of ideas"},
		},
		{
			name: "a part that dies while the next one starts",
			change: func(w *world) {
				w.a.die, w.b.starts = make(chan error), time.Minute
				time.AfterFunc(time.Second, func() { w.a.die <- boom })
			},
			want: []string{"start a", "start b", "died a", "interrupted b"}, code: fault.PortInUse, says: []string{"a: another process"},
		},
		{
			name: "a part that dies later stops all", ready: true,
			change: func(w *world) {
				w.b.die = make(chan error)
				time.AfterFunc(time.Hour, func() { w.b.die <- boom })
			},
			want: []string{"start a", "start b", "start c", "died b", "stop c", "stop a"}, code: fault.PortInUse, says: []string{"b: another process"},
		},
		{
			name: "ending without being told to is a failure", ready: true,
			change: func(w *world) {
				w.b.die = make(chan error)
				time.AfterFunc(time.Hour, func() { w.b.die <- nil })
			},
			want: []string{"start a", "start b", "start c", "died b", "stop c", "stop a"}, code: fault.Internal, says: []string{"b: ended without being told to"},
		},
		{
			name:   "a part that panics fails",
			change: func(w *world) { w.c.panics = true }, ready: true,
			want: []string{"start a", "start b", "start c", "stop b", "stop a"}, code: fault.Internal, says: []string{"c: panic: out of paper"},
		},
		{
			name: "a part that does not stop in time does not keep the others", stopAt: time.Hour, ready: true,
			change: func(w *world) { w.b.stops = time.Minute },
			want:   []string{"start a", "start b", "start c", "stop c", "stop a"}, code: fault.Internal, says: []string{"stop b: not done within 1s"},
		},
		{
			name: "errors while stopping are all told", stopAt: time.Hour, ready: true,
			change: func(w *world) { w.a.stopErr, w.c.stopErr = errors.New("lock lost"), errors.New("flush failed") },
			want:   []string{"start a", "start b", "start c", "stop c", "stop b", "stop a"}, code: fault.Internal, says: []string{"stop c: flush failed", "stop a: lock lost"},
		},
		{
			name: "interrupted while starting is not a failure", stopAt: time.Second,
			change: func(w *world) { w.b.starts = time.Minute },
			want:   []string{"start a", "start b", "interrupted b", "stop a"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(c.change)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.stopAt > 0 {
					time.AfterFunc(c.stopAt, cancel)
				}
				err := w.group.Run(ctx)
				if diff := cmp.Diff(c.want, w.diary.read()); diff != "" {
					t.Error(diff)
				}
				if fault.CodeOf(err) != c.code {
					t.Errorf("error %v has code %q, want %q", err, fault.CodeOf(err), c.code)
				}
				for _, text := range c.says {
					if err == nil || !strings.Contains(err.Error(), text) {
						t.Errorf("error %v does not say %q", err, text)
					}
				}
				if got := closed(w.group.Ready()); got != c.ready && !w.c.panics {
					t.Errorf("ready %v, want %v", got, c.ready)
				}
				if !closed(w.group.Draining()) {
					t.Error("not draining after the end")
				}
				time.Sleep(2 * time.Minute) //nolint:forbidigo // in a bubble: those given up end too
			})
		})
	}
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		part := run.Part{Name: "bus", StopWithin: time.Second}.Open(func(context.Context) (func(context.Context) error, error) {
			d.write("open")
			return func(ctx context.Context) error {
				<-ctx.Done() // the deadline of the part
				d.write("close")
				return nil
			}, nil
		})
		nothing := run.Part{Name: "nothing to close"}.Open(func(context.Context) (func(context.Context) error, error) { return nil, nil })
		broken := run.Part{Name: "broken"}.Open(func(context.Context) (func(context.Context) error, error) {
			return nil, errors.New("no route to host")
		})
		err := run.NewGroup(slog.New(slog.DiscardHandler), nothing, part, broken).Run(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "broken: no route to host") {
			t.Error(err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"open", "close"}, d.read()); diff != "" {
			t.Error(diff)
		}
	})
}
