package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// serveSSE is GET /v1/sse: the feed as server-sent events (WHATWG HTML §9.2).
// A client that sends Last-Event-ID, as browsers do on their own, or after=,
// resumes there.
func (s *Service) serveSSE(w http.ResponseWriter, r *http.Request) {
	principal, err := s.authenticate(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	query, err := query(r, ofStreams)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	want, err := wanted(query, principal)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	codes, err := narrowQuery(query)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = query.Get("after")
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would otherwise collect events

	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := &sseSink{w: w, flusher: http.NewResponseController(w), timeout: s.config.WriteTimeout, cancel: cancel}
	c, err := s.newConnection(sse, principal, out, codes)
	if err != nil {
		h.Del("X-Accel-Buffering")
		api.WriteError(w, r, err)
		return
	}
	stop := context.AfterFunc(s.life, cancel)
	defer stop()
	defer out.detach() // before the handler returns, the last write has ended
	defer s.endConnection(c)

	if err := s.startSSE(ctx, c, want, after); err != nil {
		if !out.started() {
			h.Del("X-Accel-Buffering")
			api.WriteError(w, r, err)
		}
		return
	}
	<-ctx.Done()
}

// startSSE sends the opening and makes the stream live, from after if there is
// one. Errors before the opening are answered with a status.
func (s *Service) startSSE(ctx context.Context, c *connection, want map[filter][]key, after string) error {
	if after != "" {
		cursor, parts, err := parseCursor(after)
		if err != nil {
			return err
		}
		done, err := s.startResume(ctx, c, resumption{cursor: cursor, parts: parts, want: want}, func() {
			c.answer(&item{body: opening(after)})
		})
		if err == nil {
			<-done // ends with ctx, too
			return nil
		}
		if fault.CodeOf(err) != fault.CursorGone {
			return err
		}
		// A status would make the browser give up; the stream says it plainly, and
		// goes on from here.
		c.answer(sseMessage("gone", fault.From(err)))
	}
	return s.subscribe(ctx, c, want, func(from event.Cursor) {
		c.answer(&item{body: opening(from.String())})
	})
}

// opening is the first message: the position from which the stream is live, if it
// has one.
func opening(at string) []byte {
	if at == "" {
		return []byte("retry: 2000\n: live\n\n")
	}
	return []byte("retry: 2000\nid: " + at + "\n\n")
}

// wanted reads the filters of a query: each of topic, verb and name may be
// repeated, every topic with every verb; none of them means everything granted.
func wanted(query url.Values, p *auth.Principal) (map[filter][]key, error) {
	want := map[filter][]key{}
	add := func(topic, verb, name string) error {
		f, err := newFilter(query.Get("tenant"), topic, verb, name)
		if err != nil {
			return err
		}
		want[f], err = f.keys(p)
		return err
	}
	for _, name := range query["name"] {
		if err := add("", "", name); err != nil {
			return nil, err
		}
	}
	topics, verbs := query["topic"], query["verb"]
	if len(topics)+len(verbs) == 0 && len(want) > 0 {
		return want, nil
	}
	for _, topic := range orAll(topics) {
		for _, verb := range orAll(verbs) {
			if err := add(topic, verb, ""); err != nil {
				return nil, err
			}
		}
	}
	return want, nil
}

func orAll(names []string) []string {
	if len(names) == 0 {
		return []string{""}
	}
	return names
}

// sseMessage is a named message whose data is v as JSON.
func sseMessage(name string, v any) *item {
	b, err := json.Marshal(v)
	if err != nil {
		b = []byte(`{"code":"internal","message":"internal error"}`)
	}
	return &item{body: append(append([]byte("event: "+name+"\ndata: "), b...), "\n\n"...)}
}

// ssePing keeps proxies from dropping a silent stream.
var ssePing = &item{body: []byte(": ping\n\n")}

// sseSink writes to one event stream. net/http wants its handler to outlive all
// writes, so detach waits for the last.
type sseSink struct {
	w       http.ResponseWriter
	flusher *http.ResponseController
	timeout time.Duration
	cancel  context.CancelFunc

	mu    sync.Mutex
	wrote bool
	ended bool
}

func (o *sseSink) write(items []*item) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return http.ErrHandlerTimeout
	}
	o.wrote = true
	if err := o.flusher.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
		return err
	}
	for _, it := range items {
		if _, err := o.w.Write(it.body); err != nil {
			return err
		}
	}
	return o.flusher.Flush()
}

// goodbye names the reason in a last message, because a stream has no close
// code, and ends the stream; a browser comes back by itself after retry.
func (o *sseSink) goodbye(code fault.Code) {
	last := sseMessage("close", struct {
		Code      fault.Code `json:"code"`
		Reconnect bool       `json:"reconnect"`
	}{code, fault.Reconnects(code.CloseCode())})
	_ = o.write([]*item{last}) // best effort, as every goodbye
	o.cancel()
}

func (o *sseSink) abort() { o.cancel() }

func (o *sseSink) started() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.wrote
}

func (o *sseSink) detach() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
}
