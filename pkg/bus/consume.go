package bus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Handler takes one message. What it returns decides, see the package comment;
// it must not answer the message itself. Deliveries are at least once.
type Handler func(ctx context.Context, m jetstream.Msg) error

// ConsumeOptions say what to read and how patiently.
type ConsumeOptions struct {
	Stream   string
	Consumer jetstream.ConsumerConfig // a durable pull consumer; made if missing, and made again

	// MaxAttempts is how often a message fails before it becomes a dead letter.
	// Default 10, about three minutes with the default Backoff. What is unavailable
	// is not counted: such a message comes again for as long as it takes.
	MaxAttempts int
	// Backoff are the waits after the first, second, … failed attempt; the last
	// one repeats. Default 100 ms, 500 ms, 2 s, 10 s, 30 s.
	Backoff []time.Duration
	// Prefetch is how many messages wait in this process. While they do, the
	// consumer's AckWait runs. Default 16, never above MaxAckPending.
	Prefetch int
	// Workers is how many messages are handled at once, each by a goroutine of its
	// own; with more than 1 they are in no order. Default 1.
	Workers int
	// PullExpiry is how long one request for messages stays open; a fifth of it is
	// how often the server says that it still is. Default 10 s: a server that has
	// gone is noticed within four.
	PullExpiry time.Duration
	// DrainTimeout is how long the message in hand may still take after ctx is
	// cancelled, before its own context is cancelled too. Default 10 s.
	DrainTimeout time.Duration
}

const (
	defaultMaxAttempts  = 10
	defaultPrefetch     = 16
	defaultDrainTimeout = 10 * time.Second
	defaultAckWait      = 30 * time.Second // the server's, when the consumer names none

	// neverAnswered times MaxAttempts deliveries of a message that this process does
	// not know, and it is given up unseen: it may be what kills the process each
	// time.
	neverAnswered = 4

	defaultPullExpiry = 10 * time.Second
	heartbeats        = 5 // of one pull; two in a row missed, and it is started anew

	reopenWait    = 100 * time.Millisecond
	maxReopenWait = 5 * time.Second
)

var defaultBackoff = []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 10 * time.Second, 30 * time.Second}

func (o ConsumeOptions) withDefaults() (ConsumeOptions, error) {
	switch {
	case o.Stream == "" || o.Consumer.Durable == "":
		return o, fault.Field(fault.InvalidConfig, "consumer", "stream and durable name must not be empty")
	case o.Consumer.AckPolicy != jetstream.AckExplicitPolicy:
		return o, fault.Field(fault.InvalidConfig, "consumer", "%s must ack explicitly", o.Consumer.Durable)
	case o.Consumer.MaxDeliver > 0:
		return o, fault.Field(fault.InvalidConfig, "consumer", "%s must not limit deliveries: attempts are counted here, and none is lost silently", o.Consumer.Durable)
	}
	o.Consumer.MaxDeliver = -1
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = defaultMaxAttempts
	}
	if len(o.Backoff) == 0 {
		o.Backoff = defaultBackoff
	}
	if o.Prefetch <= 0 {
		o.Prefetch = defaultPrefetch
	}
	o.Workers = max(o.Workers, 1)
	if o.PullExpiry <= 0 {
		o.PullExpiry = defaultPullExpiry
	}
	if pending := o.Consumer.MaxAckPending; pending > 0 {
		o.Prefetch = min(o.Prefetch, pending)
	}
	if o.DrainTimeout <= 0 {
		o.DrainTimeout = defaultDrainTimeout
	}
	return o, nil
}

// Consume hands the consumer's messages to the handler, one after the other in
// the order they come (or several at once, with Workers), until ctx is cancelled; then it lets the message in hand
// finish, gives back what was fetched, and returns nil. With MaxAckPending 1 a
// failed message holds back those behind it; otherwise they overtake it. One that
// lacks something unavailable is never given up.
//
// A consumer that disappears is made again and counted; a lost connection is
// waited out. It returns early only with code invalid_config, or stream_lost
// when the stream itself is gone.
func (b *Bus) Consume(ctx context.Context, o ConsumeOptions, h Handler) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	r := &reader{
		b: b, o: o, handle: h, log: b.log.With(telemetry.KeyStream, o.Stream, telemetry.KeyConsumer, o.Consumer.Durable),
		slots: make(chan struct{}, o.Workers), records: records{all: map[uint64]*record{}}, over: make(chan struct{}),
	}
	defer r.holding.Wait()
	defer close(r.over)
	wait := reopenWait
	for {
		taken, err := r.session(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case fault.CodeOf(err) == fault.StreamLost, fault.CodeOf(err) == fault.InvalidConfig:
			return err
		case taken:
			wait = reopenWait
		}
		r.log.Warn("consumer interrupted, opening it again", telemetry.KeyErr, err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
			wait = min(2*wait, maxReopenWait)
		}
	}
}

// session reads from one open consumer until something breaks. taken says
// whether it got as far as a message.
func (r *reader) session(ctx context.Context) (taken bool, err error) {
	consumer, err := r.open(ctx)
	if err != nil {
		return false, err
	}
	messages, err := consumer.Messages(
		jetstream.PullMaxMessages(r.o.Prefetch),
		jetstream.PullExpiry(r.o.PullExpiry),
		jetstream.PullHeartbeat(r.o.PullExpiry/heartbeats),
		jetstream.WithMessagesErrOnMissingHeartbeat(true),
	)
	if err != nil {
		return false, err
	}
	defer messages.Stop()
	var busy sync.WaitGroup
	defer busy.Wait()
	// Draining makes Next give what is buffered, then end.
	defer context.AfterFunc(ctx, messages.Drain)()
	for {
		m, err := messages.Next()
		if err != nil {
			return taken, err
		}
		taken = true
		if ctx.Err() != nil {
			r.giveBack(m)
			continue
		}
		r.slots <- struct{}{}
		if r.o.Workers == 1 {
			r.take(ctx, m)
			<-r.slots
			continue
		}
		busy.Go(func() {
			defer func() { <-r.slots }()
			r.take(ctx, m)
		})
	}
}

// open finds the durable, or makes it.
func (r *reader) open(ctx context.Context) (jetstream.Consumer, error) {
	stream, err := r.b.JS.Stream(ctx, r.o.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fault.Wrap(fault.StreamLost, err, "there is no stream %s", r.o.Stream)
	}
	if err != nil {
		return nil, err
	}
	r.epoch = stream.CachedInfo().Config.Metadata[topology.EpochKey]
	consumer, err := stream.Consumer(ctx, r.o.Consumer.Durable)
	if err == nil {
		r.opened, r.ackWait = true, ackWait(consumer)
		return consumer, nil
	}
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, err
	}
	if consumer, err = stream.CreateOrUpdateConsumer(ctx, r.o.Consumer); err != nil {
		return nil, err
	}
	if r.opened {
		r.b.metrics.recreated.WithLabelValues(r.o.Stream, r.o.Consumer.Durable).Inc()
		r.log.Warn("consumer had disappeared and was made again")
	}
	r.opened, r.ackWait = true, ackWait(consumer)
	return consumer, nil
}

func ackWait(c jetstream.Consumer) time.Duration {
	if w := c.CachedInfo().Config.AckWait; w > 0 {
		return w
	}
	return defaultAckWait
}
