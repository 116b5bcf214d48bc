package objectevent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// bucket reads and writes JSON documents in a key-value bucket. Reads are answered
// by its leader, and every write says which revision it replaces.
type bucket struct {
	js   jetstream.JetStream
	name string

	mu sync.Mutex
	kv jetstream.KeyValue // nil until it is first used
}

func newBucket(js jetstream.JetStream, name string) *bucket { return &bucket{js: js, name: name} }

func (b *bucket) open(ctx context.Context) (jetstream.KeyValue, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kv == nil {
		kv, err := b.js.KeyValue(ctx, b.name)
		if err != nil {
			return nil, storeDown(err)
		}
		b.kv = kv
	}
	return b.kv, nil
}

// get reads the document of a key. Revision 0: there is none. Code unavailable.
func (b *bucket) get(ctx context.Context, key string, document any) (revision uint64, err error) {
	kv, err := b.open(ctx)
	if err != nil {
		return 0, err
	}
	entry, err := kv.Get(ctx, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound): // also deleted or expired
		return 0, nil
	case err != nil:
		return 0, storeDown(err)
	}
	if err := json.Unmarshal(entry.Value(), document); err != nil {
		return 0, fmt.Errorf("read %s of %s: %w", key, b.name, err)
	}
	return entry.Revision(), nil
}

// put writes the document of a key over that of a revision, 0 = there is none. It
// goes by itself after keep, 0 = never. Codes conflict (it is another revision),
// unavailable.
func (b *bucket) put(ctx context.Context, key string, document any, revision uint64, keep time.Duration) (uint64, error) {
	data, err := json.Marshal(document)
	if err != nil {
		return 0, fmt.Errorf("write %s of %s: %w", key, b.name, err)
	}
	if revision == 0 && keep == 0 {
		kv, err := b.open(ctx)
		if err != nil {
			return 0, err
		}
		revision, err = kv.Create(ctx, key, data) // over the marker of one that was deleted, too
		return revision, notWritten(err)
	}
	// Not by the client's Update, which would drop the time of the entry.
	options := []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(revision)}
	if keep > 0 {
		options = append(options, jetstream.WithMsgTTL(keep))
	}
	ack, err := b.js.PublishMsg(ctx, &nats.Msg{Subject: subject.Key(b.name, key), Data: data}, options...)
	if err != nil {
		return 0, notWritten(err)
	}
	return ack.Sequence, nil
}

// Codes of JetStream for an expected sequence that is not the last one; the second
// is how replicated streams say it.
const (
	wrongLastSequence           jetstream.ErrorCode = 10071
	wrongLastSequenceReplicated jetstream.ErrorCode = 10164
)

// notWritten is the fault of a write that expected a revision; nil for nil.
func notWritten(err error) error {
	if err == nil {
		return nil
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	if errors.Is(err, jetstream.ErrKeyExists) ||
		ok && (api.ErrorCode == wrongLastSequence || api.ErrorCode == wrongLastSequenceReplicated) {
		return fault.Wrap(fault.Conflict, err, "somebody else changed it first; look again")
	}
	return storeDown(err)
}

func storeDown(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the store does not answer; try again")
}
