package e2e

import (
	"testing"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/fault"
)

// A user's tokens are taken back by an operator: his windows close on every
// front, with a code that says so, and do not open again; nobody else's do.
func TestRevoked(t *testing.T) {
	t.Parallel()
	inEachWorld(t, func(t *testing.T, w *world) {
		open := func(f *front, token string) *websocket.Conn {
			t.Helper()
			ws, res, err := websocket.Dial(soon(t), "ws://"+f.addr+"/v1/ws?access_token="+token, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.Body != nil {
				_ = res.Body.Close()
			}
			t.Cleanup(func() { _ = ws.CloseNow() })
			return ws
		}
		closes := func(what string, ws *websocket.Conn) {
			t.Helper()
			for {
				if _, _, err := ws.Read(soon(t)); err != nil {
					if code := int(websocket.CloseStatus(err)); code != fault.TokenRevoked.CloseCode() {
						t.Errorf("%s: %v", what, err)
					}
					return
				}
			}
		}
		anna, bert := w.token(), w.token("--user", "bert")
		var hers, his []*websocket.Conn
		for _, f := range w.fronts {
			hers, his = append(hers, open(f, anna)), append(his, open(f, bert))
		}
		for _, ws := range append(hers, his...) {
			if _, _, err := ws.Read(soon(t)); err != nil { // welcome
				t.Fatal(err)
			}
		}
		if out, code := command(t, "belfry", append([]string{"revoke", "--user", "anna"}, w.operate...)...); code != 0 {
			t.Fatalf("belfry revoke: %s", out)
		}
		for _, ws := range hers { // at once: nothing looks from time to time, as the gateway's own test says
			closes("a window", ws)
		}
		for _, f := range w.fronts {
			closes("opened again", open(f, anna))
		}
		for _, ws := range his {
			if err := ws.Write(soon(t), websocket.MessageText, []byte(`{"ping":{}}`)); err != nil {
				t.Errorf("another's window: %v", err)
			}
			if _, _, err := ws.Read(soon(t)); err != nil {
				t.Errorf("another's window: %v", err)
			}
		}
	})
}
