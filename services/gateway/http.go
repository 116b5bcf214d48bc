package gateway

import (
	"context"
	"net/http"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/proto/belfry/gateway/v1/gatewayv1connect"
)

// mount adds the gateway's routes.
func (s *Service) mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/ws", s.origin(s.serveWebSocket))
	mux.HandleFunc("GET /v1/sse", s.origin(s.serveSSE))
	mux.HandleFunc("OPTIONS /v1/", s.preflight)
	mux.HandleFunc("OPTIONS /"+gatewayv1connect.GatewayServiceName+"/", s.preflight)
	s.mountSignalR(mux)
	if s.config.Console {
		mountConsole(mux)
	}
}

// modes are the CloudEvents modes that POST /v1/events takes.
var modes = []api.Media{
	{Type: "application/cloudevents+json", About: "Structured mode: one event.", Example: `{"specversion":"1.0","id":"17","source":"/erp","type":"invoices.created","data":{"number":"2026-0042"}}`},
	{Type: "application/cloudevents-batch+json", About: "Batch mode: an array of events.", Example: `[{"specversion":"1.0","id":"18","source":"/erp","type":"invoices.created","data":{"number":"2026-0043"}}]`},
	{Type: "application/json", About: "Binary mode: the body is the event's data, its attributes are headers ce-specversion, ce-id, ce-source, ce-type, …", Example: `{"number":"2026-0042"}`},
}

// postEvents is POST /v1/events: CloudEvents in binary, structured or batch mode.
// One event is answered by its receipt, a batch as Publish answers.
func (s *Service) postEvents(ctx context.Context, h http.Header, body []byte) (proto.Message, error) {
	events, batch, err := event.FromHTTP(h, body)
	if err != nil {
		return nil, s.count(err)
	}
	stored, err := s.publish(ctx, events, batch)
	if err != nil {
		return nil, err
	}
	if batch {
		return stored, nil
	}
	return stored.GetEvents()[0], nil
}

// maxBody is the largest body of POST /v1/events. A batch of the largest events
// would not fit into one of them.
func (s *Service) maxBody(h http.Header) int {
	if isBatch(h) {
		return 8 * s.maxEvent
	}
	return s.maxEvent
}

// isBatch says whether a request claims to be in batch mode.
func isBatch(h http.Header) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "application/cloudevents-batch")
}
