package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/topology"
)

const (
	partnersAtOnce = 32  // partners that poll at the same time
	mailboxShare   = 100 // mailboxes that share a topic
	mailboxStream  = "MAILBOX"
)

// measureMailbox times the cycle of peek, receive and confirm over HTTP, with few
// mailboxes and with many, beside the bound that empty HTTP calls and the raw steps
// on NATS set together, as if each had the machine to itself in turn; and beside one
// program that does both.
func measureMailbox(ctx context.Context, p plan) (figures []figure, err error) {
	for _, n := range p.mailboxes {
		f, err := measureCycle(ctx, p, n)
		if err != nil {
			return nil, fmt.Errorf("%d mailboxes: %w", n, err)
		}
		figures = append(figures, f...)
	}
	return figures, nil
}

func measureCycle(ctx context.Context, p plan, n int) (_ []figure, err error) {
	o, err := openPostOffice(ctx, p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.close(ctx)) }()
	topic := func(i int) string { return "t" + strconv.Itoa(i/mailboxShare) }
	topics := (n + mailboxShare - 1) / mailboxShare
	if err := o.subscribe(ctx, n, func(i int) []string { return []string{topic(i)} }); err != nil {
		return nil, err
	}
	resting := o.service.rss()

	bare, err := o.bare(ctx, n)
	if err != nil {
		return nil, err
	}
	defer func() { _, failed := bare.service.stop(); err = errors.Join(err, failed) }()

	var ours, most, both []pace
	for range p.rounds {
		// About twice what is confirmed in a run, so that nobody finds nothing.
		want := max(int(p.length.Seconds()*10_000), n) / mailboxShare
		if err := o.fill(ctx, want, func(i int) string { return "t" + strconv.Itoa(i%topics) }); err != nil {
			return nil, err
		}
		cycles, err := o.timed(o.service, func() (int, error) { return o.cycles(ctx, p, n) })
		if err != nil {
			return nil, err
		}
		calls, err := o.timed(bare.service, func() (int, error) { return emptyCalls(ctx, p, bare.service.http, o.service.token) })
		if err != nil {
			return nil, err
		}
		boxes, err := fillBare(ctx, p, o.cluster, n)
		if err != nil {
			return nil, err
		}
		steps, err := o.timed(nil, func() (int, error) { return boxes.cycles(p) })
		if err != nil {
			return nil, err
		}
		together, err := o.timed(bare.service, func() (int, error) { return bare.cycles(ctx, p, n) })
		if err != nil {
			return nil, err
		}
		ours, most, both = append(ours, cycles), append(most, bound(calls, steps)), append(both, together)
	}
	wake, floor, err := o.wake(ctx)
	if err != nil {
		return nil, err
	}
	a, b, c := medianPace(ours), medianPace(most), medianPace(both)
	rate := numbers(fmt.Sprintf("mailbox, %d: peek+receive+confirm/s", n), "%.0f", []float64{a.rate}, []float64{b.rate})
	rate.raw = fmt.Sprintf("%.0f", c.rate)
	return []figure{
		rate,
		{name: fmt.Sprintf("mailbox, %d: CPU µs each, service+NATS+partner", n), ours: a.each.String(), reference: b.each.String(), raw: c.each.String()},
		durations(fmt.Sprintf("mailbox, %d: publish to answered peek, p50", n), wake, floor),
		{name: fmt.Sprintf("mailbox, %d: memory of the service, MiB", n), ours: strconv.FormatInt(resting>>20, 10)},
	}, nil
}

// postOffice is a NATS server and the mailbox service, each a process.
type postOffice struct {
	*cluster
	plan    plan
	service *program
	client  *http.Client
	ids     []string // of subscribers
}

