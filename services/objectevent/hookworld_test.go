package objectevent

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/protobuf/proto"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/topology"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

// hookPatience bounds every wait of these tests; nothing waits for it to pass.
const hookPatience = time.Minute

// hookWorld is before-events on a NATS server of their own, called as a route or
// over NATS, and an administrator of AA.
type hookWorld struct {
	t        testing.TB
	nats     natsServer
	h        *hooks
	mux      *http.ServeMux
	api      *api.Mux
	token    string
	registry *prometheus.Registry
	tokens   *auth.HS256
}

type hookOption func(*hookSetup)

type hookSetup struct {
	config  HookConfig
	resolve *net.Resolver
	servers []bustest.Option
	nats    natsServer
}

// natsServer is a server, or a cluster of them.
type natsServer interface {
	Bus() *bus.Bus
	URL() string
}

func hookConfigured(change func(*HookConfig)) hookOption {
	return func(s *hookSetup) { change(&s.config) }
}

// on is a second replica on the server of the first.
func on(first *hookWorld) hookOption { return func(s *hookSetup) { s.nats = first.nats } }

func newHookWorld(t testing.TB, options ...hookOption) *hookWorld {
	t.Helper()
	s := hookSetup{config: DefaultHooks()}
	s.config.Budget = maxBudget
	s.config.Networks = []string{"127.0.0.0/8"}
	for _, o := range options {
		o(&s)
	}
	if s.nats == nil {
		s.nats = bustest.Start(t, append(s.servers, bustest.Spec(func(spec *topology.Spec) {
			*spec = spec.And(HookTopology(topology.Options{Replicas: 1}))
		}))...)
	}
	tokens, err := auth.NewHS256(auth.HS256Options{Secrets: [][]byte{bytes.Repeat([]byte("k"), 32)}})
	if err != nil {
		t.Fatal(err)
	}
	env := process.Env{
		Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Tracer: noop.NewTracerProvider().Tracer(""),
		Guard: auth.NewGuard(auth.GuardOptions{Tokens: tokens}), Mux: http.NewServeMux(), MaxEventBytes: 1 << 20, Bus: s.nats.Bus(),
	}
	env.API = api.NewMux(api.MuxOptions{
		HTTP: env.Mux, Guard: env.Guard, Registry: env.Registry, Tracer: env.Tracer, Log: env.Log, MaxBytes: 8 << 20,
	})
	h, err := newHooksWith(s.config, env, s.resolve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.stop)
	w := &hookWorld{t: t, nats: s.nats, h: h, mux: env.Mux, api: env.API, registry: env.Registry, tokens: tokens}
	w.token = w.sign([]string{"AA"}, append(auth.Everything(), auth.Grant{Action: auth.Admin})...)
	return w
}

func (w *hookWorld) sign(tenants []string, grants ...auth.Grant) string {
	w.t.Helper()
	token, err := w.tokens.Sign(auth.Claims{Subject: "anna", Tenants: tenants, Grants: grants, TTL: time.Hour})
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// call calls a plain route and reads the answer into out, or answers the fault.
func (w *hookWorld) call(method, path string, in any, out proto.Message) error {
	w.t.Helper()
	return w.callAs(w.token, method, path, in, out)
}

func (w *hookWorld) callAs(token, method, path string, in any, out proto.Message) error {
	w.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		w.t.Fatal(err)
	}
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	if rec.Code != http.StatusOK {
		var f fault.Error
		if err := json.Unmarshal(rec.Body.Bytes(), &f); err != nil {
			w.t.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
		}
		return &f
	}
	if out == nil {
		return nil
	}
	if err := (api.JSON{}).Unmarshal(rec.Body.Bytes(), out); err != nil {
		w.t.Fatalf("%s %s: %s: %v", method, path, rec.Body, err)
	}
	return nil
}

type object = map[string]any

// hookTimeout is that of hooks which answer, in tests that measure no time: a busy
// machine is to be no reason to call one slow. hookQuick is when an answer came at once.
const (
	hookTimeout = "25s"
	hookQuick   = 20 * time.Second
)

// register registers a hook of sys.userDelete, unless more says otherwise.
func (w *hookWorld) register(name string, more object) *objecteventv1.CreateHookResponse {
	w.t.Helper()
	in := object{"name": name, "events": []string{"sys.userDelete"}, "timeout": hookTimeout}
	maps.Copy(in, more)
	out := &objecteventv1.CreateHookResponse{}
	if err := w.call("POST", "/v1/hooks", in, out); err != nil {
		w.t.Fatalf("register %s: %v", name, err)
	}
	return out
}

// before asks about user 42 going to the trash, unless more says otherwise.
func (w *hookWorld) before(more object) (*objecteventv1.BeforeDeleteResponse, error) {
	w.t.Helper()
	in := object{"topic": "users", "object": "42", "mode": "trash", "actor": object{"user": "anna"}}
	maps.Copy(in, more)
	out := &objecteventv1.BeforeDeleteResponse{}
	return out, w.call("POST", "/v1/deletions", in, out)
}

func (w *hookWorld) mustBefore(more object) *objecteventv1.BeforeDeleteResponse {
	w.t.Helper()
	out, err := w.before(more)
	if err != nil {
		w.t.Fatalf("before delete: %v", err)
	}
	return out
}

// serve answers a hook over NATS as a customer's program would, without
// credentials, until the test ends.
func (w *hookWorld) serve(name string, f func(context.Context, client.Before) client.Verdict) {
	w.t.Helper()
	nc := bustest.Connect(w.t, w.nats.URL(), nats.PermissionErrOnSubscribe(true))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- client.ServeHook(ctx, nc, "AA", name, f) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("serve %s: %v", name, err)
		}
	})
	bustest.Eventually(w.t, hookPatience, name+" listens", func() bool {
		out := &objecteventv1.TestHookResponse{}
		if err := w.call("POST", "/v1/hooks/"+name+"/test", object{}, out); err != nil {
			w.t.Fatal(err)
		}
		return out.GetAnswer().GetOutcome() != string(Absent)
	})
}

// handler is a hook over HTTP.
func (w *hookWorld) handler(f func(http.ResponseWriter, *http.Request, []byte)) string {
	w.t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // cut by the other side
		}
		f(rw, r, body)
	}))
	w.t.Cleanup(s.Close)
	return s.URL
}

func answering(text string) func(http.ResponseWriter, *http.Request, []byte) {
	return func(rw http.ResponseWriter, _ *http.Request, _ []byte) { _, _ = io.WriteString(rw, text) }
}

// stored are the events of a topic and verb that the log has, oldest first.
func (w *hookWorld) stored(topic, verb string) (all []event.Event) {
	w.t.Helper()
	msgs, _, err := w.h.events.Page(w.t.Context(), "evt.AA."+topic+"."+verb, 1, 1000, 1<<20)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range msgs {
		all = append(all, event.Decode(m.Subject, m.Header, m.Data, event.Stored{}))
	}
	return all
}

// verdicts are those that were kept, once there are as many.
func (w *hookWorld) awaitVerdicts(n int, query string) []*objecteventv1.HookVerdict {
	w.t.Helper()
	var all []*objecteventv1.HookVerdict
	bustest.Eventually(w.t, hookPatience, "verdicts are kept", func() bool {
		out := &objecteventv1.ListVerdictsResponse{}
		if err := w.call("GET", "/v1/verdicts"+query, nil, out); err != nil {
			w.t.Fatal(err)
		}
		all = out.GetVerdicts()
		return len(all) >= n
	})
	if len(all) != n {
		w.t.Fatalf("%d verdicts, not %d: %v", len(all), n, all)
	}
	return all
}
