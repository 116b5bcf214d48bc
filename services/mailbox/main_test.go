package mailbox

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/api/apitest"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/topology"
)

func TestMain(m *testing.M) {
	// Runs of the model: each has servers of its own. More with -rapid.checks.
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of a test; nothing waits for it to pass.
const patience = 2 * time.Minute

// world is a NATS server of its own, with replicas of the service on it.
type world struct {
	t      testing.TB
	nats   *bustest.Server
	tokens *auth.HS256
	config Config
}

func newWorld(t testing.TB, options ...bustest.Option) *world {
	t.Helper()
	tokens, err := auth.NewHS256(auth.HS256Options{Secrets: [][]byte{bytes.Repeat([]byte("k"), 32)}})
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, withTopology())
	return &world{t: t, nats: bustest.Start(t, options...), tokens: tokens, config: Default()}
}

func withTopology() bustest.Option {
	return bustest.Spec(func(s *topology.Spec) { *s = s.And(Topology(topology.Options{})) })
}

// replica is one running service, reached over HTTP.
type replica struct {
	*world
	s    *Service
	api  *api.Mux
	http *apitest.Server
	stop func()
}

// start runs a replica until the test ends or stop is called.
func (w *world) start() *replica {
	w.t.Helper()
	return w.startOn(w.nats.Bus())
}

func (w *world) startOn(b *bus.Bus, change ...func(*Service)) *replica {
	w.t.Helper()
	env := process.Env{
		Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Tracer: noop.NewTracerProvider().Tracer(""),
		Guard: auth.NewGuard(auth.GuardOptions{Tokens: w.tokens}), Mux: http.NewServeMux(), MaxEventBytes: 1 << 20, Bus: b,
	}
	if os.Getenv("BELFRY_TEST_LOG") != "" {
		env.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	env.API = api.NewMux(api.MuxOptions{
		HTTP: env.Mux, Guard: env.Guard, Registry: env.Registry, Tracer: env.Tracer, Log: env.Log, MaxBytes: 8 * env.MaxEventBytes,
	})
	s, err := New(Options{Config: w.config, Env: env})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range change {
		f(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r := &replica{world: w, s: s, api: env.API}
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("run: %v", err)
		}
	}
	w.t.Cleanup(r.stop)
	r.http = apitest.NewServer(w.t, api.Audited(env.Audit, api.Routes(env.Mux)))
	select {
	case <-s.Ready():
	case err := <-ended:
		w.t.Fatalf("run: %v", err)
	}
	return r
}

// token is one of a user for tenants, by default anna for AA, with all grants of a
// tenant or those given.
func (w *world) token(user string, tenants []string, grants ...string) string {
	w.t.Helper()
	gs := auth.Everything()
	if len(grants) > 0 {
		var err error
		if gs, err = auth.ParseGrants(grants); err != nil {
			w.t.Fatal(err)
		}
	}
	token, err := w.tokens.Sign(auth.Claims{Subject: user, Tenants: tenants, Grants: gs, TTL: 300 * 24 * time.Hour})
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// publish stores bare JSON as a plain NATS client does and answers its sequence.
func (w *world) publish(subj, data string) uint64 {
	w.t.Helper()
	ack, err := w.nats.Bus().JS.PublishMsg(w.t.Context(), &nats.Msg{Subject: subj, Data: []byte(data)})
	if err != nil {
		w.t.Fatalf("publish %s: %v", subj, err)
	}
	return ack.Sequence
}

// fields is an answer as JSON.
type fields map[string]any

func (b fields) text(key string) string { s, _ := b[key].(string); return s }

func (b fields) number(key string) int {
	n, ok := b[key].(float64)
	if !ok {
		return -1
	}
	return int(n)
}

// partner is a client of the ITAS calls.
type partner struct {
	*replica
	tok string
	id  string
}

// partner registers a subscriber of a user.
func (r *replica) partner(user, name string, tenants ...string) *partner {
	r.t.Helper()
	if tenants == nil {
		tenants = []string{"AA"}
	}
	p := &partner{replica: r, tok: r.token(user, tenants)}
	p.id = p.must("Register", fields{"subscriberName": name}).text("subscriberId")
	return p
}

// at is the same partner at another replica.
func (p *partner) at(r *replica) *partner { return &partner{replica: r, tok: p.tok, id: p.id} }

// call makes one call and answers status and body.
func (p *partner) call(method string, b fields) (int, fields) {
	p.t.Helper()
	if b == nil {
		b = fields{}
	}
	if !slices.Contains([]string{"Register", "ViewSubscribers", "ViewTopics", "Publish"}, method) && b["subscriberId"] == nil && b["subscriberid"] == nil {
		b["subscriberId"] = p.id
	}
	text, err := json.Marshal(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.post(p.t.Context(), "/Events/"+method, string(text))
}

func (p *partner) post(ctx context.Context, path, text string) (int, fields) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, apitest.URL+path, strings.NewReader(text))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.tok)
	resp, err := p.http.Client().Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil
		}
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	answer := fields{}
	if err := json.Unmarshal(raw, &answer); err != nil {
		p.t.Fatalf("%s answered %d %q", path, resp.StatusCode, raw)
	}
	return resp.StatusCode, answer
}

// must is call for what has to succeed.
func (p *partner) must(method string, b fields) fields {
	p.t.Helper()
	status, answer := p.call(method, b)
	if status != http.StatusOK {
		p.t.Fatalf("%s answered %d %v", method, status, answer)
	}
	return answer
}

// refused is call for what has to fail with a status and code.
func (p *partner) refused(method string, b fields, status int, code string) fields {
	p.t.Helper()
	got, answer := p.call(method, b)
	if got != status || answer.text("code") != code {
		p.t.Fatalf("%s %v answered %d %v, not %d %s", method, b, got, answer, status, code)
	}
	return answer
}

// subscribe sets a mailbox up; the topic becomes known if it is not.
func (p *partner) subscribe(topic string) *partner {
	p.t.Helper()
	p.describe("AA", topic)
	p.must("Subscribe", fields{"compCode": "AA", "topic": topic})
	return p
}

func (p *partner) describe(tenant, topic string) {
	p.t.Helper()
	if err := p.s.registerTopic(p.t.Context(), tenant, topic); err != nil {
		p.t.Fatal(err)
	}
}

// next peeks and receives, and answers the message's data and what confirms it.
func (p *partner) next() (data string, confirm fields) {
	p.t.Helper()
	peeked := p.must("Peek", fields{"timeout": 20})
	id := peeked.text("nextMessageId")
	if id == "" {
		p.t.Fatalf("nothing came: %v", peeked)
	}
	got := p.must("Receive", fields{"messageId": id})
	return dataOf(got), fields{"messageId": id, "lockId": got.text("lockId")}
}

func dataOf(received fields) string {
	message, _ := received["message"].(map[string]any)
	data, _ := json.Marshal(message["data"])
	return string(data)
}

// await waits until so many messages are in the partner's mailboxes.
func (p *partner) await(count int) {
	p.t.Helper()
	bustest.Eventually(p.t, patience, "the messages are there", func() bool {
		return p.must("Peek", fields{"timeout": 0}).number("messageCount") == count
	})
}

func bodyOf(text string) io.Reader { return strings.NewReader(text) }

// gauge is the value of a gauge.
func gauge(g prometheus.Gauge) int {
	var m dto.Metric
	if err := g.Write(&m); err != nil {
		return -1
	}
	return int(m.GetGauge().GetValue())
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // only in bubbles
