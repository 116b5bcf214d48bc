package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/api/apitest"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
	"github.com/belfry-events/belfry/proto/belfry/gateway/v1/gatewayv1connect"
)

// desk is a test service on a real contract: ReadEvents waits until the test lets
// it go, as a long poll does; Publish answers at once.
type desk struct {
	waiting atomic.Int64
	release chan struct{}
	refuse  error
}

func (d *desk) ReadEvents(ctx context.Context, r *gatewayv1.ReadEventsRequest) (*gatewayv1.ReadEventsResponse, error) {
	if r.GetAfter() != "wait" {
		return &gatewayv1.ReadEventsResponse{Cursor: r.GetAfter() + "/" + r.GetTenant() + "/" + strings.Join(r.GetTopic(), "+")}, nil
	}
	d.waiting.Add(1)
	defer d.waiting.Add(-1)
	select {
	case <-d.release:
		return &gatewayv1.ReadEventsResponse{Cursor: "released"}, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait: %w", ctx.Err())
	}
}

func (d *desk) Publish(ctx context.Context, r *gatewayv1.PublishRequest) (*gatewayv1.PublishResponse, error) {
	if len(r.GetEvents()) == 13 {
		panic("thirteen")
	}
	return &gatewayv1.PublishResponse{Events: []*gatewayv1.Receipt{{Id: api.PrincipalOf(ctx).Subject}}}, d.refuse
}

// office is a Mux with a desk, over HTTP in memory and over a real NATS server.
type office struct {
	*desk
	t     *testing.T
	http  *apitest.Server
	nats  *nats.Conn // as a stranger's
	token string
	stop  func() error // of the way in over NATS
}

const maxBytes = 4096

type limiter struct{ err error }

func (l limiter) Allow(*auth.Principal, int) error { return l.err }

func newOffice(t *testing.T, limits error) *office {
	t.Helper()
	tokens, err := auth.NewHS256(auth.HS256Options{Secrets: [][]byte{bytes.Repeat([]byte("k"), 32)}})
	if err != nil {
		t.Fatal(err)
	}
	o := &office{desk: &desk{release: make(chan struct{})}, t: t}
	if o.token, err = tokens.Sign(auth.Claims{Subject: "anna", Tenants: []string{"AA"}, Grants: auth.Everything(), TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	m := api.NewMux(api.MuxOptions{
		HTTP: mux, Guard: auth.NewGuard(auth.GuardOptions{Tokens: tokens}), Registry: prometheus.NewRegistry(), Limiter: limiter{limits},
		Tracer: noop.NewTracerProvider().Tracer(""), Log: slog.New(slog.DiscardHandler), MaxBytes: maxBytes,
	})
	if err := m.Mount(service(o.desk)); err != nil {
		t.Fatal(err)
	}
	m.MountDocs()
	o.http = apitest.NewServer(t, api.Wrap(api.Routes(mux), slog.New(slog.DiscardHandler)))
	server := bustest.Start(t)
	way := m.NATS(server.Bus().NC)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- way.Run(ctx) }()
	select {
	case <-way.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
	stopped := false
	o.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := o.stop(); err != nil {
			t.Error(err)
		}
	})
	o.nats = bustest.Connect(t, server.URL())
	return o
}

// contract is the gateway's, cut down to what a desk serves: so these tests have real
// messages, and do not change with the gateway.
func contract() protoreflect.ServiceDescriptor {
	file := protodesc.ToFileDescriptorProto(gatewayv1.File_belfry_gateway_v1_gateway_proto)
	for _, s := range file.GetService() {
		s.Method = slices.DeleteFunc(s.GetMethod(), func(m *descriptorpb.MethodDescriptorProto) bool {
			return m.GetName() != "Publish" && m.GetName() != "ReadEvents"
		})
	}
	cut, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		panic(err)
	}
	return cut.Services().ByName("GatewayService")
}

func service(d *desk) api.Service {
	return api.Service{
		Contract: contract(),
		Methods:  []api.Method{api.Unary("Publish", d.Publish), api.Unary("ReadEvents", d.ReadEvents)},
		Routes: []api.Route{
			{Pattern: "POST /Desk/Read", Method: "ReadEvents"},
			{Pattern: "GET /desk/{tenant}", Method: "ReadEvents"},
		},
	}
}

// ask is a request over NATS.
func (o *office) ask(method, body string, headers ...string) (*nats.Msg, error) {
	r := &nats.Msg{Subject: "svc.gateway." + method, Data: []byte(body), Header: nats.Header{"Authorization": {"Bearer " + o.token}}}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return o.nats.RequestMsgWithContext(o.t.Context(), r)
}

