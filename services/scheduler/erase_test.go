package scheduler

import (
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/subject"
)

// What reminds a person goes, and who ran something by hand; other schedules stay.
func TestErase(t *testing.T) {
	t.Parallel()
	srv := bustest.Start(t, bustest.Spec(streams))
	r := newReplica(t, srv.Bus())
	for id, action := range map[string]string{
		"reminds": `{"notify":{"user":"jan","data":{"title":"Call Mr. Novak"}}}`,
		"about":   `{"publish":{"topic":"Users","verb":"checked","subject":"jan"}}`,
		"anna":    `{"notify":{"user":"anna"}}`,
		"ledger":  `{"publish":{"topic":"ledger","verb":"close","subject":"jan"}}`,
	} {
		r.must("POST", "/v1/schedules", r.token(), `{"id":"`+id+`","rule":{"at":"2099-01-01"},"action":`+action+`}`)
	}
	erase := func(tenant, user string, dry bool, want Erased) {
		t.Helper()
		if got, err := Erase(t.Context(), srv.Bus().NC, tenant, user, dry); err != nil || got != want {
			t.Errorf("erase %s of %s: %+v %v, not %+v", user, tenant, got, err, want)
		}
	}
	by := func(id, who string) {
		t.Helper()
		a, err := subject.ScheduleOf("AA", id)
		if err != nil {
			t.Fatal(err)
		}
		r.s.history.write(t.Context(), note{a, []entry{{Occurrence: id + who, Outcome: outFired, By: who}}})
	}
	by("ledger", "jan")
	by("ledger", "anna")
	by("reminds", "")
	erase("AA", "jan", true, Erased{2, 2})
	erase("BB", "jan", false, Erased{})
	erase("AA", "jan", false, Erased{2, 2})
	erase("AA", "jan", false, Erased{})
	erase("AA", "nobody", false, Erased{})
	list := r.must("GET", "/v1/schedules", r.token(), "")
	if strings.Contains(list, "reminds") || strings.Contains(list, "about") || !strings.Contains(list, "anna") || !strings.Contains(list, "ledger") {
		t.Errorf("left are %s", list)
	}
	if m, err := r.s.store.last(t.Context(), Schedules, "def.AA.reminds"); err != nil || m == nil || strings.Contains(string(m.Data), "jan") || strings.Contains(string(m.Data), "Novak") {
		t.Errorf("what remains of the schedule: %s %v", m.Data, err)
	}
	for _, c := range []struct{ tenant, user string }{{"", "jan"}, {"AA", ""}} {
		if _, err := Erase(t.Context(), srv.Bus().NC, c.tenant, c.user, true); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}
