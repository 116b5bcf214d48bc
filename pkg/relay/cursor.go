package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/stream"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// cursor is how far a relay is: a JSON document under one subject of the target,
// the last message of every batch. Its sequence there is its revision, and the
// fence: a batch is refused unless the writer knows the newest revision.
type cursor struct {
	Epoch   string `json:"epoch"`   // of the source stream
	Seq     uint64 `json:"seq"`     // the source is relayed up to here
	Settled uint64 `json:"settled"` // and AfterCommit has run up to here, at least

	// The message after Seq, while it is relayed in parts or fails.
	Head     uint64 `json:"head,omitempty"`     // its sequence
	Sub      int    `json:"sub,omitempty"`      // this many of its effects are stored
	Of       int    `json:"of,omitempty"`       // it has this many, if Sub > 0
	Attempts int    `json:"attempts,omitempty"` // Map has failed on it so often

	Starts int       `json:"starts,omitempty"` // takeovers since Seq or Sub last grew
	Writer string    `json:"writer"`           // with Number: which write this is
	Number uint64    `json:"number"`
	At     time.Time `json:"at"` // when, by the writer's clock
}

// position is the last message relayed.
func (c cursor) position() event.Cursor {
	if c.Seq == 0 {
		return event.Cursor{}
	}
	return event.Cursor{Epoch: c.Epoch, Seq: c.Seq}
}

// wrote says that c is the very document that d is, stored.
func (c cursor) wrote(d cursor) bool { return c.Writer == d.Writer && c.Number == d.Number }

// sign makes c a new document of this worker.
func (r *Relay) sign(c cursor) cursor {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number++
	c.Writer, c.Number, c.At = r.writer, r.number, time.Now().UTC()
	return c
}

const (
	headerExpected = "Nats-Expected-Last-Subject-Sequence"
	headerRollup   = "Nats-Rollup"
)

// callTimeout bounds one request. One that went to a node that died is never
// answered, also when its successor leads already: the sooner it is given up,
// the shorter the relay stands after an election.
const callTimeout = 2 * time.Second

// message is c as the last message of a batch that replaces revision.
func (c cursor) message(subj string, revision uint64, rollup bool) (*nats.Msg, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write the cursor: %w", err)
	}
	m := &nats.Msg{Subject: subj, Data: body, Header: nats.Header{headerExpected: {fmt.Sprint(revision)}}}
	if rollup {
		m.Header[headerRollup] = []string{"sub"}
	}
	return m, nil
}

// loadCursor reads the cursor and its revision from the target's leader; both
// zero when there is none.
func (r *Relay) loadCursor(ctx context.Context) (cursor, uint64, error) {
	return r.load(ctx, r.o.Target, r.o.Cursor)
}

// loadCopy reads the copy and its revision.
func (r *Relay) loadCopy(ctx context.Context) (cursor, uint64, error) {
	return r.load(ctx, "KV_"+topology.RelayCopies, r.copySubject())
}

func (r *Relay) copySubject() string { return subject.Key(topology.RelayCopies, r.o.Name) }

func (r *Relay) load(ctx context.Context, name, subj string) (c cursor, revision uint64, err error) {
	m, ok, err := r.stored(name).Last(ctx, subj)
	if err != nil || !ok {
		return c, 0, err
	}
	if err := json.Unmarshal(m.Data, &c); err != nil {
		return c, 0, fault.Wrap(fault.InvalidConfig, err, "relay %s: the message under %s is no cursor", r.o.Name, subj)
	}
	return c, m.Seq, nil
}

// stored reads a stream in its leader's word: the client library would ask any
// replica where it may.
func (r *Relay) stored(name string) stream.Stream {
	return stream.Stream{Caller: stream.Conn{NC: r.o.Bus.NC, Within: callTimeout}, Name: name, Down: func(name string, err error) error {
		down := stream.Down(name, err)
		return fault.Wrap(fault.CodeOf(down), err, "relay %s: %v", r.o.Name, down)
	}}
}
