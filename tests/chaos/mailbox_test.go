package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
	"github.com/belfry-events/belfry/proto/belfry/mailbox/v1/mailboxv1connect"
	"github.com/belfry-events/belfry/services/mailbox"
)

const (
	mailboxTopics   = 3
	mailboxReplicas = 2

	// How long a partner holds a message: less than a stall after a kill, so that
	// locks run out too.
	partnerLock = 5

	defaultMailboxRounds = 6 // one of each blow
)

// partner is a client system with one subscriber: it polls until it is told to
// stop, asks again whatever is not answered, and writes down what it has confirmed.
type partner struct {
	t        *testing.T
	replicas []mailboxv1connect.MailboxServiceClient
	id       string
	topics   []int
	stop     *atomic.Bool

	mu        sync.Mutex
	confirmed []int          // numbers of events, in the order of their confirms
	by        map[string]int // message → how many locks have confirmed it
	doubts    []string       // what it was told instead of an answer that was lost
}

// on is a replica, another one each time.
func (p *partner) on() mailboxv1connect.MailboxServiceClient {
	return p.replicas[rand.IntN(len(p.replicas))]
}

// until calls until the platform has answered, whatever it is.
func until[T any](p *partner, call func(ctx context.Context) (T, error)) (answer T, err error) {
	for {
		answer, err = call(p.t.Context())
		told := api.FaultOf(err)
		if err == nil || told != nil && told.Code().Kind() != fault.Down || p.t.Context().Err() != nil {
			return answer, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-p.t.Context().Done():
			return answer, p.t.Context().Err()
		}
	}
}

// poll is the cycle of the ITAS text, single-threaded.
func (p *partner) poll() {
	zero, one, lock := int32(0), int32(1), int32(partnerLock)
	for {
		last := p.stop.Load() // read before the mailbox is
		wait := &one
		if last {
			wait = &zero
		}
		peek, err := until(p, func(ctx context.Context) (*mailboxv1.PeekResponse, error) {
			return p.on().Peek(ctx, &mailboxv1.PeekRequest{SubscriberId: p.id, Timeout: wait})
		})
		switch {
		case err != nil:
			p.t.Errorf("peek: %v", err)
			return
		case peek.NextMessageId == nil && last && peek.GetMessageCount() == 0:
			return
		case peek.NextMessageId == nil:
			continue
		}
		p.take(peek.GetNextMessageId(), lock)
	}
}

// take receives a message, for as long as a lock that is ours without our knowing
// it is in the way, and confirms it.
func (p *partner) take(message string, lock int32) {
	for p.t.Context().Err() == nil {
		m, err := until(p, func(ctx context.Context) (*mailboxv1.ReceiveResponse, error) {
			return p.on().Receive(ctx, &mailboxv1.ReceiveRequest{SubscriberId: p.id, MessageId: message, LockTimeout: &lock})
		})
		switch code(err) {
		case "":
		case fault.MessageLocked:
			select {
			case <-time.After(100 * time.Millisecond):
			case <-p.t.Context().Done():
			}
			continue
		case fault.MessageUnknown:
			p.doubtf("message %s is unknown when it is received", message)
			return // confirmed by a call whose answer was lost
		default:
			p.t.Errorf("receive: %v", err)
			return
		}
		var event struct {
			Data record `json:"data"`
		}
		if err := json.Unmarshal(m.GetMessage().GetJson(), &event); err != nil {
			p.t.Errorf("message %s: %v", message, err)
			return
		}
		_, err = until(p, func(ctx context.Context) (*mailboxv1.ConfirmResponse, error) {
			return p.on().Confirm(ctx, &mailboxv1.ConfirmRequest{SubscriberId: p.id, MessageId: message, LockId: m.GetLockId()})
		})
		switch code(err) {
		case "":
			p.mu.Lock()
			p.confirmed = append(p.confirmed, event.Data.N)
			p.by[message]++
			p.mu.Unlock()
			return
		case fault.LockLost:
			p.doubtf("event %d, message %s: %v", event.Data.N, message, err)
			continue // it took too long: the same message again
		default:
			p.t.Errorf("confirm: %v", err)
			return
		}
	}
}

func (p *partner) doubtf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubts = append(p.doubts, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
}

func code(err error) fault.Code {
	switch told := api.FaultOf(err); {
	case err == nil:
		return ""
	case told != nil:
		return told.Code()
	}
	return fault.Internal
}

// post is the mailbox service under test.
type post struct {
	*cluster
	dealer
	replicas []*replica
	first    *partner
}

func (w *post) blows() []blow {
	return append(w.leaders(w.cluster, topology.Events, mailbox.Stream, "KV_"+mailbox.StateBucket),
		blow{"kill -9 of a replica", func() string { return w.kill(w.any(), w.upTo(time.Second)) }},
		blow{"freeze of a replica", func() string { return w.freeze(w.any(), 6*time.Second) }})
}

func (w *post) any() *process { return w.replicas[w.random.IntN(len(w.replicas))].process }

// settled waits until the cluster is whole, and a partner goes on.
func (w *post) settled() {
	w.t.Helper()
	w.whole(topology.Events, mailbox.Stream, "KV_"+mailbox.StateBucket, "KV_"+topology.RelayCopies)
	before := w.first.count()
	bustest.Eventually(w.t, patience, "partners go on", func() bool { return w.first.count() > before })
}