// do is a request over HTTP.
func (o *office) do(method, path, body string, headers ...string) (*http.Response, string) {
	o.t.Helper()
	r, err := http.NewRequestWithContext(o.t.Context(), method, apitest.URL+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+o.token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := o.http.Client().Do(r)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return resp, strings.TrimSpace(string(b))
}

// 100 callers that wait keep nobody waiting: micro alone would serve them one by
// one.
func TestParkedCallsAreInNobodysWay(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	const parked = 100
	answers := make(chan string, parked)
	for range parked {
		go func() {
			m, err := o.ask("ReadEvents", `{"after":"wait"}`)
			if err != nil {
				answers <- err.Error()
				return
			}
			answers <- string(m.Data)
		}()
	}
	for o.waiting.Load() < parked {
		if _, err := o.ask("Publish", `{}`); err != nil { // also while they arrive
			t.Fatal(err)
		}
	}
	best := time.Hour
	for _, method := range []string{"Publish", "ReadEvents", "Publish", "ReadEvents", "Publish", "ReadEvents"} {
		began := time.Now()
		if _, err := o.ask(method, `{}`); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(began)) // the machine may be busy with other tests
	}
	if best > time.Second {
		t.Errorf("a call beside %d parked ones took %s", parked, best)
	}
	close(o.release)
	for range parked {
		if got := <-answers; got != `{"events":[],"cursor":"released","more":false}` {
			t.Error(got)
		}
	}
}

// A stop ends calls that wait, with a code that says come back.
func TestStopEndsParkedCalls(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	answer := make(chan string, 1)
	go func() {
		m, err := o.ask("ReadEvents", `{"after":"wait"}`)
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- m.Header.Get(fault.HeaderFault)
	}()
	for o.waiting.Load() == 0 {
		if _, err := o.ask("Publish", `{}`); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.stop(); err != nil {
		t.Error(err)
	}
	if got := <-answer; got != string(fault.Draining) {
		t.Errorf("answered %q", got)
	}
}

// What HTTP callers can get wrong before a message is read, and what micro tells
// of the service.
func TestBadCalls(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	const rpc = gatewayv1connect.GatewayServiceReadEventsProcedure
	jsonType := []string{"Content-Type", "application/json"}
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		want               string // in the body, or the code as header Belfry-Fault
	}{
		"fine":              {"POST", rpc, `{"tenant":"AA"}`, jsonType, 200, `{"events":[],"cursor":"/AA/","more":false}`},
		"charset":           {"POST", rpc, `{"tenant":"AA"}`, []string{"Content-Type", "application/json; charset=UTF-8"}, 200, `"/AA/"`},
		"wrong method":      {"GET", rpc, "", nil, 405, "method_not_allowed"},
		"unknown procedure": {"POST", rpc + "x", "", nil, 404, "not_found"},
		"no content type":   {"POST", rpc, `{}`, nil, 415, "unsupported_content_type"},
		"a form":            {"POST", rpc, `a=b`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_content_type"},
		"other charset":     {"POST", rpc, `{}`, []string{"Content-Type", "application/json; charset=latin1"}, 415, "unsupported_content_type"},
		"huge":              {"POST", rpc, strings.Repeat(" ", maxBytes+1), jsonType, 400, "event_too_large"},
		"unknown field":     {"POST", rpc, `{"limits":1}`, jsonType, 400, "invalid_request"},
		"other case":        {"POST", rpc, `{"TENANT":"AA"}`, jsonType, 400, "invalid_request"},
		"no JSON":           {"POST", rpc, `{`, jsonType, 400, "invalid_request"},
		"not gzip":          {"POST", rpc, `{}`, append([]string{"Content-Encoding", "gzip"}, jsonType...), 400, ""},
		"a panic":           {"POST", gatewayv1connect.GatewayServicePublishProcedure, `{"events":[{},{},{},{},{},{},{},{},{},{},{},{},{}]}`, jsonType, 500, ""},

		"route":               {"POST", "/Desk/Read", `{"AFTER":"x","Tenant":"AA","topic":["a"]}`, nil, 200, `{"events":[],"cursor":"x/AA/a","more":false}`},
		"route, form":         {"POST", "/Desk/Read", `a=b`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, `"unsupported_content_type"`},
		"route, gzip":         {"POST", "/Desk/Read", `x`, []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}, 415, `"unsupported_content_type"`},
		"route, unknown":      {"POST", "/Desk/Read", `{"x":1}`, nil, 400, `"details":{"field":"x"}`},
		"route, huge":         {"POST", "/Desk/Read", strings.Repeat(" ", maxBytes+1), nil, 413, `"event_too_large"`},
		"route, wrong method": {"PUT", "/Desk/Read", ``, nil, 405, `"method_not_allowed"`},
		"path and query":      {"GET", "/desk/AA?topic=a&topic=b&after=c&limit=", ``, nil, 200, `"c/AA/a+b"`},
		"query, no number":    {"GET", "/desk/AA?limit=x", ``, nil, 400, `"details":{"field":"limit"}`},
		"query, unknown":      {"GET", "/desk/AA?topics=a", ``, nil, 400, `"details":{"field":"topics"}`},
		"query, unreadable":   {"GET", "/desk/AA?topic=%zz", ``, nil, 400, `the query cannot be read`},
		"query, twice":        {"GET", "/desk/AA?after=x&after=y", ``, nil, 400, `after: is there twice`},
	} {
		resp, body := o.do(c.method, c.path, c.body, c.headers...)
		if resp.StatusCode != c.status || !strings.Contains(body, c.want) && resp.Header.Get(fault.HeaderFault) != c.want {
			t.Errorf("%s: %d %s %v", name, resp.StatusCode, body, resp.Header)
		}
	}
	for name, c := range map[string]struct{ body, contentType, code string }{
		"unknown field": {`{"limits":1}`, "", "invalid_request"},
		"xml":           {`<a/>`, "text/xml", "unsupported_content_type"},
		"no protobuf":   {`{}`, "application/proto", "invalid_request"},
		"a panic":       {`{"events":[{},{},{},{},{},{},{},{},{},{},{},{},{}]}`, "", "internal"},
	} {
		method := "ReadEvents"
		if name == "a panic" {
			method = "Publish"
		}
		m, err := o.ask(method, c.body, "Content-Type", c.contentType)
		if err != nil || m.Header.Get(fault.HeaderFault) != c.code || !strings.Contains(string(m.Data), `{"code":"`+c.code) {
			t.Errorf("NATS, %s: %v %v", name, m, err)
		}
	}
}

