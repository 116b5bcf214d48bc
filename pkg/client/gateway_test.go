package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// gate is a gateway small enough to be seen through: one log in memory, every
// connection that has subscribed gets all of it. It speaks belfry.v1 as
// proto/README.md writes it. The real one is tried in tests/e2e.
type gate struct {
	*httptest.Server
	t testing.TB

	mu     sync.Mutex
	epoch  string
	kept   []event.Event // sequence = index + 1
	first  uint64        // oldest sequence that can be resumed after, plus one
	conns  map[*gateConn]bool
	refuse *fault.Error // answers every new connection
	tokens []string     // seen
	asked  []string     // frames seen, without their ids
}

type gateConn struct {
	ws   *websocket.Conn
	subs int
}

func newGate(t testing.TB) *gate {
	g := &gate{t: t, epoch: "epoch001", first: 1, conns: map[*gateConn]bool{}}
	g.Server = httptest.NewServer(g)
	t.Cleanup(func() {
		g.cut(websocket.StatusGoingAway, "")
		g.Close()
	})
	return g
}

func (g *gate) url() string { return "ws" + strings.TrimPrefix(g.URL, "http") + "/v1/ws" }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	refuse := g.refuse
	g.tokens = append(g.tokens, r.Header.Get("Authorization"))
	g.mu.Unlock()
	if refuse != nil {
		w.WriteHeader(refuse.Code().HTTPStatus())
		_ = json.NewEncoder(w).Encode(refuse)
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}})
	if err != nil {
		return
	}
	c := &gateConn{ws: ws}
	g.mu.Lock()
	g.conns[c] = true
	g.writef(c, `{"welcome":{"connection":"c1","epoch":%q,"pingSeconds":25,"maxFrameBytes":65536}}`, g.epoch)
	g.mu.Unlock()
	for {
		_, b, err := ws.Read(r.Context())
		if err != nil {
			g.mu.Lock()
			delete(g.conns, c)
			g.mu.Unlock()
			return
		}
		g.answer(c, b)
	}
}

func (g *gate) writef(c *gateConn, format string, args ...any) {
	_ = c.ws.Write(g.t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)) // a cut connection is the test's doing
}

func (g *gate) answer(c *gateConn, b []byte) {
	var q request
	if err := json.Unmarshal(b, &q); err != nil {
		g.t.Errorf("frame %s: %v", b, err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	_, rest, _ := strings.Cut(string(b), ",")
	g.asked = append(g.asked, rest)
	now := g.at(len(g.kept))
	switch {
	case q.Subscribe != nil && q.Subscribe.Name == "frm.unknown":
		e, _ := json.Marshal(fault.Field(fault.UnknownName, "name", "no such event"))
		g.writef(c, `{"id":%q,"error":%s}`, q.ID, e)
	case q.Subscribe != nil:
		c.subs++
		g.writef(c, `{"id":%q,"subscribed":{"cursor":%q}}`, q.ID, now)
	case q.Unsubscribe != nil:
		c.subs--
		g.writef(c, `{"id":%q,"unsubscribed":{}}`, q.ID)
	case q.Token != nil: // grants no orders
		g.writef(c, `{"ended":{"subscription":{"topic":"orders"},"error":{"code":"grant_missing","message":"no"}}}`)
		g.writef(c, `{"id":%q,"renewed":{"seconds":60}}`, q.ID)
	case q.Resume != nil:
		at, err := event.ParseCursor(q.Resume.Cursor)
		if err != nil || at.Epoch != g.epoch || at.Seq+1 < g.first {
			g.writef(c, `{"id":%q,"error":{"code":"cursor_gone","message":"gone"}}`, q.ID)
			return
		}
		c.subs = len(q.Resume.Subscriptions)
		// The answer and what was missed in one message, as frames may come.
		frames := fmt.Sprintf(`{"id":%q,"resumed":{"cursor":%q}}`, q.ID, q.Resume.Cursor)
		for i := at.Seq; i < uint64(len(g.kept)); i++ {
			frames += "\n" + g.frame(int(i))
		}
		g.writef(c, "%s", frames)
	}
}

func (g *gate) at(n int) event.Cursor { return event.Cursor{Epoch: g.epoch, Seq: uint64(n)} }

func (g *gate) frame(i int) string {
	return fmt.Sprintf(`{"cursor":%q,"event":%s}`, g.at(i+1), g.kept[i].AppendJSON(nil))
}

// publish adds n events, numbered on, and sends them to whoever has subscribed.
func (g *gate) publish(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for range n {
		e := invoice(len(g.kept))
		e.Complete(e.Time)
		g.kept = append(g.kept, e)
		for c := range g.conns {
			if c.subs > 0 {
				g.writef(c, "%s\n", g.frame(len(g.kept)-1))
			}
		}
	}
}

// warn tells every connection that its token will expire.
func (g *gate) warn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		g.writef(c, `{"expiring":{"seconds":30}}`)
	}
}

// cut closes every connection; code 0 is a broken wire.
func (g *gate) cut(code websocket.StatusCode, reason string) {
	g.mu.Lock()
	conns := g.conns
	g.conns = map[*gateConn]bool{}
	g.mu.Unlock()
	for c := range conns {
		if code == 0 {
			_ = c.ws.CloseNow()
		} else {
			_ = c.ws.Close(code, reason)
		}
	}
}
