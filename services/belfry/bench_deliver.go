package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

// watch calls seen with the number of each event of a verb that NATS shows whoever
// listens, as it comes, until stop.
func (b *bench) watch(verb string, seen func(n int)) (stop func(), err error) {
	pattern, err := b.raw(verb)
	if err != nil {
		return nil, err
	}
	sub, err := b.nc.Subscribe(subject.Live(pattern.Subject), func(m *nats.Msg) {
		if n, err := strconv.Atoi(strings.TrimPrefix(m.Header.Get("ce-id"), verb+"-")); err == nil && m.Header.Get("ce-source") == pattern.Header.Get("ce-source") {
			seen(n)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := b.nc.Flush(); err != nil {
		return nil, err
	}
	if err := b.nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return nil, fault.Wrap(fault.GrantMissing, err, "this NATS user may not listen to %s: take one that may read, too", sub.Subject)
	}
	return func() {
		_ = sub.Unsubscribe() // fails only with a connection that is closed
	}, nil
}

// lateness collects how long after being sent numbered events came somewhere.
type lateness struct {
	sent []atomic.Int64 // nanoseconds since began, before publishing
	from time.Time

	mu   sync.Mutex
	ages ages
}

func newLateness(n int) *lateness { return &lateness{sent: make([]atomic.Int64, n), from: time.Now()} }

// beside collects for the very same events.
func (l *lateness) beside() *lateness { return &lateness{sent: l.sent, from: l.from} }

func (l *lateness) send(n int) { l.sent[n].Store(int64(time.Since(l.from))) }

func (l *lateness) age(n int) time.Duration {
	return time.Since(l.from) - time.Duration(l.sent[n].Load())
}

func (l *lateness) came(n int) {
	age := l.age(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ages = append(l.ages, age)
}

func (l *lateness) all() ages {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ages
}

// straggle is how long after the last event was sent deliveries may still come.
const straggle = 10 * time.Second

// toWindows is one event after the other to windows that are all open.
func (b *bench) toWindows(ctx context.Context) error {
	windows, err := b.openWindows(ctx)
	defer func() {
		for _, w := range windows {
			w.Close()
		}
	}()
	if err != nil {
		return err
	}
	planned := max(int(b.within.Seconds()*float64(b.rate)), 1)
	ours := newLateness(planned)
	floor := ours.beside()
	stop, err := b.watch("shown", floor.came)
	if err != nil {
		return err
	}
	defer stop()

	// Windows read until all has come, or what is missing is late.
	reading, enough := context.WithCancel(ctx)
	defer enough()
	var missing atomic.Int64
	missing.Store(int64(planned * len(windows)))
	var readers sync.WaitGroup
	for _, w := range windows {
		readers.Go(func() {
			for item, err := range w.Events(reading) {
				n, bad := strconv.Atoi(strings.TrimPrefix(item.Event.ID, "shown-"))
				if err != nil || bad != nil || item.Event.Source != b.run {
					continue
				}
				ours.came(n)
				if missing.Add(-1) == 0 {
					enough()
				}
			}
		})
	}
	err = b.pace(ctx, planned, ours)
	if err == nil {
		late := time.AfterFunc(straggle, enough)
		defer late.Stop()
	} else {
		enough()
	}
	readers.Wait()
	b.add("window", fmt.Sprintf("publish to window, %d open", len(windows)), ours.all(), floor.all(), "one NATS subscriber of the same events")
	if ctx.Err() != nil {
		return nil
	}
	if n := missing.Load(); err == nil && n > 0 {
		err = fault.New(fault.Unavailable, "%d of %d deliveries have not come %s after the last event", n, planned*len(windows), straggle)
	}
	return err
}

// pace publishes at the rate.
func (b *bench) pace(ctx context.Context, n int, l *lateness) error {
	tick := time.NewTicker(time.Second / time.Duration(b.rate))
	defer tick.Stop()
	for i := range n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		l.send(i)
		if _, err := b.publisher.PublishAsync(ctx, b.event("shown", strconv.Itoa(i))); err != nil {
			return err
		}
	}
	return b.publisher.Flush(ctx)
}

// openAtOnce is how many windows are being opened at the same time.
const openAtOnce = 16

// openWindows opens them all; what is open comes back, also with an error.
func (b *bench) openWindows(ctx context.Context) ([]*client.Window, error) {
	token, err := b.remote.tokens(b.set)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var open []*client.Window
	var failed error
	var group sync.WaitGroup
	begun := 0
	for range min(openAtOnce, b.windows) {
		group.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			for begun < b.windows && failed == nil {
				begun++
				mu.Unlock()
				w, err := client.Open(ctx, strings.Replace(b.report.URL, "http", "ws", 1)+"/v1/ws?code=none", client.OpenOptions{
					TokenFunc: func(context.Context) (string, error) { return token() }, HTTPClient: b.web, Queue: 16,
					Subscriptions: []client.Subscription{{Tenant: b.report.Left.Tenant, Topic: benchName, Verb: "shown"}},
				})
				mu.Lock()
				if err != nil {
					failed = fault.Wrap(fault.CodeOf(err), err, "%d of %d windows are open; the next: %s", len(open), b.windows, err)
					return
				}
				open = append(open, w)
			}
		})
	}
	group.Wait()
	return open, failed
}