func openPostOffice(ctx context.Context, p plan) (*postOffice, error) {
	c, err := startCluster(ctx, p, 1, topology.Platform)
	if err != nil {
		return nil, err
	}
	o := &postOffice{cluster: c, plan: p, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	if o.service, err = startService(ctx, p, c, "mailbox"); err != nil {
		_ = c.stop(ctx) // the other error says more
		return nil, err
	}
	return o, nil
}

// bare is a program with n boxes that does the same steps on the same NATS server,
// and nothing else. Its partners begin with the last box; steps begin with the first.
func (o *postOffice) bare(ctx context.Context, n int) (*postOffice, error) {
	service, err := startSelf(ctx, "-serve", "bare", "-nats", o.url)
	if err != nil {
		return nil, err
	}
	service.token = o.service.token
	b := *o
	b.service, b.ids = service, make([]string, n)
	for i := range b.ids {
		b.ids[i] = strconv.Itoa(n - 1 - i)
	}
	return &b, nil
}

func (o *postOffice) close(ctx context.Context) error {
	o.client.CloseIdleConnections()
	_, err := o.service.stop()
	return errors.Join(err, o.cluster.stop(ctx))
}

// subscribe makes n subscribers, the i-th with mailboxes for topics(i).
func (o *postOffice) subscribe(ctx context.Context, n int, topics func(int) []string) error {
	known := map[string]bool{}
	for i := range n {
		for _, t := range topics(i) {
			if !known[t] {
				known[t] = true
				if err := o.describe(ctx, t); err != nil {
					return err
				}
			}
		}
	}
	o.ids = make([]string, n)
	return atOnce(partnersAtOnce*2, n, func(i int) error {
		answer, err := o.call(ctx, "Register", `{"subscriberName":"`+strconv.Itoa(i)+`"}`)
		if err != nil {
			return err
		}
		o.ids[i] = member(answer, "subscriberId")
		for _, t := range topics(i) {
			if _, err := o.call(ctx, "Subscribe", `{"subscriberId":"`+o.ids[i]+`","compCode":"AA","topic":"`+t+`"}`); err != nil {
				return err
			}
		}
		return nil
	})
}

// fill publishes events, and waits until the mailboxes have them.
func (o *postOffice) fill(ctx context.Context, events int, topic func(int) string) error {
	before, err := o.copies(ctx)
	if err != nil {
		return err
	}
	if err := o.publish(ctx, events, topic); err != nil {
		return err
	}
	return o.arrived(ctx, before+events*mailboxShare)
}

func (o *postOffice) publish(ctx context.Context, events int, topic func(int) string) error {
	header, data := sourceHeader(), stamped(time.Now())
	return fill(ctx, o.bus, events, func(i int) *nats.Msg {
		return &nats.Msg{Subject: "evt.AA." + topic(i) + ".created", Header: header, Data: data}
	})
}

// copies is how many wait, those that are no copies among them.
func (o *postOffice) copies(ctx context.Context) (int, error) {
	s, err := o.bus.JS.Stream(ctx, mailboxStream)
	if err != nil {
		return 0, err
	}
	return int(s.CachedInfo().State.Msgs), nil
}

// arrived waits until so many are there.
func (o *postOffice) arrived(ctx context.Context, want int) error {
	for began := time.Now(); ; {
		n, err := o.copies(ctx)
		if err != nil || n >= want {
			return err
		}
		if time.Since(began) > 2*time.Minute {
			return fmt.Errorf("%d of %d copies after two minutes", n, want)
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // polling another process
	}
}

// cycles runs cycles on one mailbox after the other, and answers how many.
func (o *postOffice) cycles(ctx context.Context, p plan, n int) (int, error) {
	var next, done atomic.Int64
	began := time.Now()
	var group sync.WaitGroup
	failed := make(chan error, partnersAtOnce)
	for range partnersAtOnce {
		group.Go(func() {
			for time.Since(began) < p.length {
				ok, err := o.cycle(ctx, o.ids[next.Add(1)%int64(n)])
				if err != nil {
					failed <- err
					return
				}
				if ok {
					done.Add(1)
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return int(done.Load()), nil
	}
}

// cycle is one peek, receive and confirm; false: there was nothing, or another
// partner of the bench has it.
func (o *postOffice) cycle(ctx context.Context, id string) (bool, error) {
	peek, err := o.call(ctx, "Peek", `{"subscriberId":"`+id+`","timeout":0}`)
	message := member(peek, "nextMessageId")
	if err != nil || message == "" {
		return false, err
	}
	about := `{"subscriberId":"` + id + `","messageId":"` + message + `"`
	received, err := o.call(ctx, "Receive", about+`}`)
	if err != nil {
		if strings.Contains(err.Error(), "message_") {
			err = nil
		}
		return false, err
	}
	_, err = o.call(ctx, "Confirm", about+`,"lockId":"`+member(received, "lockId")+`"}`)
	return err == nil, err
}

// wake times from a publish to the answer of a Peek that waits for it, beside one
// atomic batch, without which no copy is stored.
func (o *postOffice) wake(ctx context.Context) (ours, floor []time.Duration, err error) {
	if err := o.describe(ctx, "wake"); err != nil {
		return nil, nil, err
	}
	answer, err := o.call(ctx, "Register", `{"subscriberName":"wake"}`)
	if err != nil {
		return nil, nil, err
	}
	id := member(answer, "subscriberId")
	if _, err := o.call(ctx, "Subscribe", `{"subscriberId":"`+id+`","compCode":"AA","topic":"wake"}`); err != nil {
		return nil, nil, err
	}
	if err := freshStream(ctx, o.bus, relayTarget, "target.>", 1); err != nil {
		return nil, nil, err
	}
	for range 100 {
		answered := make(chan error, 1)
		go func() {
			_, err := o.call(ctx, "Peek", `{"subscriberId":"`+id+`","timeout":30}`)
			answered <- err
		}()
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // the Peek is to be parked; nothing tells when it is
		began := time.Now()
		if err := o.publish(ctx, 1, func(int) string { return "wake" }); err != nil {
			return nil, nil, err
		}
		if err := <-answered; err != nil {
			return nil, nil, err
		}
		ours = append(ours, time.Since(began))
		if _, err := o.cycle(ctx, id); err != nil {
			return nil, nil, err
		}
		began = time.Now()
		if _, err := o.bus.PublishBatch(ctx, copiesOf(1, sourceHeader(), stamped(began), 2)); err != nil {
			return nil, nil, err
		}
		floor = append(floor, time.Since(began))
	}
	slices.Sort(ours)
	slices.Sort(floor)
	return ours, floor, nil
}
