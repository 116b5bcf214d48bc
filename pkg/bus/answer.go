package bus

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Codes of nats-server's answers to a publish (its errors.json). Several mean
// the same: which one comes depends on replicas and on timing.
const (
	wrongLastMsgID      = 10070
	wrongLastSequence   = 10071
	wrongLastSequenceR3 = 10164
	messageTooLarge     = 10054
	batchDisabled       = 10174
	batchIncomplete     = 10176
	batchTooLarge       = 10199
	batchBadHeader      = 10177
	batchDuplicate      = 10201
)

// streamError is the error member of a stream's answer.
type streamError struct {
	Status      int    `json:"code"`
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

// Error is the server's text and number.
func (e *streamError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.Code) }

// fault gives the answer its code. What is not listed may go well next time: too
// many open batches, no quorum.
func (e *streamError) fault() error {
	switch e.Code {
	case wrongLastMsgID, wrongLastSequence, wrongLastSequenceR3:
		return fault.Wrap(fault.Conflict, errors.Join(ErrExpectation, e), "somebody else wrote there first")
	case batchDuplicate:
		return fault.Wrap(fault.Conflict, errors.Join(ErrDuplicate, e), "a message id of the batch is already stored")
	case batchIncomplete:
		return fault.Wrap(fault.Unavailable, errors.Join(ErrIncomplete, e), "the log did not get the whole batch")
	case messageTooLarge:
		return fault.Wrap(fault.EventTooLarge, e, "the message is above the stream's maximum size")
	case batchTooLarge, batchBadHeader:
		return fault.Wrap(fault.InvalidRequest, e, "the stream does not take this batch")
	case batchDisabled:
		return fault.Wrap(fault.InvalidConfig, e, "the stream does not take batches")
	}
	return fault.Wrap(fault.Unavailable, e, "the log does not take the message now")
}

// publishFault gives the client library's refusals their code.
func publishFault(err error) error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return fault.Wrap(fault.EventTooLarge, err, "the message is above the server's maximum size")
	case errors.Is(err, nats.ErrNoResponders):
		return fault.Wrap(fault.Unavailable, err, "no stream listens there")
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrBadHeaderMsg):
		return fault.Wrap(fault.InvalidRequest, err, "not a message that NATS can carry")
	}
	return fault.Wrap(fault.Unavailable, err, "the log does not answer")
}
