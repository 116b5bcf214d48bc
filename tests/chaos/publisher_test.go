package chaos

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// pace is the time between two events, if the log keeps up.
const pace = 3 * time.Millisecond

// publisher publishes numbered events, one after the other, each until it is
// acknowledged; the message id keeps a repeated one from being stored twice.
type publisher struct {
	t    *testing.T
	js   jetstream.JetStream
	stop context.CancelFunc
	done chan struct{}

	mu     sync.Mutex
	stored int                // events 0 … stored-1 are acknowledged
	last   [partitions]uint64 // by partition: sequence of the last of them
}

func startPublisher(t *testing.T, js jetstream.JetStream) *publisher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &publisher{t: t, js: js, stop: cancel, done: make(chan struct{})}
	go p.run(ctx)
	t.Cleanup(func() { p.end() })
	return p
}

func (p *publisher) run(ctx context.Context) {
	defer close(p.done)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// What was begun is brought to its end, also when the test stops it.
		seq, err := p.publish(context.WithoutCancel(ctx), n)
		if err != nil {
			p.t.Errorf("publish event %d: %v", n, err)
			return
		}
		p.mu.Lock()
		p.stored, p.last[partition(n)] = n+1, seq
		p.mu.Unlock()
	}
}

func (p *publisher) publish(ctx context.Context, n int) (seq uint64, err error) {
	data, err := json.Marshal(record{N: n})
	if err != nil {
		return 0, err
	}
	m := &nats.Msg{Subject: sourceSubject(partition(n)), Data: data}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		once, cancel := context.WithTimeout(ctx, time.Second)
		var ack *jetstream.PubAck
		ack, err = p.js.PublishMsg(once, m, jetstream.WithMsgID(strconv.Itoa(n)), jetstream.WithRetryAttempts(0))
		if err == nil {
			cancel()
			return ack.Sequence, nil
		}
		<-once.Done() // an error that came at once would come again
		cancel()
	}
	return 0, err
}

// soFar is how many events are stored, and the sequence of the last in each
// partition.
func (p *publisher) soFar() (n int, last []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stored, append(last, p.last[:]...)
}

// end stops publishing.
func (p *publisher) end() {
	p.stop()
	<-p.done
}
