package objectevent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// call is one question to one hook: the stored event, as CloudEvents JSON, with
// extensions that say what is asked.
type call struct {
	hook   hook
	before beforeEvent
	about  event.Event // the deleting event
	dryRun bool
}

// Extensions of an event that a hook is asked with; pkg/client reads them.
const (
	extHook      = "hook"      // the hook's name
	extAsks      = "asks"      // what it is asked: sys.userDelete
	extMayRefuse = "mayrefuse" // its answer counts
	extDeadline  = "deadline"  // an answer after it is not heard
	extDryRun    = "dryrun"    // nothing will be deleted
)

const eventJSON = "application/cloudevents+json"

// body is what the hook gets.
func (c *call) body(deadline time.Time) []byte {
	e := c.about
	e.Extensions = map[string]any{
		extHook: c.hook.Name, extAsks: c.before.name, extMayRefuse: c.before.mayRefuse,
		extDeadline: deadline.UTC().Format(time.RFC3339Nano),
	}
	if c.dryRun {
		e.Extensions[extDryRun] = true
	}
	return e.AppendJSON(nil)
}

// caller calls hooks.
type caller struct {
	nc       *nats.Conn
	http     *http.Client
	circuits *circuits
	stats    *hookMetrics
	tracer   trace.Tracer
}

// ask asks one hook and answers what it said, or how it failed; it takes no longer
// than the hook's timeout, nor than ctx.
func (c *caller) ask(ctx context.Context, q *call) Answer {
	a := Answer{Hook: q.hook.Name, Event: q.before.name}
	id := hookID{q.about.Tenant, q.hook.Name}
	if !q.dryRun && !c.circuits.enter(id, q.hook.Revision) {
		a.Outcome, a.Reason = CutOff, fmt.Sprintf("failed %d times or more in a row and is not asked for a while", c.circuits.limit)
		c.stats.count(q, a)
		return a
	}
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, q.hook.Timeout)
	defer cancel()
	within, span := c.tracer.Start(within, "objectevent.hook", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("hook", q.hook.Name), attribute.String(telemetry.KeyEventID, q.about.ID)))
	defer span.End()
	says, err := c.reach(within, q)
	took := time.Since(began)
	a.Millis = float64(took) / float64(time.Millisecond)
	a.Outcome, a.Reason = outcomeOf(says, err, q.before.mayRefuse, took)
	span.SetAttributes(attribute.String("outcome", string(a.Outcome)))
	switch {
	case q.dryRun: // whoever tries a hook does not speak for its callers
	case a.failed() && stopping(ctx):
		c.circuits.cancel(id)
	// That nobody listens on NATS is known at once and costs nothing to ask: there
	// is no need to leave it alone, and it is back the moment it listens.
	case a.Outcome == Absent && q.hook.URL == "":
		c.circuits.cancel(id)
	default:
		c.circuits.leave(id, q.hook.Revision, a.failed(), a.Reason)
	}
	c.stats.count(q, a)
	return a
}

// failed says that the hook gave no answer.
func (a Answer) failed() bool {
	return a.Outcome != SaidYes && a.Outcome != SaidNo && a.Outcome != Informed
}

// refuses says whether the answer ends the deletion.
func (a Answer) refuses(q *call) bool {
	return q.before.mayRefuse && (a.Outcome == SaidNo || a.failed() && !q.hook.FailOpen)
}

// outcomeOf is what an answer, or an error, comes to.
func outcomeOf(says hookSays, err error, mayRefuse bool, took time.Duration) (Outcome, string) {
	var bad badAnswerError
	switch {
	case err == nil && !mayRefuse:
		return Informed, says.reason
	case err == nil && says.allow:
		return SaidYes, says.reason
	case err == nil && says.reason == "":
		return SaidNo, "no reason given"
	case err == nil:
		return SaidNo, says.reason
	case errors.As(err, &bad):
		return Garbage, bad.Error()
	case fault.CodeOf(err) == fault.TargetForbidden:
		return NotAllowed, fault.From(err).Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), isTimeout(err):
		return TimedOut, fmt.Sprintf("no answer within %s", took.Round(time.Millisecond))
	case errors.Is(err, nats.ErrNoResponders):
		return Absent, "nobody listens"
	case errors.Is(err, errSealed):
		return Absent, errSealed.Error()
	}
	return Absent, "cannot be reached"
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// badAnswerError is an answer that is none.
type badAnswerError string

func (b badAnswerError) Error() string { return string(b) }

// reach brings the question there and the answer back.
func (c *caller) reach(ctx context.Context, q *call) (hookSays, error) {
	deadline, _ := ctx.Deadline() // ask has set one
	body := q.body(deadline)
	var answer []byte
	var err error
	if q.hook.URL == "" {
		answer, err = c.overNATS(ctx, q, body)
	} else {
		answer, err = c.overHTTP(ctx, q, body)
	}
	if err != nil {
		return hookSays{}, err
	}
	says, err := parseAnswer(answer)
	if err != nil {
		return says, badAnswerError(err.Error())
	}
	return says, nil
}

func (c *caller) overNATS(ctx context.Context, q *call, body []byte) ([]byte, error) {
	subj, err := subject.Hook(q.about.Tenant, q.hook.Name)
	if err != nil {
		return nil, err
	}
	m := &nats.Msg{Subject: subj, Data: body, Header: nats.Header{"Content-Type": {eventJSON}}}
	telemetry.Inject(ctx, m.Header)
	reply, err := c.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return nil, err
	}
	if text := reply.Header.Get(fault.HeaderError); text != "" { // how NATS services say it, ADR-32
		return nil, badAnswerError("answered with the error " + tame(text))
	}
	return reply.Data, nil
}

func (c *caller) overHTTP(ctx context.Context, q *call, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, q.hook.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", eventJSON)
	r.Header.Set("User-Agent", "Belfry-Hook/1")
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(r.Header))
	if !sign(r.Header, q.hook.Secrets, q.about.ID+":"+q.hook.Name, time.Now(), body) {
		return nil, errSealed
	}
	resp, err := c.http.Do(r)
	switch {
	case errors.Is(err, errRedirected):
		return nil, badAnswerError(errRedirected.Error())
	case err != nil:
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, badAnswerError("answered with status " + strings.TrimSpace(tame(resp.Status)))
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
}