// toMailbox is a partner: a Peek waits, an event is published, and when it is
// answered the message is received and confirmed.
func (b *bench) toMailbox(ctx context.Context) (err error) {
	registered, err := b.postbox.Register(ctx, &mailboxv1.RegisterRequest{SubscriberName: benchName})
	if err != nil {
		return err
	}
	id, tenant := registered.GetSubscriberId(), b.report.Left.Tenant
	leave := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
		defer cancel()
		_, err := b.postbox.Unsubscribe(ctx, &mailboxv1.UnsubscribeRequest{SubscriberId: id, CompCode: tenant, Topic: benchName})
		return err
	}
	if err := leave(); err != nil && fault.CodeOf(err) != fault.SubscriptionUnknown { // one that was killed left its messages
		return err
	}
	_, err = b.postbox.Subscribe(ctx, &mailboxv1.SubscribeRequest{SubscriberId: id, CompCode: tenant, Topic: benchName, Verbs: []string{"kept"}})
	defer func() { err = errors.Join(err, leave()) }()
	if err != nil {
		return err
	}
	wake := newLateness(singly)
	floor := wake.beside()
	stop, err := b.watch("kept", floor.came)
	if err != nil {
		return err
	}
	defer stop()

	next := ""
	took, err := b.inTurn(ctx, singly, func(i int) (err error) {
		next, err = b.woken(ctx, id, i, wake)
		return err
	}, func(int) error {
		seconds := int32(60)
		got, err := b.postbox.Receive(ctx, &mailboxv1.ReceiveRequest{SubscriberId: id, MessageId: next, LockTimeout: &seconds})
		if err == nil {
			_, err = b.postbox.Confirm(ctx, &mailboxv1.ConfirmRequest{SubscriberId: id, MessageId: next, LockId: got.GetLockId()})
		}
		return err
	}, func(int) error { return errors.Join(b.emptyCall(ctx), b.emptyCall(ctx)) })
	b.add("mailbox_wake", "publish to the answer of a Peek that waits", wake.all(), floor.all(), "one NATS subscriber of the same events")
	b.add("mailbox_take", "Receive and Confirm", took[1], took[2], "two HTTP calls that are refused at once")
	return err
}

// woken publishes while a Peek waits, and answers the message it names.
func (b *bench) woken(ctx context.Context, id string, i int, l *lateness) (message string, err error) {
	seconds := int32(straggle.Seconds())
	answered := make(chan error, 1)
	go func() {
		peek, err := b.postbox.Peek(ctx, &mailboxv1.PeekRequest{SubscriberId: id, Timeout: &seconds})
		if err == nil {
			l.came(i)
			if message = peek.GetNextMessageId(); message == "" {
				err = fault.New(fault.Unavailable, "the mailbox has shown nothing for %s", straggle)
			}
		}
		answered <- err
	}()
	l.send(i)
	_, published := b.publisher.Publish(ctx, b.event("kept", strconv.Itoa(i)))
	return message, errors.Join(<-answered, published)
}
