package realtime

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go"
)

// Whatever is answered to a probe, and whatever comes as a presence event, is read
// or refused, and what is read is inside its bounds.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"gateway":"g1","connections":2,"gateways":1}`, `{"gateway":"","connections":1}`, `{"gateway":"g","connections":-1}`, `[]`, ``, `{`,
		`{"gateway":"g","connections":1e9}`, `{"user":"anna","online":true,"since":"2026-01-05T09:30:00Z"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAnswer(b)
		if err != nil && a != (Answer{}) {
			t.Errorf("refused, and read as %+v", a)
		}
		if err == nil {
			if a.Gateway == "" || a.Connections < 0 || a.Gateways < 0 || a.Gateways > maxGateways {
				t.Errorf("read as %+v", a)
			}
			text, err := json.Marshal(a)
			if again, errAgain := ParseAnswer(text); err == nil && len(text) <= maxAnswer && (errAgain != nil || again.Connections != a.Connections) {
				t.Errorf("%s was written for %+v", text, a)
			}
		}
		p, err := ParsePresence(&nats.Msg{Subject: "presence.AA.anna", Header: nats.Header{HeaderType: {"presence.offline"}}, Data: b})
		if err == nil && (p.User != "anna" || p.Tenant != "AA" || p.Online) {
			t.Errorf("read as %+v", p)
		}
	})
}
