package e2e

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/nats-io/nats.go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	eventv1 "github.com/belfry-events/belfry/proto/belfry/event/v1"
	faultv1 "github.com/belfry-events/belfry/proto/belfry/fault/v1"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
	"github.com/belfry-events/belfry/proto/belfry/gateway/v1/gatewayv1connect"
)

// caller publishes one event and answers its receipt, or the code of the fault.
type caller struct {
	name    string
	publish func(token, event string) (*gatewayv1.Receipt, fault.Code)
}

// One service, called by clients of four kinds on running programs: the same
// answer, and the same code for the same mistake.
func TestOneServiceFourClients(t *testing.T) {
	t.Parallel()
	inEachWorld(t, func(t *testing.T, w *world) {
		callers := []caller{
			{"Connect", overConnect(t, w)},
			{"gRPC", overGRPC(t, w)},
			{"curl", overHTTP(t, w)},
			{"NATS", overNATS(t, w)},
		}
		const event = `{"specversion":"1.0","id":"one","source":"/four","type":"invoices.created","data":{"total":1}}`
		first, code := callers[0].publish(w.token(), event)
		if code != "" || first.GetDuplicate() {
			t.Fatal(first, code)
		}
		reader := w.token("--grant", "subscribe:*")
		for _, c := range callers {
			again, code := c.publish(w.token(), event)
			if code != "" || again.GetCursor() != first.GetCursor() || again.GetId() != "one" || !again.GetDuplicate() {
				t.Errorf("%s: %v %s, want the cursor %s", c.name, again, code, first.GetCursor())
			}
			for want, call := range map[fault.Code]struct{ token, event string }{
				fault.TokenMissing:    {"", event},
				fault.TokenInvalid:    {"nonsense", event},
				fault.GrantMissing:    {reader, event},
				fault.TenantForbidden: {w.token(), strings.Replace(event, `"id"`, `"tenant":"ZZ","id"`, 1)},
				fault.InvalidEvent:    {w.token(), `{"specversion":"1.0"}`},
				fault.EventTooLarge:   {w.token(), strings.Replace(event, `"id"`, `"text":"`+strings.Repeat("x", 70<<10)+`","id"`, 1)},
			} {
				if _, code := c.publish(call.token, call.event); code != want {
					t.Errorf("%s: %s, want %s", c.name, code, want)
				}
			}
		}
	})
}

func request(event string) *gatewayv1.PublishRequest {
	return &gatewayv1.PublishRequest{Events: []*eventv1.Event{{Json: []byte(event)}}}
}

func overConnect(t *testing.T, w *world) func(token, event string) (*gatewayv1.Receipt, fault.Code) {
	client := gatewayv1connect.NewGatewayServiceClient(w.http, w.url("http", ""))
	return func(token, event string) (*gatewayv1.Receipt, fault.Code) {
		ctx, info := connect.NewClientContext(soon(t))
		if token != "" {
			info.RequestHeader().Set("Authorization", "Bearer "+token)
		}
		out, err := client.Publish(ctx, request(event))
		if err != nil {
			return nil, api.FaultOf(err).Code()
		}
		return out.GetEvents()[0], ""
	}
}

// overGRPC is the gRPC client of others.
func overGRPC(t *testing.T, w *world) func(token, event string) (*gatewayv1.Receipt, fault.Code) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+host, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return w.dial(ctx, "", "") }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func(token, event string) (*gatewayv1.Receipt, fault.Code) {
		ctx := soon(t)
		if token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
		}
		var out gatewayv1.PublishResponse
		var trailer metadata.MD
		err := conn.Invoke(ctx, gatewayv1connect.GatewayServicePublishProcedure, request(event), &out, grpc.Trailer(&trailer))
		if err == nil {
			return out.GetEvents()[0], ""
		}
		s := status.Convert(err)
		for _, d := range s.Details() {
			if f, ok := d.(*faultv1.Fault); ok && s.Code() != codes.Unknown && s.Message() == f.GetMessage() {
				if got := trailer.Get(fault.HeaderFault); len(got) != 1 || got[0] != f.GetCode() {
					t.Errorf("trailer %v beside %s", got, f.GetCode())
				}
				return nil, fault.Code(f.GetCode())
			}
		}
		return nil, fault.Code(err.Error())
	}
}

func overHTTP(t *testing.T, w *world) func(token, event string) (*gatewayv1.Receipt, fault.Code) {
	return func(token, event string) (*gatewayv1.Receipt, fault.Code) {
		r, err := http.NewRequestWithContext(soon(t), http.MethodPost, w.url("http", gatewayv1connect.GatewayServicePublishProcedure), strings.NewReader(`{"events":[`+event+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := w.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var out struct{ Events []*gatewayv1.Receipt }
		if err := json.NewDecoder(res.Body).Decode(&out); err != nil || res.StatusCode != http.StatusOK {
			return nil, fault.Code(res.Header.Get(fault.HeaderFault))
		}
		return out.Events[0], ""
	}
}

// overNATS asks as any NATS client without credentials may.
func overNATS(t *testing.T, w *world) func(token, event string) (*gatewayv1.Receipt, fault.Code) {
	t.Helper()
	nc := bustest.Connect(t, w.nats)
	return func(token, event string) (*gatewayv1.Receipt, fault.Code) {
		data, err := proto.Marshal(request(event))
		if err != nil {
			t.Fatal(err)
		}
		r := &nats.Msg{Subject: "svc.gateway.Publish", Data: data, Header: nats.Header{"Content-Type": {"application/proto"}}}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		m, err := nc.RequestMsgWithContext(soon(t), r)
		if err != nil {
			t.Fatal(err)
		}
		var out gatewayv1.PublishResponse
		if code := m.Header.Get(fault.HeaderFault); code != "" {
			return nil, fault.Code(code)
		}
		if err := proto.Unmarshal(m.Data, &out); err != nil {
			t.Fatal(err)
		}
		return out.GetEvents()[0], ""
	}
}
