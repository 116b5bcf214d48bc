package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Before is a question to a hook: something is about to happen; may it?
type Before struct {
	// Event is the stored <topic>.deleting: Subject is the object's id, ID the
	// deletion's, and Change says who deletes what, with the values that the caller
	// of BeforeDelete sent.
	Event     event.Event
	Asks      string    // what is asked: sys.userDelete, frm.objectToDelete
	MayRefuse bool      // false: the hook is told, and a refusal is only noted
	DryRun    bool      // somebody tries the hook; nothing will be deleted
	Deadline  time.Time // an answer after it is not heard
}

// Verdict is a hook's answer. The zero Verdict refuses.
type Verdict struct {
	Allow  bool   `json:"allow"`
	Reason string `json:"reason,omitempty"` // for people; the caller gets to see it
}

// Allow says yes.
func Allow() Verdict { return Verdict{Allow: true} }

// Refuse says no, and why.
func Refuse(reason string) Verdict { return Verdict{Reason: reason} }

const (
	// hookGroup shares a hook's questions between the processes that serve it.
	hookGroup = "hook"
	// maxHookCalls is how many questions one process answers at once.
	maxHookCalls = 128
)

// Hook answers the questions to a hook that is registered without a URL, until ctx
// ends; then those under way are finished, and it returns nil. f is called by
// several goroutines at once; its ctx ends with the question's deadline. Any number
// of processes may serve one hook: each question goes to one of them. Code
// grant_missing: the user of this connection may not listen there.
func (c *Client) Hook(ctx context.Context, tenant, name string, f func(context.Context, Before) Verdict) error {
	return ServeHook(ctx, c.nc, tenant, name, f)
}

// ServeHook is Client.Hook for a connection of your own, made with
// nats.PermissionErrOnSubscribe so that a refused subscription shows: a user who
// answers hooks and may do nothing else cannot read the log, which Connect begins
// with.
func ServeHook(ctx context.Context, nc *nats.Conn, tenant, name string, f func(context.Context, Before) Verdict) error {
	subj, err := subject.Hook(tenant, name)
	if err != nil {
		return err
	}
	sub, err := nc.QueueSubscribeSync(subj, hookGroup)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "cannot listen for questions")
	}
	defer func() { _ = sub.Unsubscribe() }()                   // the connection may be closed
	if err := flush(ctx, nc); err != nil && ctx.Err() == nil { // a refusal comes before its answer
		return fault.Wrap(fault.Unavailable, err, "cannot listen for questions")
	}
	slots := make(chan struct{}, maxHookCalls)
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		m, err := sub.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrPermissionViolation):
			return fault.Wrap(fault.GrantMissing, err, "this NATS user may not listen on %s", subj)
		case errors.Is(err, nats.ErrSlowConsumer): // what was dropped times out there
			continue
		case err != nil:
			return fault.Wrap(fault.Unavailable, err, "the connection is closed")
		}
		slots <- struct{}{}
		calls.Go(func() {
			defer func() { <-slots }()
			answerHook(ctx, m, f)
		})
	}
}

// flush waits until the server has seen what was sent. A context without an end
// gets one: the client library asks for it.
func flush(ctx context.Context, nc *nats.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return nc.FlushWithContext(ctx)
}

// answerHook answers one question. What is no question, and a handler that panics,
// are answered with an error, so that nobody waits until the time is over.
func answerHook(ctx context.Context, m *nats.Msg, f func(context.Context, Before) Verdict) {
	verdict, err := func() (v Verdict, err error) {
		b, err := parseBefore(m.Data)
		if err != nil {
			return v, err
		}
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
			}
		}()
		ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), b.Deadline)
		defer cancel()
		return f(ctx, b), nil
	}()
	reply := &nats.Msg{Header: nats.Header{"Content-Type": {"application/json"}}}
	if err != nil {
		fault.Wrap(fault.Internal, err, "the handler failed").SetHeader(reply.Header.Set)
	} else if reply.Data, err = json.Marshal(verdict); err != nil {
		return // two plain fields cannot fail
	}
	_ = m.RespondMsg(reply) // whoever asked gives up at the deadline
}

// parseBefore reads a question.
func parseBefore(data []byte) (Before, error) {
	e, err := event.ParseJSON(data)
	if err != nil {
		return Before{}, err
	}
	b := Before{Event: e}
	b.Asks, _ = e.Extensions["asks"].(string)
	b.MayRefuse, _ = e.Extensions["mayrefuse"].(bool)
	b.DryRun, _ = e.Extensions["dryrun"].(bool)
	deadline, _ := e.Extensions["deadline"].(string)
	if b.Deadline, err = time.Parse(time.RFC3339Nano, deadline); err != nil {
		return b, fmt.Errorf("read the deadline: %w", err)
	}
	return b, nil
}
