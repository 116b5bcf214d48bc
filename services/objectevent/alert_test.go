package objectevent

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// A rule that was answered raises alerts about changes from then on, with what there
// is to know about the change.
func TestOE5ARuleRaisesAlerts(t *testing.T) {
	w := inAlertWorld(t)
	w.invoice("1", 5000)
	w.settled()
	a := w.set(nil)
	if a.Rule.Severity != "warning" || a.Rule.Verb != "raised" || !cmp.Equal(a.Rule.On, []string{"insert", "update"}) || a.Revision != 1 || a.Since == "" {
		t.Errorf("the rule is %+v", a)
	}
	w.invoice("2", 500)
	w.op("op.AA.invoices.insert.3", `{"new":{"total":2500.5,"customer":"acme"}}`, append(changeHeaders, "ce-id", "op-3", "ce-source", "/erp", "ce-correlationid", "why")...)
	w.invoice("3", 3000, 2500.5)

	list := w.alerted("finance")
	if diff := cmp.Diff([]string{"3 is over 2500.5", "3 is over 3000"}, says(list)); diff != "" {
		t.Fatal(diff)
	}
	e := list[0]
	if e.ID != "large@op-3" || e.Source != "/objectevent/alerts" || e.Subject != "3" || e.CorrelationID != "why" || e.SenderUser != "anna" || e.Verb != "raised" || *e.Frm {
		t.Errorf("the event is %+v", e)
	}
	var d alertData
	if err := json.Unmarshal(e.Data, &d); err != nil {
		t.Fatal(err)
	}
	d.Change.Cursor = ""
	want := alertedChange{ID: "op-3", Source: "/erp", Topic: "invoices", On: "insert"}
	if d.Rule != "large" || d.Severity != "warning" || d.Change != want || d.Actor.User != "anna" || !cmp.Equal(d.Changed, []string{"customer", "total"}) {
		t.Errorf("the data is %s", e.Data)
	}
	var got struct{ Alert shownAlert }
	bustest.Eventually(t, opPatience, "the counters are shown", func() bool {
		w.ask(w.administrator(), "GET", "/v1/alerts/large", nil, &got)
		return got.Alert.Counters.Raised == 2
	})
	if w.count("belfry_objectevent_alert_decisions_total", "raised") != 2 || w.count("belfry_objectevent_alert_rules") != 1 {
		t.Error("the metrics say otherwise")
	}
}
