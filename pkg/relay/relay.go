package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Relay is one worker of a relay. Run as many as there are replicas, each in its
// own process: one works, the others wait. It is a run.Service and a run.Checker.
type Relay struct {
	o       Options
	js      jetstream.JetStream // gives up after callTimeout
	metrics *gauges
	writer  string        // this worker, in the cursors it writes
	opened  chan struct{} // closed once
	once    sync.Once

	mu     sync.Mutex
	state  error  // why it does not serve, nil when it does
	number uint64 // of cursors written
	pin    string // by which the server knows this client, as last heard

	// These survive sessions, which follow each other: the handle, because it
	// sends the pin with every pull, and that the durable has existed.
	consumer jetstream.Consumer
	had      bool

	at func(ctx context.Context, s step) error // tests stop the worker between two steps
}

// New checks the options and starts nothing. Code invalid_config.
func New(o Options) (*Relay, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(o.Bus.NC, jetstream.WithDefaultTimeout(callTimeout))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "relay %s: open JetStream", o.Name)
	}
	return &Relay{
		o: o, js: js, metrics: newGauges(o), writer: nuid.Next(), opened: make(chan struct{}),
		state: fault.New(fault.Starting, "relay %s is starting", o.Name),
		at:    func(context.Context, step) error { return nil },
	}, nil
}

// Ready is closed when the relay has once reached both streams and found its
// cursor to fit the source; from then on it works or waits to take over.
func (r *Relay) Ready() <-chan struct{} { return r.opened }

// Check says whether the relay can work, or take over, right now. Codes starting,
// unavailable, stream_lost, invalid_config, and epoch_mismatch: the cursor
// belongs to another life of the source stream, or lies beyond its end.
func (r *Relay) Check(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

const (
	reopenWait    = 50 * time.Millisecond
	maxReopenWait = time.Second
)

// Run relays until ctx is cancelled; what is being stored then is finished and
// acknowledged, and nil returned. Everything else is waited out, and shown by
// Check.
func (r *Relay) Run(ctx context.Context) error {
	wait := reopenWait
	for {
		worked, err := r.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errCrash) {
			return err
		}
		if worked {
			wait = reopenWait
		}
		r.o.Log.Info("relay session over", "relay", r.o.Name, telemetry.Err(err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
			wait = min(2*wait, maxReopenWait)
		}
	}
}

// Position is the last source message relayed, in the leader's word; zero before
// the first. A message that the filter keeps away moves no cursor. Codes
// unavailable, stream_lost.
func (r *Relay) Position(ctx context.Context) (event.Cursor, error) {
	c, _, err := r.loadCursor(ctx)
	return c.position(), err
}

// Told is the position that a cursor's document tells, for those who read it among other
// messages of the target: whoever has the cursor has all effects up to there.
func Told(document []byte) (event.Cursor, error) {
	var c cursor
	if err := json.Unmarshal(document, &c); err != nil {
		return event.Cursor{}, fmt.Errorf("read the cursor of a relay: %w", err)
	}
	return c.position(), nil
}

// Await returns once the source message at seq has been relayed, by whichever
// worker; it asks the leader, first often, then every 50 ms. Code unavailable
// when ctx ends before.
func (r *Relay) Await(ctx context.Context, seq uint64) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		at, err := r.Position(ctx)
		if err == nil && at.Seq >= seq {
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(fault.Unavailable, errors.Join(ctx.Err(), err), "relay %s has not passed %d", r.o.Name, seq)
		case <-time.After(wait):
		}
	}
}

func (r *Relay) setPin(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pin = id
}

func (r *Relay) pinID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pin
}

// show is what Check answers from now on.
func (r *Relay) show(err error) {
	r.mu.Lock()
	r.state = err
	r.mu.Unlock()
	if err == nil {
		r.once.Do(func() { close(r.opened) })
	}
}
