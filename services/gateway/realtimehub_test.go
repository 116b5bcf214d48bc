package gateway

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/realtime"
)

// RT2 over SignalR: OnEvent with e = the code and p = the payload, all six members
// present, without subscribing; and the probe counts the connection.
func TestRT2ReachesTheHubWithoutSubscribing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ws, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(w.http.URL, "http")+HubPath+"?access_token="+w.token(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.CloseNow() }()
	if err := ws.Write(t.Context(), websocket.MessageText, []byte("{\"protocol\":\"json\",\"version\":1}\x1e")); err != nil {
		t.Fatal(err)
	}
	nc := w.app()
	bustest.Eventually(t, patience, "the hub's connection counts", func() bool {
		reach, err := realtime.Probe(t.Context(), nc, anna, "NOT")
		return err == nil && reach.Connections == 1
	})
	if reach, err := realtime.Notify(t.Context(), nc, anna, "NOT", text(`{"text":"Can we give 5 % more?"}`)); err != nil || reach.Connections != 1 {
		t.Fatalf("reached %+v, %v", reach, err)
	}
	for {
		_, b, err := ws.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for record := range strings.SplitSeq(string(b), "\x1e") {
			var m struct {
				Type      int
				Target    string
				Arguments []map[string]json.RawMessage
			}
			if json.Unmarshal([]byte(record), &m) != nil || m.Type != 1 {
				continue
			}
			got := map[string]string{}
			for name, value := range m.Arguments[0] {
				got[name] = string(value)
			}
			delete(got, "ca") // when it was sent
			want := map[string]string{
				"e": `"NOT"`, "s": `{"c":"","u":{"u":"` + event.System + `","d":"` + event.System + `","f":null}}`,
				"r": "null", "ea": "null", "p": `{"text":"Can we give 5 % more?"}`,
			}
			if diff := cmp.Diff(want, got); diff != "" || m.Target != "OnEvent" {
				t.Errorf("%s: -want +got\n%s", m.Target, diff)
			}
			return
		}
	}
}