// What a limit says reaches the caller in every way.
func TestLimits(t *testing.T) {
	t.Parallel()
	o := newOffice(t, fault.New(fault.RateLimited, "slow down").With("retry_after", "7"))
	for _, path := range []string{gatewayv1connect.GatewayServicePublishProcedure, "/Desk/Read"} {
		resp, body := o.do("POST", path, `{}`, "Content-Type", "application/json")
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "7" {
			t.Errorf("%s: %d %s %v", path, resp.StatusCode, body, resp.Header)
		}
	}
	m, err := o.ask("Publish", `{}`)
	if err != nil || m.Header.Get(fault.HeaderFault) != "rate_limited" || m.Header.Get("Retry-After") != "7" || m.Header.Get(fault.HeaderCode) != "429" {
		t.Errorf("%v %v", m, err)
	}
	client := gatewayv1connect.NewGatewayServiceClient(o.http.HTTP2(), apitest.URL, connect.WithGRPC(), connect.WithInterceptors(bearer(o.token)))
	_, err = client.Publish(t.Context(), &gatewayv1.PublishRequest{})
	if f := api.FaultOf(err); f == nil || f.Code() != fault.RateLimited || f.Details()["retry_after"] != "7" || connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("gRPC: %v", err)
	}
}

// bearer is the interceptor of a client with a token.
func bearer(token string) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			r.Header().Set("Authorization", "Bearer "+token)
			return next(ctx, r)
		}
	}
}

// What is not as the contract says is not mounted.
func TestMountChecks(t *testing.T) {
	t.Parallel()
	d := &desk{}
	for name, breakIt := range map[string]func(*api.Service){
		"a method too few":    func(s *api.Service) { s.Methods = s.Methods[:1] },
		"the wrong messages":  func(s *api.Service) { s.Methods[0] = api.Unary("Publish", d.ReadEvents) },
		"a route to nowhere":  func(s *api.Service) { s.Routes[0].Method = "Peek" },
		"an unknown method":   func(s *api.Service) { s.Methods[0] = api.Unary("Publishes", d.Publish) },
		"a missing wildcard?": func(s *api.Service) { s.Routes[1].Pattern = "GET /desk/{nobody}" },
	} {
		s := service(d)
		breakIt(&s)
		m := api.NewMux(api.MuxOptions{HTTP: http.NewServeMux(), Registry: prometheus.NewRegistry()})
		if err := m.Mount(s); err == nil {
			t.Errorf("%s: mounted", name)
		}
	}
}