// TestMailboxesLoseNothing kills replicas of the mailbox service and the leaders of
// what they stand on, under load, and counts: from the answer to Subscribe on,
// every event is confirmed by its partner once, in order (MB3, MB4, MB5, MB9).
func TestMailboxesLoseNothing(t *testing.T) {
	rounds := setting(t, "BELFRY_CHAOS_ROUNDS", defaultMailboxRounds)
	seed := setting(t, "BELFRY_CHAOS_SEED", rand.Uint64N(1_000_000))
	sayf(t, "mailboxes: %d rounds, BELFRY_CHAOS_SEED=%d", rounds, seed)

	c := newCluster(t)
	var replicas []*replica
	var clients []mailboxv1connect.MailboxServiceClient
	client, auth := httpClient(t), bearer(c.token("partner"))
	for i := range mailboxReplicas {
		r := c.startReplica(fmt.Sprintf("mailbox-%d", i), "mailbox")
		replicas = append(replicas, r)
		clients = append(clients, mailboxv1connect.NewMailboxServiceClient(client, r.url, auth))
	}
	source := &business{t: t, js: c.bus.JS, stop: make(chan struct{}), ended: make(chan struct{})}
	for topic := range mailboxTopics {
		source.publish(topic) // so that it can be subscribed to
	}
	stop := &atomic.Bool{}
	var partners []*partner
	for i := range 9 {
		p := &partner{t: t, replicas: clients, stop: stop, by: map[string]int{}}
		registered, err := until(p, func(ctx context.Context) (*mailboxv1.RegisterResponse, error) {
			return p.on().Register(ctx, &mailboxv1.RegisterRequest{SubscriberName: strconv.Itoa(i)})
		})
		if err != nil {
			t.Fatal(err)
		}
		p.id = registered.GetSubscriberId()
		for topic := range mailboxTopics {
			if (i+1)>>topic&1 == 0 {
				continue
			}
			p.topics = append(p.topics, topic)
			if _, err := until(p, func(ctx context.Context) (*mailboxv1.SubscribeResponse, error) {
				return p.on().Subscribe(ctx, &mailboxv1.SubscribeRequest{SubscriberId: p.id, CompCode: "AA", Topic: topicName(topic)})
			}); err != nil {
				t.Fatal(err)
			}
		}
		if len(p.topics) > 0 {
			partners = append(partners, p)
		}
	}
	from := source.published() // every partner has every event from here on
	go source.run()
	var polling sync.WaitGroup
	for _, p := range partners {
		polling.Go(p.poll)
	}

	w := &post{cluster: c, dealer: newDealer(seed), replicas: replicas, first: partners[0]}
	w.rounds(t, rounds, time.Second, w)
	if t.Failed() {
		return
	}
	close(source.stop)
	<-source.ended
	last := source.published()
	for _, p := range partners { // a slow machine has many to catch up with
		for want, since := len(source.of(p.topics, from, last)), time.Now(); p.count() < want && time.Since(since) < patience; {
			before := p.count()
			w.wait(100 * time.Millisecond)
			if p.count() > before {
				since = time.Now()
			}
		}
	}
	stop.Store(true)
	polling.Wait()

	total := 0
	for i, p := range partners {
		want := source.of(p.topics, from, last)
		total += len(want)
		if !slices.Equal(p.confirmed, want) {
			for _, why := range p.doubts {
				t.Logf("partner %d: %s", i, why)
			}
			t.Errorf("partner %d confirmed %d events of %d: %s", i, len(p.confirmed), len(want), firstDifference(p.confirmed, want))
		}
		for message, n := range p.by {
			if n > 1 {
				t.Errorf("partner %d: message %s was confirmed by %d locks", i, message, n)
			}
		}
	}
	sayf(t, "mailboxes: %d events, %d confirmed, none lost, none twice, in order", last-from, total)
}

func (p *partner) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.confirmed)
}

// firstDifference says where two orders part.
func firstDifference(got, want []int) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("at %d there is %v, want %v", i, got[i:min(i+5, len(got))], want[i:min(i+5, len(want))])
		}
	}
	return "one is longer"
}

func topicName(n int) string { return "t" + strconv.Itoa(n) }

// business publishes events, one after the other, each until it is stored. The n-th
// is about topic n modulo mailboxTopics, so the order over all topics is that of
// their numbers.
type business struct {
	t           *testing.T
	js          jetstream.JetStream
	stop, ended chan struct{}
	n           atomic.Int64
}

func (b *business) published() int { return int(b.n.Load()) }

func (b *business) run() {
	defer close(b.ended)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-tick.C:
			b.publish(b.published() % mailboxTopics)
		}
	}
}

// publish stores the next event; what is not confirmed is sent again with its id.
func (b *business) publish(topic int) {
	n := b.published()
	data, err := json.Marshal(record{N: n, Since: time.Now()})
	if err != nil {
		b.t.Error(err)
	}
	m := &nats.Msg{Subject: "evt.AA." + topicName(topic) + ".created", Data: data, Header: nats.Header{"Nats-Msg-Id": {"chaos/" + strconv.Itoa(n)}}}
	for b.t.Context().Err() == nil {
		ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Second)
		_, err := b.js.PublishMsg(ctx, m)
		cancel()
		if err == nil {
			b.n.Add(1)
			return
		}
	}
}

// of are the numbers of the events of some topics.
func (b *business) of(topics []int, from, till int) (all []int) {
	for n := from; n < till; n++ {
		if slices.Contains(topics, n%mailboxTopics) {
			all = append(all, n)
		}
	}
	return all
}
