package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/belfry-events/belfry/pkg/fault"
)

// MaxBatch is the most messages one atomic batch may have; nats-server's limit.
const MaxBatch = 1000

// The protocol of an atomic batch (ADR-50): every message carries the batch's
// id and its own number from 1; the first is a request that an empty reply
// opens the batch for; the last is a request too, and commits.
//
//	→ Nats-Batch-Id: b  Nats-Batch-Sequence: 1                          ← (empty)
//	→ Nats-Batch-Id: b  Nats-Batch-Sequence: 2
//	→ Nats-Batch-Id: b  Nats-Batch-Sequence: 3  Nats-Batch-Commit: 1    ← {"stream","seq","batch","count"}
const (
	headerBatchID       = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
)

// batchTimeout bounds each of the two requests; the server gives an open batch
// up after ten idle seconds.
const batchTimeout = 5 * time.Second

// Why a batch was refused whole. Nothing of it is stored.
var (
	// ErrExpectation: an expected last sequence or message id was not the last.
	ErrExpectation = errors.New("expected last sequence does not hold")
	// ErrDuplicate: a message id of the batch is already stored, within the
	// stream's window. Whether that was this batch, the caller has to find out.
	ErrDuplicate = errors.New("batch contains a message id that is already stored")
	// ErrIncomplete: the stream has not got all of the batch. Its leader changed,
	// or it would not take a message in the middle: those are refused silently.
	ErrIncomplete = errors.New("batch is incomplete")
	// ErrOutcomeUnknown: no answer to the commit. The batch is stored whole or
	// not at all, and only reading the stream tells.
	ErrOutcomeUnknown = errors.New("the commit was not answered")
)

// BatchAck is where a batch was stored: Count messages in a row, the last of
// them at Seq.
type BatchAck struct {
	Stream string `json:"stream"`
	Seq    uint64 `json:"seq"`
	Count  int    `json:"count"`
}

// First is the sequence of the batch's first message.
func (a BatchAck) First() uint64 { return a.Seq - uint64(a.Count) + 1 }

// PublishBatch stores all messages or none, in this order and without others
// between them, in the one stream that listens to all their subjects. Headers
// may hold expectations ("Nats-Expected-Last-Subject-Sequence"); the messages
// are not changed.
//
// Errors: ErrExpectation, ErrDuplicate (both of code conflict), ErrIncomplete,
// ErrOutcomeUnknown (both unavailable), and codes invalid_request (no message, or more than MaxBatch),
// event_too_large, unavailable, invalid_config (the stream takes no batches).
func (b *Bus) PublishBatch(ctx context.Context, msgs []*nats.Msg) (BatchAck, error) {
	if len(msgs) == 0 || len(msgs) > MaxBatch {
		return BatchAck{}, fault.Field(fault.InvalidRequest, "messages", "%d are not between 1 and %d", len(msgs), MaxBatch)
	}
	id := nuid.Next()
	last := len(msgs) - 1
	for i, m := range msgs[:last] {
		numbered := inBatch(m, id, i+1, false)
		if i > 0 {
			if err := b.NC.PublishMsg(numbered); err != nil {
				return BatchAck{}, publishFault(err)
			}
			continue
		}
		if _, err := b.batchRequest(ctx, numbered); err != nil {
			return BatchAck{}, err
		}
	}
	ack, err := b.batchRequest(ctx, inBatch(msgs[last], id, len(msgs), true))
	if err != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, nats.ErrTimeout)) {
		return BatchAck{}, fault.Wrap(fault.Unavailable, errors.Join(ErrOutcomeUnknown, err), "the log did not answer in time")
	}
	return ack, err
}

// inBatch is a copy of m with the batch's headers; the data is shared.
func inBatch(m *nats.Msg, id string, number int, commit bool) *nats.Msg {
	header := make(nats.Header, len(m.Header)+3)
	maps.Copy(header, m.Header)
	header[headerBatchID] = []string{id}
	header[headerBatchSequence] = []string{strconv.Itoa(number)}
	if commit {
		header[headerBatchCommit] = []string{"1"}
	}
	return &nats.Msg{Subject: m.Subject, Header: header, Data: m.Data}
}

func (b *Bus) batchRequest(ctx context.Context, m *nats.Msg) (BatchAck, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	reply, err := b.NC.RequestMsgWithContext(ctx, m)
	if err != nil {
		return BatchAck{}, publishFault(err)
	}
	return readAck(reply.Data)
}

// readAck reads the answer to a stored message; an empty one opens a batch.
func readAck(data []byte) (BatchAck, error) {
	if len(data) == 0 {
		return BatchAck{}, nil
	}
	var answer struct {
		BatchAck
		Error *streamError `json:"error"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return BatchAck{}, fmt.Errorf("read the answer to a publish: %w", err)
	}
	if answer.Error != nil {
		return BatchAck{}, answer.Error.fault()
	}
	return answer.BatchAck, nil
}
