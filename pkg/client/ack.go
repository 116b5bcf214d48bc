package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Receipt says that an event is kept.
type Receipt struct {
	ID        string       // the event's id, also when it was made for it
	Cursor    event.Cursor // where the log keeps it
	Duplicate bool         // the log had it already, at Cursor (or from us, when it had to be sent twice)
}

// Ack is an event on its way into the log.
type Ack struct {
	box    *outbox
	id     string
	size   int // bytes it counts for in the window
	number uint64
	first  time.Time // when it entered the window
	sent   time.Time // when it was last sent

	awaited bool // by Publish, which returns the outcome

	// Guarded by the outbox's mutex.
	msg      *nats.Msg // nil once resolved
	resolved bool
	receipt  Receipt
	err      error
	done     chan struct{} // made when somebody asks
}

// Done is closed when the event is kept or has failed.
func (a *Ack) Done() <-chan struct{} {
	a.box.mu.Lock()
	defer a.box.mu.Unlock()
	if a.done == nil {
		a.done = make(chan struct{})
		if a.resolved {
			close(a.done)
		}
	}
	return a.done
}

// Receipt is the outcome. Before Done it is the error of a call made too early.
func (a *Ack) Receipt() (Receipt, error) {
	a.box.mu.Lock()
	defer a.box.mu.Unlock()
	if !a.resolved {
		return Receipt{}, errors.New("the event is not acknowledged yet: wait for Done")
	}
	return a.receipt, a.err
}

// Wait waits for the outcome. When ctx ends first, the event may still be kept.
func (a *Ack) Wait(ctx context.Context) (Receipt, error) {
	select {
	case <-a.Done():
		return a.Receipt()
	case <-ctx.Done():
		return Receipt{}, fault.Wrap(fault.Unavailable, ctx.Err(), "the event was not acknowledged in time; it may still be kept")
	}
}

// pubAck is what the log answers to a message it keeps.
type pubAck struct {
	seq       uint64
	duplicate bool
}

// ackPrefix begins every acknowledgement a JetStream server writes.
var ackPrefix = []byte(`{"stream":"` + topology.Events + `","seq":`)

// parseAck reads an answer. The usual form is read by hand: it is the hot half
// of publishing. Anything else goes through encoding/json.
func parseAck(m *nats.Msg) (pubAck, error) {
	if digits, ok := bytes.CutPrefix(m.Data, ackPrefix); ok {
		if digits, ok = bytes.CutSuffix(digits, []byte("}")); ok {
			if seq, err := strconv.ParseUint(string(digits), 10, 64); err == nil {
				return pubAck{seq: seq}, nil
			}
		}
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return pubAck{}, nats.ErrNoResponders
	}
	var v struct {
		Error     *apiError `json:"error"`
		Stream    string    `json:"stream"`
		Seq       uint64    `json:"seq"`
		Duplicate bool      `json:"duplicate"`
	}
	if err := json.Unmarshal(m.Data, &v); err != nil {
		return pubAck{}, fmt.Errorf("read an acknowledgement: %w", err)
	}
	switch {
	case v.Error != nil:
		return pubAck{}, v.Error.fault()
	case v.Stream != topology.Events:
		return pubAck{}, fmt.Errorf("acknowledged by stream %q instead of %s", v.Stream, topology.Events)
	}
	return pubAck{v.Seq, v.Duplicate}, nil
}

// apiError is JetStream's.
type apiError struct {
	Status      int    `json:"code"`
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return e.Description }

// JetStream's codes.
const (
	codeTooLarge  = 10054 // message size exceeds maximum allowed
	codeInProcess = 10158 // duplicate message id is in process: sent again before it was decided
)

func (e *apiError) fault() error {
	switch {
	case e.Code == codeTooLarge:
		return fault.Wrap(fault.EventTooLarge, e, "the event is above the log's maximum size")
	case e.Status == 503, e.Code == codeInProcess:
		return fault.Wrap(fault.Unavailable, e, "the log does not take events now")
	case e.Status == 400:
		return fault.Wrap(fault.InvalidEvent, e, "the log refused the event: %s", e.Description)
	}
	return fmt.Errorf("publish: %w", e)
}

// retryable: the log was not there, or could not take it now.
func retryable(err error) bool {
	var f *fault.Error
	return errors.Is(err, nats.ErrNoResponders) || errors.As(err, &f) && f.Code().Kind() == fault.Down
}

func unavailable(cause error) error {
	return fault.Wrap(fault.Unavailable, cause, "the log does not answer")
}

func errClosed() error { return fault.New(fault.Unavailable, "the client is closed") }

func tooLarge(cause error, size int, limit int64) error {
	return fault.Wrap(fault.EventTooLarge, cause, "%d bytes with headers are above the server's maximum of %d", size, limit)
}
