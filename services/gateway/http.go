package gateway

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
)

// mount adds the gateway's routes.
func (s *Service) mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/ws", s.origin(s.serveWebSocket))
	mux.HandleFunc("GET /v1/sse", s.origin(s.serveSSE))
	mux.HandleFunc("POST /v1/events", s.origin(s.postEvents))
	mux.HandleFunc("GET /v1/events", s.origin(s.getEvents))
	mux.HandleFunc("OPTIONS /v1/", s.preflight)
	if s.config.Console {
		mountConsole(mux)
	}
}

// receipt answers one stored event.
type receipt struct {
	ID        string `json:"id"`
	Cursor    string `json:"cursor"`
	Duplicate bool   `json:"duplicate"`
}

// maxBatch is how many events one request may carry.
const maxBatch = 1000

// postEvents is POST /v1/events: CloudEvents in binary, structured or batch mode
// are stored; the answer names each one's id and cursor. Everything is checked
// before anything is stored. The same id again within two minutes is not stored
// again, and answers the first one's cursor.
func (s *Service) postEvents(w http.ResponseWriter, r *http.Request) {
	receipts, batch, err := s.takeEvents(w, r)
	s.stats.published.WithLabelValues(outcome(err)).Inc()
	switch {
	case err != nil:
		api.WriteError(w, r, err)
	case batch:
		api.WriteJSON(w, http.StatusOK, map[string][]receipt{"events": receipts})
	default:
		api.WriteJSON(w, http.StatusOK, receipts[0])
	}
}

func outcome(err error) string {
	if err == nil {
		return "stored"
	}
	return string(fault.CodeOf(err))
}

func (s *Service) takeEvents(w http.ResponseWriter, r *http.Request) (receipts []receipt, batch bool, err error) {
	principal, err := s.authenticateHeader(r)
	if err != nil {
		return nil, false, err
	}
	limit := int64(s.maxEvent)
	if isBatch(r.Header) {
		limit *= 8 // a batch of the largest events would not fit into one of them
	}
	body, err := api.ReadBody(w, r, limit)
	if err != nil {
		return nil, false, err
	}
	events, batch, err := event.FromHTTP(r.Header, body)
	if err != nil {
		return nil, batch, err
	}
	if len(events) == 0 || len(events) > maxBatch {
		return nil, batch, fault.New(fault.InvalidRequest, "a batch has 1 to %d events, not %d", maxBatch, len(events))
	}
	now := time.Now()
	for i := range events {
		if err := s.admit(&events[i], principal, now); err != nil {
			if batch {
				err = fault.From(err).With("index", strconv.Itoa(i))
			}
			return nil, batch, err
		}
	}
	receipts, err = s.store(r, events)
	return receipts, batch, err
}

// admit completes and checks one event, and asks whether the caller may publish
// it. What CloudEvents requires is not made up here: an HTTP caller who has lost
// its answer must be able to send the same id again.
func (s *Service) admit(ev *event.Event, p *auth.Principal, now time.Time) error {
	for _, required := range []struct{ name, value string }{{"id", ev.ID}, {"source", ev.Source}, {"type", ev.Type}} {
		if required.value == "" {
			return fault.Field(fault.InvalidEvent, required.name, "is required by CloudEvents 1.0")
		}
	}
	tenant, err := p.Tenant(ev.Tenant)
	if err != nil {
		return err
	}
	ev.Tenant = tenant
	ev.Complete(now)
	if err := ev.Validate(); err != nil {
		return err
	}
	if len(ev.Data) > s.maxEvent {
		return fault.New(fault.EventTooLarge, "the event has %d bytes of data, the maximum is %d", len(ev.Data), s.maxEvent)
	}
	return p.Decide(auth.Request{Action: auth.Publish, Tenant: tenant, Topic: ev.Topic})
}

// store publishes the events and waits until the log has them all.
func (s *Service) store(r *http.Request, events []event.Event) ([]receipt, error) {
	ctx, span := s.trace.Start(telemetry.ExtractHTTP(r.Context(), r.Header), "gateway.publish", trace.WithSpanKind(trace.SpanKindProducer))
	defer span.End()
	ctx, cancel := context.WithTimeout(ctx, s.config.StoreTimeout)
	defer cancel()
	messages := make([]*nats.Msg, len(events))
	for i := range events {
		m, err := events[i].Msg()
		if err != nil {
			return nil, err
		}
		telemetry.Inject(ctx, m.Header)
		if size := m.Size() - len(m.Data); size > topology.HeaderRoom {
			return nil, fault.New(fault.EventTooLarge, "the event has %d bytes of attributes, the maximum is %d", size, topology.HeaderRoom)
		}
		messages[i] = m
	}
	futures := make([]jetstream.PubAckFuture, len(events))
	for i, m := range messages {
		span.SetAttributes(attribute.String(telemetry.KeyEventID, events[i].ID), attribute.String(telemetry.KeySubject, m.Subject))
		var err error
		if futures[i], err = s.js.PublishMsgAsync(m); err != nil {
			return nil, notStored(err)
		}
	}
	receipts := make([]receipt, len(events))
	for i, f := range futures {
		select {
		case ack := <-f.Ok():
			receipts[i] = receipt{events[i].ID, s.cursor(ack.Sequence).String(), ack.Duplicate}
		case err := <-f.Err():
			return nil, notStored(err)
		case <-ctx.Done():
			return nil, notStored(ctx.Err())
		}
	}
	return receipts, nil
}

// notStored is what a publisher is told when the log did not confirm: with the
// same id it may simply try again.
func notStored(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the log did not confirm the event; send it again with the same id")
}

// authenticateHeader verifies the token of a request that can carry a header.
func (s *Service) authenticateHeader(r *http.Request) (*auth.Principal, error) {
	return s.guard.HTTP(r, nil, false)
}

// isBatch says whether a request claims to be in batch mode.
func isBatch(h http.Header) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "application/cloudevents-batch")
}
