package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/event"
)

// crowd is many windows, and somebody who publishes what they all want to see.
type crowd struct {
	url, nats, secret string

	windows   []*client.Window
	publisher *client.Client
	seen      []atomic.Int64 // by window: the number of the last event
	wrong     chan error     // the first one that is missing, doubled or out of order
	published atomic.Int64
	stall     atomic.Int64 // nanoseconds that one publish took at most
	stop      context.CancelFunc
	running   sync.WaitGroup
}

const topic = "life"

// open opens the windows, and begins to publish.
func (c *crowd) open(ctx context.Context, n, rate int) error {
	tokens, err := auth.NewHS256(auth.HS256Options{Secrets: [][]byte{[]byte(c.secret)}})
	if err != nil {
		return err
	}
	ctx, c.stop = context.WithCancel(ctx)
	c.windows, c.seen, c.wrong = make([]*client.Window, n), make([]atomic.Int64, n), make(chan error, n)
	slots := make(chan struct{}, 32)
	opened := make(chan error, n)
	for i := range n {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			token, err := tokens.Sign(auth.Claims{Subject: "user" + strconv.Itoa(i), Tenants: []string{"AA"}, Grants: auth.Everything(), TTL: 2 * time.Hour})
			if err == nil {
				c.windows[i], err = client.Open(ctx, c.url, client.OpenOptions{Token: token, Subscriptions: []client.Subscription{{Topic: topic}}, BackoffMax: 2 * time.Second})
			}
			opened <- err
		}()
	}
	for range n {
		err = errors.Join(err, <-opened)
	}
	if err != nil {
		return err
	}
	for i, w := range c.windows {
		c.running.Go(func() { c.watch(ctx, i, w) })
	}
	if c.publisher, err = client.Connect(ctx, c.nats, client.Options{Name: "life"}); err != nil {
		return err
	}
	c.running.Go(func() { c.publish(ctx, rate) })
	return c.caughtUp(ctx, int64(rate)) // a second of it, to begin with
}

// publish sends one numbered event after the other, each until the log has it.
func (c *crowd) publish(ctx context.Context, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		n := c.published.Load() + 1
		e := event.Event{ID: strconv.FormatInt(n, 10), Source: "/life", Tenant: "AA", Topic: topic, Verb: "happened", Data: []byte(strconv.FormatInt(n, 10))}
		began := time.Now()
		for {
			if _, err := c.publisher.Publish(ctx, e); err == nil {
				break
			} else if ctx.Err() != nil {
				return
			}
		}
		c.stall.Store(max(c.stall.Load(), int64(time.Since(began))))
		c.published.Store(n)
	}
}

// watch counts what one window sees.
func (c *crowd) watch(ctx context.Context, i int, w *client.Window) {
	for it, err := range w.Events(ctx) {
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			n, bad := strconv.ParseInt(it.Event.ID, 10, 64)
			if last := c.seen[i].Load(); bad != nil || n != last+1 {
				err = fmt.Errorf("saw event %q after %d", it.Event.ID, last)
			}
			c.seen[i].Store(n)
		}
		if err != nil {
			c.wrong <- fmt.Errorf("window %d: %w", i, err)
			return
		}
	}
}

// caughtUp waits until every window has seen so many events.
func (c *crowd) caughtUp(ctx context.Context, n int64) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); ; {
		behind := 0
		for i := range c.seen {
			if c.seen[i].Load() < n {
				behind++
			}
		}
		if behind == 0 {
			return nil
		}
		select {
		case err := <-c.wrong:
			return err
		case <-tick.C:
		case <-end:
			return fmt.Errorf("%d windows have not seen event %d", behind, n)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// count waits until every window has seen the last event, one after the other since
// the first.
func (c *crowd) count(ctx context.Context) (string, error) {
	last := c.published.Load()
	if err := c.caughtUp(ctx, last); err != nil {
		return "", err
	}
	c.close()
	select {
	case err := <-c.wrong:
		return "", err
	default:
	}
	return fmt.Sprintf("%d windows × %d events: none lost, none twice, in order; one publish took %s at most",
		len(c.windows), last, time.Duration(c.stall.Load()).Round(100*time.Millisecond)), nil
}

func (c *crowd) close() {
	if c.stop == nil {
		return
	}
	c.stop()
	for _, w := range c.windows {
		if w != nil {
			w.Close()
		}
	}
	c.running.Wait()
	if c.publisher != nil {
		_ = c.publisher.Close(context.Background()) // what it has sent is counted
	}
}
