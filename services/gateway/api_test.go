package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/api/apitest"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	eventv1 "github.com/belfry-events/belfry/proto/belfry/event/v1"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
	"github.com/belfry-events/belfry/proto/belfry/gateway/v1/gatewayv1connect"
)

// way is one way to call the gateway's API: it answers the JSON of the answer, or
// the code of the fault.
type way struct {
	name    string
	publish func(token string, events ...string) (string, fault.Code)
	read    func(token string, r *gatewayv1.ReadEventsRequest) (string, fault.Code)
}

// waysIn are all of them.
func waysIn(t *testing.T, w *world) []way {
	t.Helper()
	server := apitest.NewServer(t, api.Wrap(api.Routes(w.mux), slog.New(slog.DiscardHandler)))
	calls := w.api.NATS(w.nats.Bus().NC)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- calls.Run(ctx) }()
	select {
	case <-calls.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	nc := bustest.Connect(t, w.nats.URL())

	over := func(name string, h *http.Client, o ...connect.ClientOption) way {
		c := gatewayv1connect.NewGatewayServiceClient(h, apitest.URL, o...)
		return way{
			name,
			func(token string, events ...string) (string, fault.Code) {
				out, err := c.Publish(withToken(t, token), publishRequest(events))
				return told(t, out, err)
			},
			func(token string, r *gatewayv1.ReadEventsRequest) (string, fault.Code) {
				out, err := c.ReadEvents(withToken(t, token), r)
				return told(t, out, err)
			},
		}
	}
	asked := func(contentType string, marshal func(proto.Message) []byte, unmarshal func([]byte, proto.Message) error) way {
		ask := func(token, method string, in, out proto.Message) (string, fault.Code) {
			r := &nats.Msg{Subject: "svc.gateway." + method, Data: marshal(in), Header: nats.Header{"Content-Type": {contentType}}}
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			m, err := nc.RequestMsgWithContext(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if code := m.Header.Get(fault.HeaderFault); code != "" {
				var f fault.Error
				if err := json.Unmarshal(m.Data, &f); err != nil || string(f.Code()) != code {
					t.Errorf("NATS: %s with body %s", code, m.Data)
				}
				return "", f.Code()
			}
			if err := unmarshal(m.Data, out); err != nil {
				t.Error(err)
			}
			return told(t, out, nil)
		}
		return way{
			"NATS, " + contentType,
			func(token string, events ...string) (string, fault.Code) {
				return ask(token, "Publish", publishRequest(events), &gatewayv1.PublishResponse{})
			},
			func(token string, r *gatewayv1.ReadEventsRequest) (string, fault.Code) {
				return ask(token, "ReadEvents", r, &gatewayv1.ReadEventsResponse{})
			},
		}
	}
	// curl is HTTP by hand; route says whether it calls plain routes.
	curl := func(name string, publish func([]string) (path, contentType, body string), read func(*gatewayv1.ReadEventsRequest) (method, path, body string)) way {
		call := func(token, method, path, contentType, body string) (string, fault.Code) {
			r, err := http.NewRequestWithContext(t.Context(), method, apitest.URL+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			r.Header.Set("Content-Type", contentType)
			resp, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode == http.StatusOK {
				return string(bytes.TrimSpace(b)), ""
			}
			if code := resp.Header.Get(fault.HeaderFault); code != "" {
				return "", fault.Code(code)
			}
			var f fault.Error
			if err := json.Unmarshal(b, &f); err != nil {
				t.Errorf("%s: %s", name, b)
			}
			return "", f.Code()
		}
		return way{
			name,
			func(token string, events ...string) (string, fault.Code) {
				path, contentType, body := publish(events)
				return call(token, "POST", path, contentType, body)
			},
			func(token string, r *gatewayv1.ReadEventsRequest) (string, fault.Code) {
				method, path, body := read(r)
				return call(token, method, path, "application/json", body)
			},
		}
	}
	toJSON := func(m proto.Message) []byte {
		b, err := api.JSON{}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	toProto := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return []way{
		over("Connect, protobuf", server.Client()),
		over("Connect, JSON", server.Client(), connect.WithCodec(api.JSON{})),
		over("gRPC", server.HTTP2(), connect.WithGRPC()),
		over("gRPC-Web", server.Client(), connect.WithGRPCWeb()),
		asked("application/json", toJSON, func(b []byte, m proto.Message) error { return api.JSON{}.Unmarshal(b, m) }),
		asked("application/proto", toProto, proto.Unmarshal),
		curl("curl", func(events []string) (string, string, string) {
			return gatewayv1connect.GatewayServicePublishProcedure, "application/json", `{"events":[` + strings.Join(events, ",") + `]}`
		}, func(r *gatewayv1.ReadEventsRequest) (string, string, string) {
			return "POST", gatewayv1connect.GatewayServiceReadEventsProcedure, string(toJSON(r))
		}),
		curl("plain route", func(events []string) (string, string, string) {
			return "/v1/events", "application/cloudevents-batch+json", "[" + strings.Join(events, ",") + "]"
		}, func(r *gatewayv1.ReadEventsRequest) (string, string, string) {
			return "GET", "/v1/events?after=" + r.GetAfter() + "&name=" + strings.Join(r.GetName(), "&name=") + "&tenant=" + r.GetTenant(), ""
		}),
	}
}

func publishRequest(events []string) *gatewayv1.PublishRequest {
	r := &gatewayv1.PublishRequest{}
	for _, e := range events {
		r.Events = append(r.Events, &eventv1.Event{Json: []byte(e)})
	}
	return r
}

// withToken is a context whose calls carry a token.
func withToken(t *testing.T, token string) context.Context {
	ctx, info := connect.NewClientContext(t.Context())
	if token != "" {
		info.RequestHeader().Set("Authorization", "Bearer "+token)
	}
	return ctx
}

// told is an answer as our JSON, or the code of the fault, which must also be
// what Connect's code says.
func told(t *testing.T, out proto.Message, err error) (string, fault.Code) {
	t.Helper()
	if err != nil {
		f := api.FaultOf(err)
		if f == nil {
			t.Errorf("no fault in %v", err)
			return "", ""
		}
		var e *connect.Error
		if errors.As(err, &e) && (e.Code() != f.Code().ConnectCode() || e.Meta().Get(fault.HeaderFault) != string(f.Code())) {
			t.Errorf("%s with code %s and header %q", f.Code(), e.Code(), e.Meta().Get(fault.HeaderFault))
		}
		return "", f.Code()
	}
	b, err := api.JSON{}.Marshal(out)
	if err != nil {
		t.Error(err)
	}
	return string(b), ""
}

// Every way in gives the same answer to the same call, and the same code to the
// same mistake.
func TestEveryWayIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := waysIn(t, w)
	const good = `{"specversion":"1.0","id":"way-1","source":"/w","type":"invoices.created","data":{"n":1.10,"html":"<b>"}}`
	if _, code := all[0].publish(w.token(), good); code != "" {
		t.Fatal(code)
	}
	var published, read string
	for i, way := range all {
		p, code := way.publish(w.token(), good) // again: a duplicate, the same cursor
		if code != "" || !strings.Contains(p, `"duplicate":true`) || i > 0 && p != published {
			t.Errorf("%s published %s %s, want %s", way.name, p, code, published)
		}
		r, code := way.read(w.token(), &gatewayv1.ReadEventsRequest{})
		if code != "" || !strings.Contains(r, `{"n":1.10,"html":"<b>"}`) || i > 0 && r != read {
			t.Errorf("%s read %s %s\nwant %s", way.name, r, code, read)
		}
		published, read = p, r
	}
	for name, c := range map[string]struct {
		token, event string
		code         fault.Code
	}{
		"no token":     {"", good, fault.TokenMissing},
		"bad token":    {"x.y.z", good, fault.TokenInvalid},
		"no grant":     {w.token("publish:orders"), good, fault.GrantMissing},
		"other tenant": {w.token(), strings.Replace(good, `"id"`, `"tenant":"BB","id"`, 1), fault.TenantForbidden},
		"no source":    {w.token(), `{"specversion":"1.0","id":"1","type":"a.b"}`, fault.InvalidEvent},
		"no version":   {w.token(), `{"id":"1"}`, fault.InvalidEvent},
		"bad topic":    {w.token(), `{"specversion":"1.0","id":"1","source":"/w","type":"a.b","topic":"*","verb":"b"}`, fault.InvalidTopic},
		"too large":    {w.token(), strings.Replace(good, "1.10", `"`+strings.Repeat("x", w.s.maxEvent)+`"`, 1), fault.EventTooLarge},
	} {
		got := map[string]fault.Code{}
		want := map[string]fault.Code{}
		for _, way := range all {
			if c.code == fault.EventTooLarge && strings.HasPrefix(way.name, "NATS") {
				continue // NATS itself carries no message of that size
			}
			_, got[way.name] = way.publish(c.token, c.event)
			want[way.name] = c.code
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("publish, %s: %s", name, diff)
		}
	}
	for name, c := range map[string]struct {
		token   string
		request *gatewayv1.ReadEventsRequest
		code    fault.Code
	}{
		"no token":     {"", &gatewayv1.ReadEventsRequest{}, fault.TokenMissing},
		"no grant":     {w.token("publish:*"), &gatewayv1.ReadEventsRequest{}, fault.GrantMissing},
		"cursor":       {w.token(), &gatewayv1.ReadEventsRequest{After: "x"}, fault.InvalidCursor},
		"gone":         {w.token(), &gatewayv1.ReadEventsRequest{After: "zzzzzzzz-0000000000000001"}, fault.CursorGone},
		"other tenant": {w.token(), &gatewayv1.ReadEventsRequest{Tenant: "BB"}, fault.TenantForbidden},
		"name":         {w.token(), &gatewayv1.ReadEventsRequest{Name: []string{"nobody"}}, fault.UnknownName},
		"no tenant":    {w.sign(auth.Claims{Subject: "x", Tenants: []string{"AA", "BB"}, Grants: auth.Everything(), TTL: time.Hour}), &gatewayv1.ReadEventsRequest{}, fault.InvalidRequest},
	} {
		for _, way := range all {
			if _, code := way.read(c.token, c.request); code != c.code {
				t.Errorf("read, %s, %s: %s, want %s", name, way.name, code, c.code)
			}
		}
	}
}
