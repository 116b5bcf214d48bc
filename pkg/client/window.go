package client

import (
	"context"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// OpenOptions configure Open.
type OpenOptions struct {
	// Token is the bearer token. TokenFunc, when set, is asked for one before
	// each connection instead, and again before it expires: the newer one takes
	// its place on the open connection.
	Token     string
	TokenFunc func(context.Context) (string, error)

	// Subscriptions are made before Open returns.
	Subscriptions []Subscription
	// Cursor is the last event already seen; what the subscriptions missed
	// since comes first. Zero: from now on.
	Cursor event.Cursor

	// Queue bounds the events read and not yet taken by Next; default 256. When
	// it is full the window stops reading; a server that cannot wait closes the
	// connection, and the window resumes when there is room.
	Queue int
	// MaxMessageBytes bounds one WebSocket message; default 16 MiB.
	MaxMessageBytes int64
	// BackoffMin and BackoffMax bound the wait before a reconnect, which is
	// random between zero and a limit that doubles from Min to Max; defaults
	// 200 ms and 20 s.
	BackoffMin, BackoffMax time.Duration

	HTTPClient *http.Client // default a plain one; its Timeout bounds only the handshake
	Log        *slog.Logger // reconnects (info); default none
}

func (o OpenOptions) withDefaults() (OpenOptions, error) {
	set(&o.Queue, 256)
	set(&o.MaxMessageBytes, 16<<20)
	set(&o.BackoffMin, 200*time.Millisecond)
	set(&o.BackoffMax, 20*time.Second)
	set(&o.HTTPClient, &http.Client{}) // no timeout: it would end the window
	set(&o.Log, slog.New(slog.DiscardHandler))
	switch {
	case o.Queue < 0:
		return o, fault.Field(fault.InvalidConfig, "Queue", "%d is negative", o.Queue)
	case o.BackoffMin < 0 || o.BackoffMax < o.BackoffMin:
		return o, fault.Field(fault.InvalidConfig, "BackoffMin", "%s is not between 0 and BackoffMax, %s", o.BackoffMin, o.BackoffMax)
	}
	for _, s := range o.Subscriptions {
		if err := s.check(); err != nil {
			return o, err
		}
	}
	return o, nil
}

// Window is one open window onto the live events, over WebSocket. It reconnects
// and resumes by itself. It is safe for concurrent use; two callers of Next
// share the events.
type Window struct {
	url   string
	o     OpenOptions
	items chan outcome
	stop  context.CancelFunc
	ended chan struct{} // closed when the window is over; err is set before
	err   error

	mu   sync.Mutex
	subs []Subscription // as accepted by the server
	at   event.Cursor   // where to resume: the last event put into items
	link *link          // the connection, nil between two
	up   chan struct{}  // closed when link is set
}

// outcome is what Next returns.
type outcome struct {
	item Item
	err  error
}

// Open connects to a gateway, such as "ws://127.0.0.1:8080/v1/ws", and makes the
// subscriptions. ctx bounds only that. Codes: the gateway's, such as
// token_invalid, grant_missing, unknown_name; cursor_gone when the events after
// Cursor are no longer kept; unavailable when the gateway cannot be reached.
func Open(ctx context.Context, url string, o OpenOptions) (*Window, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &Window{
		url: url, o: o, at: o.Cursor, subs: slices.Clone(o.Subscriptions),
		items: make(chan outcome, o.Queue), ended: make(chan struct{}), up: make(chan struct{}),
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop = stop
	l, err := w.connect(ctx, running)
	if err != nil {
		stop()
		return nil, err
	}
	first := make(chan error, 1)
	go w.run(running, l, first)
	select {
	case err = <-first:
	case <-ctx.Done():
		err = fault.Wrap(fault.Unavailable, ctx.Err(), "the gateway did not answer in time")
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Next waits for the next event. An error with code cursor_gone, or one that
// ends a single subscription, tells of a loss, and the window goes on: call Next
// again. After any other error the window is over (Done), except when ctx ended.
func (w *Window) Next(ctx context.Context) (Item, error) {
	// What was received before the end still counts.
	select {
	case out := <-w.items:
		return out.item, out.err
	default:
	}
	select {
	case out := <-w.items:
		return out.item, out.err
	case <-w.ended:
		select {
		case out := <-w.items:
			return out.item, out.err
		default:
			return Item{}, w.err
		}
	case <-ctx.Done():
		return Item{}, fault.Wrap(fault.Unavailable, ctx.Err(), "no event came in time")
	}
}

// Events yields what Next returns, until ctx ends, the window is over or the
// loop is left. Errors after which the window goes on are yielded too.
func (w *Window) Events(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for {
			it, err := w.Next(ctx)
			over := ctx.Err() != nil
			select {
			case <-w.ended:
				over = over || err != nil && len(w.items) == 0
			default:
			}
			if !yield(it, err) || over {
				return
			}
		}
	}
}

// Done is closed when the window is over: closed, or refused by the gateway in
// a way that reconnecting cannot help. Next then returns what is still queued,
// and the reason after that.
func (w *Window) Done() <-chan struct{} { return w.ended }

// Close ends the window. Safe to call twice.
func (w *Window) Close() {
	w.stop()
	<-w.ended
}

// Subscribe adds a subscription and returns the log's last position at that
// moment: what follows it comes. Subscribing twice is one. It waits through a
// reconnect until ctx ends.
func (w *Window) Subscribe(ctx context.Context, s Subscription) (event.Cursor, error) {
	if err := s.check(); err != nil {
		return event.Cursor{}, err
	}
	a, err := w.ask(ctx, request{Subscribe: &s})
	if err != nil {
		return event.Cursor{}, err
	}
	if a.Subscribed == nil {
		return event.Cursor{}, fault.New(fault.Internal, "the gateway did not answer the subscription")
	}
	if a.Subscribed.Cursor == "" { // of what is never stored: time events, presence
		return event.Cursor{}, nil
	}
	return event.ParseCursor(a.Subscribed.Cursor)
}

// Unsubscribe removes the subscription with the same parameters; removing one
// that is not there succeeds.
func (w *Window) Unsubscribe(ctx context.Context, s Subscription) error {
	_, err := w.ask(ctx, request{Unsubscribe: &s})
	return err
}
