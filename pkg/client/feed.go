package client

import (
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/subject"
)

// The most that the feed keeps for a loop that is busy. Above it everything is
// dropped: it is in the log.
const (
	feedEvents = 4096
	feedBytes  = 8 << 20
)

// feed collects the live feed. The zero value is closed and empty.
type feed struct {
	more chan struct{} // holds a value when there is something to take
	subs []*nats.Subscription

	mu    sync.Mutex
	buf   []liveEvent
	bytes int
	head  uint64 // highest sequence seen, also of what was dropped
}

type liveEvent struct {
	seq uint64
	msg *nats.Msg
}

// open subscribes and makes sure that the server knows.
func (f *feed) open(nc *nats.Conn, subjects []string) error {
	f.more = make(chan struct{}, 1)
	for _, s := range subjects {
		sub, err := nc.Subscribe(s, f.push)
		if err != nil {
			return err
		}
		f.subs = append(f.subs, sub)
	}
	return nc.Flush()
}

func (f *feed) close() {
	for _, sub := range f.subs {
		_ = sub.Unsubscribe() // fails only when the connection is closed, which ends it too
	}
}

func (f *feed) push(m *nats.Msg) {
	// The server appends its headers: a publisher may have sent its own before.
	v := m.Header["Nats-Sequence"]
	if len(v) == 0 {
		return // somebody publishes under live. without being the log
	}
	seq, err := strconv.ParseUint(v[len(v)-1], 10, 64)
	if err != nil {
		return
	}
	f.mu.Lock()
	if len(f.buf) >= feedEvents || f.bytes >= feedBytes {
		f.buf, f.bytes = nil, 0
	}
	f.buf = append(f.buf, liveEvent{seq, m})
	f.bytes += len(m.Data)
	f.head = max(f.head, seq)
	f.mu.Unlock()
	select {
	case f.more <- struct{}{}:
	default:
	}
}

func (f *feed) take() (batch []liveEvent, head uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	batch, f.buf, f.bytes = f.buf, nil, 0
	return batch, f.head
}

// wanted are the filters of a tail; a nil set wants everything.
type wanted struct{ tenants, topics, verbs map[string]bool }

func wantedOf(o TailOptions) wanted {
	same := func(s string) string { return s }
	return wanted{setOf(o.Tenants, same), setOf(o.Topics, subject.Fold), setOf(o.Verbs, subject.Fold)}
}

func setOf(names []string, fold func(string) string) map[string]bool {
	if len(names) == 0 {
		return nil
	}
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[fold(n)] = true
	}
	return m
}

// match is false for what is no event, such as a control record.
func (w wanted) match(subj string) bool {
	a, ok := subject.ParseEvent(subj)
	return ok && has(w.tenants, a.Tenant) && has(w.topics, subject.Fold(a.Topic)) && has(w.verbs, subject.Fold(a.Verb))
}

func has(set map[string]bool, name string) bool { return set == nil || set[name] }
