package scheduler

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

type scheduleJSON struct {
	Schedule struct {
		ID, State, Next, Last string
		Revision              int32
		Fired, Missed         uint32
	}
}

func decode[T any](t *testing.T, body string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return v
}

// quiet is a clock that never strikes, for tests of users' schedules.
var quiet = configure(func(c *Config) {
	for _, h := range append(append([]hand{}, intervals...), times...) {
		c.Clock = append(c.Clock, h.name+"=off")
	}
})

// TestTM8DurableEvent: a schedule becomes an event in the log, once, with what it
// says about itself; its history says so too.
func TestTM8DurableEvent(t *testing.T) {
	bustest.Bubble(t, func(t *testing.T) {
		srv := bustest.Start(t, bustest.InProcess(), bustest.Spec(streams))
		r := newReplica(t, srv.Bus(), quiet)
		token := r.token()
		r.must("POST", "/v1/schedules", token, `{"id":"close","rule":{"cron":"*/10 * * * *","zone":"Europe/Prague"},
			"action":{"publish":{"topic":"Ledger","verb":"close","subject":"7","data":{"a": 1}}}}`)
		pass(time.Hour + time.Minute)
		events := stored(t, srv.Bus(), "evt.AA.ledger.close")
		if len(events) != 6 {
			t.Fatalf("%d events", len(events))
		}
		e := events[5]
		if e.ID != "close@2000-01-01T01:00:00Z" || e.Topic != "Ledger" || e.Subject != "7" || string(e.Data) != `{"a": 1}` ||
			e.Extensions[extNominal] != "2000-01-01T01:00:00Z" || e.Extensions[extZone] != "Europe/Prague" || e.Extensions[extMissed] != int32(0) {
			t.Errorf("%+v", e)
		}
		got := decode[scheduleJSON](t, r.must("GET", "/v1/schedules/close", token, "")).Schedule
		if got.Fired != 6 || got.State != "armed" || got.Next != "2000-01-01T01:10:00Z" || got.Last != "2000-01-01T01:00:00Z" || got.Revision != 1 {
			t.Errorf("%+v", got)
		}
		h := r.must("GET", "/v1/schedules/close/history?limit=2", token, "")
		if n := strings.Count(h, `"outcome":"fired"`); n != 2 || !strings.Contains(h, `{"entries":[{"occurrence":"close@2000-01-01T01:00:00Z"`) {
			t.Error(h)
		}
		r.must("POST", "/v1/schedules/close/run", token, "")
		r.must("POST", "/v1/schedules/close/pause", token, `{"note":"audit"}`)
		pass(time.Hour)
		if n := len(stored(t, srv.Bus(), "evt.AA.ledger.close")); n != 7 {
			t.Errorf("%d events after a run by hand and a pause", n)
		}
		r.must("POST", "/v1/schedules/close/resume", token, "")
		pass(10 * time.Minute)
		if n := len(stored(t, srv.Bus(), "evt.AA.ledger.close")); n != 8 {
			t.Errorf("%d events after it was resumed", n)
		}
		r.must("DELETE", "/v1/schedules/close", token, "")
		pass(time.Hour)
		if n := len(stored(t, srv.Bus(), "evt.AA.ledger.close")); n != 8 {
			t.Errorf("%d events after it was deleted", n)
		}
		if status, body := r.call("GET", "/v1/schedules/close", token, ""); status != 404 {
			t.Error(status, body)
		}
	})
}
