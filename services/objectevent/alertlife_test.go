package objectevent

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// A change of a rule holds from its cursor on, not one event sooner or later, while
// changes flow.
func TestOE5ARuleChangesAtAnExactPoint(t *testing.T) {
	w := inAlertWorld(t)
	rules := []shownAlert{w.set(object{"condition": "true", "message": "1"})}
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			default:
				m := fmt.Sprintf(`{"new":{"total":%d}}`, n)
				if _, err := w.nats.Bus().JS.Publish(context.Background(), "evt.AA.invoices.created", []byte(m)); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	for i := 2; i <= 6; i++ {
		var out struct{ Alert shownAlert }
		if code, text := w.ask(w.administrator(), "PUT", "/v1/alerts/large", object{"rule": ruleWith(object{"condition": "true", "message": fmt.Sprint(i)})}, &out); code != "" {
			t.Fatal(text)
		}
		rules = append(rules, out.Alert)
		if i == 4 {
			w.stop()
			w.http = nil
			w.start(w.nats.Bus())
		}
	}
	close(stop)
	n := <-stopped
	list := w.alerted("finance")
	if len(list) != n {
		t.Fatalf("%d alerts about %d changes", len(list), n)
	}
	seen := map[string]int{}
	for _, e := range list {
		var d alertData
		if err := json.Unmarshal(e.Data, &d); err != nil {
			t.Fatal(err)
		}
		want := ""
		for i, r := range rules {
			if d.Change.Cursor > r.Since {
				want = fmt.Sprint(i + 1)
			}
		}
		if d.Message != want {
			t.Errorf("the change at %s is told by revision %s, not %s", d.Change.Cursor, d.Message, want)
		}
		seen[d.Message]++
	}
	if len(seen) < 4 {
		t.Errorf("only these revisions spoke: %v", seen)
	}
}

// One alert per object and period, by the log's own time; another worker, who knows
// nothing, decides the same.
func TestOE5ThrottleOutlivesItsWorker(t *testing.T) {
	w := inAlertWorld(t)
	w.set(object{"throttle": "3600s", "message": "{{object}} {{new.total}}"})
	w.invoice("1", 2000)
	w.invoice("1", 3000, 2000)
	w.settled() // two objects may overtake one another
	w.invoice("2", 4000)
	w.alerted("finance")
	w.stop()
	w.start(w.nats.Bus())
	w.invoice("1", 5000, 3000)
	w.settled()
	w.invoice("3", 6000)
	if diff := cmp.Diff([]string{"1 2000", "2 4000", "3 6000"}, says(w.alerted("finance"))); diff != "" {
		t.Error(diff)
	}
	// A rule that is removed and set again begins anew.
	w.ask(w.administrator(), "DELETE", "/v1/alerts/large", object{}, nil)
	w.set(object{"throttle": "0.001s", "message": "again {{object}}"})
	w.invoice("1", 7000, 5000)
	if got := says(w.alerted("finance")); got[len(got)-1] != "again 1" {
		t.Errorf("after all: %v", got)
	}
}

// The throttle ends to the instant.
func TestOE5ThrottleEnds(t *testing.T) {
	th := &throttle{last: map[string]alerted{}}
	r := &compiledAlert{alertRule: alertRule{Name: "r", Throttle: time.Minute, Born: 7}}
	subj, err := subject.Alerted("AA", "r", "1")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	th.last[subj] = alerted{At: 10, Time: begin, Born: 7}
	ask := func(seq uint64, after time.Duration) bool {
		c := changeOf(event.Event{Tenant: "AA", Topic: "t", Verb: "created", Subject: "1"}, event.Cursor{Epoch: "12345678", Seq: seq}, begin.Add(after))
		_, open, err := th.open(t.Context(), r, c)
		if err != nil {
			t.Fatal(err)
		}
		return open
	}
	if ask(11, time.Minute-1) {
		t.Error("it let one through a nanosecond too early")
	}
	if !ask(10, 0) {
		t.Error("asked again about the same change, it says otherwise")
	}
	if !ask(12, time.Minute) {
		t.Error("it is still shut after its time")
	}
}

// A rule that keeps failing is disabled, once, and its tenant is told; an update lets
// it go on.
func TestOE5ARuleThatKeepsFailingIsDisabled(t *testing.T) {
	w := inAlertWorld(t)
	w.set(object{"condition": "new.nothing > 1"})
	w.set(object{"name": "sound", "condition": "has(new.nothing) && new.nothing > 1 || true", "targetTopic": "other"})
	for i := range maxAlertFailures + 10 {
		w.invoice(fmt.Sprint(i), 1)
	}
	var got struct{ Alert shownAlert }
	bustest.Eventually(t, opPatience, "the rule is disabled", func() bool {
		w.ask(w.administrator(), "GET", "/v1/alerts/large", nil, &got)
		return got.Alert.Rule.Disabled && got.Alert.Counters.Failed >= maxAlertFailures
	})
	if a := got.Alert; !strings.Contains(a.DisabledReason, "no such key: nothing") || !strings.Contains(a.Counters.LastError, "no such key") || a.UpdatedBy != "belfry" || a.Revision != 2 {
		t.Errorf("it is %+v", a)
	}
	list := w.alerted("alerts")
	if len(list) != 1 || list[0].Verb != "disabled" || list[0].Subject != "large" || member(string(list[0].Data), "rule") != "large" {
		t.Errorf("told: %+v", list)
	}
	if n := len(w.alerted("other")); n != maxAlertFailures+10 {
		t.Errorf("the other rule raised %d", n)
	}
	if code, text := w.ask(w.administrator(), "PUT", "/v1/alerts/large", object{"revision": 2, "rule": ruleWith(nil)}, nil); code != "" {
		t.Fatal(text)
	}
	if code, _ := w.ask(w.administrator(), "PUT", "/v1/alerts/large", object{"revision": 2, "rule": ruleWith(nil)}, nil); code != "conflict" {
		t.Errorf("an old revision: %q", code)
	}
	w.invoice("a", 2000)
	if n := len(w.alerted("finance")); n != 1 {
		t.Errorf("mended, it raised %d", n)
	}
}

// A condition that costs too much for one value fails for that one only.
func TestOE5CostIsLimited(t *testing.T) {
	w := inAlertWorld(t)
	w.set(object{"condition": "new.lines.exists(l, l.total > 10)", "message": "{{object}}"})
	lines := strings.Repeat(`{"total":1},`, 20_000)
	w.op("op.AA.invoices.insert.1", `{"new":{"lines":[`+lines+`{"total":11}]}}`, changeHeaders...)
	w.op("op.AA.invoices.insert.2", `{"new":{"lines":[{"total":1},{"total":11}]}}`, changeHeaders...)
	if diff := cmp.Diff([]string{"2"}, says(w.alerted("finance"))); diff != "" {
		t.Error(diff)
	}
	if w.count("belfry_objectevent_alert_decisions_total", "failed") != 1 {
		t.Error("it was not counted as failed")
	}
}

// All rules of a tenant together cost a change no more than a bounded time.
func TestOE5CostIsLimitedForAllRulesTogether(t *testing.T) {
	t.Parallel()
	e := event.Event{
		Tenant: "AA", Topic: "t", Verb: "created", DataSchema: event.ChangeSchema, DataContentType: "application/json",
		Data: []byte(`{"new":{"lines":[` + strings.Repeat(`{"total":1},`, 20_000) + `{"total":1}]}}`),
	}
	c := changeOf(e, event.Cursor{}, e.Time)
	dear, err := compileAlert(alertRule{Name: "dear", Condition: "new.lines.exists(l, l.total > 10)"})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for ; ; asked++ {
		_, err := dear.holds(c)
		if err == nil {
			t.Fatal("20,001 lines were looked at")
		}
		if strings.Contains(err.Error(), "rules before it") {
			break
		}
	}
	if asked < 40 || asked > 60 {
		t.Errorf("after %d of the dearest rules there were no more", asked)
	}

	// Also where no value of the change makes them dear.
	c = changeOf(event.Event{Tenant: "AA", Topic: "t", Verb: "created"}, event.Cursor{}, e.Time)
	list := "[" + strings.Repeat("1,", 99) + "1]"
	if dear, err = compileAlert(alertRule{Name: "dear", Condition: list + ".all(i, " + list + "[i] == 1)"}); err != nil {
		t.Fatal(err)
	}
	for asked = 0; err == nil && asked <= changeCost; asked++ {
		_, err = dear.holds(c)
	}
	if err == nil || !strings.Contains(err.Error(), "rules before it") {
		t.Errorf("after %d: %v", asked, err)
	}
}

// What is not counted is charged, and cannot cost more than what is charged: about a
// small change and about a large one, the dearest that passes.
func TestOE5WhatIsNotCountedIsBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		condition string
		data      string
		counted   bool
	}{
		"of values, small":    {"new.a + 'x' == old.a + 'y'", `{"old":{"a":"1"},"new":{"a":"1"}}`, false},
		"of values, large":    {"new.a + 'x' == old.a + 'y'", `{"old":{"a":"1"},"new":{"a":"` + strings.Repeat("1", 2000) + `"}}`, true},
		"no text":             {"new.a + 'x' == old.a + 'y'", "{\"old\":{\"a\":\"1\"},\"new\":{\"a\":\"\xff\"}}", true},
		"a list goes through": {"new.a.exists(v, v == 1)", `{"new":{"a":[1]}}`, true},
		"of names only":       {"on == 'insert' && object == 'x'", `{"new":{"a":"` + strings.Repeat("1", 2000) + `"}}`, false},
	} {
		r, err := compileAlert(alertRule{Name: "r", Condition: test.condition})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		e := event.Event{Tenant: "AA", Topic: "t", Verb: "created", Subject: "7", DataSchema: event.ChangeSchema, DataContentType: "application/json", Data: []byte(test.data)}
		c := changeOf(e, event.Cursor{}, e.Time)
		_, cost, err := r.condition.eval(c)
		if err != nil || cost == 0 || cost > quickCost {
			t.Errorf("%s: cost %d, %v", name, cost, err)
		}
		if quick := r.condition.always != 0 || c.small() && r.condition.small != 0; quick == test.counted {
			t.Errorf("%s: counted %v", name, !quick)
		}
	}
}

// A trial says what would have been, and why not, and stores nothing.
func TestOE5TrialsSayWhyNot(t *testing.T) {
	w := inAlertWorld(t)
	w.invoice("1", 500)
	w.settled() // two objects may overtake one another
	w.invoice("2", 2000)
	w.invoice("2", 3000, 2000)
	w.settled()
	w.op("op.AA.invoices.insert.3", `{"new":{}}`, changeHeaders...)
	w.op("op.AA.invoices.delete.3", `{"old":{}}`, changeHeaders...)
	w.settled()
	var out struct {
		Fired  int
		Trials []struct {
			Object, On, WhyNot, Message string
			Fires                       bool
		}
	}
	code, text := w.ask(w.administrator(), "POST", "/v1/alerts/test", object{"rule": ruleWith(object{"condition": "object != '' && new.total > 1000", "throttle": "60s"})}, &out)
	if code != "" {
		t.Fatal(text)
	}
	var got []string
	for _, trial := range out.Trials {
		got = append(got, trial.On+" "+trial.Object+" "+trial.WhyNot+trial.Message)
	}
	if len(got) > 2 {
		got[2], _, _ = strings.Cut(got[2], " was raised")
	}
	want := []string{
		"insert 1 new.total > 1000 is false", "insert 2 2 is over 2000", "update 2 an alert about this object",
		"insert 3 the condition failed: no such key: total", "delete 3 the rule is not about delete",
	}
	if diff := cmp.Diff(want, got); diff != "" || out.Fired != 1 {
		t.Errorf("%d fired: %s", out.Fired, diff)
	}
	if n := len(w.alerted("finance")); n != 0 {
		t.Errorf("a trial raised %d", n)
	}
	if code, _ := w.ask(w.administrator(), "POST", "/v1/alerts/test", object{"name": "nobody"}, nil); code != "not_found" {
		t.Errorf("a rule that there is not: %s", code)
	}
}

// One change may set off more rules than a batch takes; each speaks once, and the
// throttle of each is kept.
func TestOE5OneChangeSetsManyRulesOff(t *testing.T) {
	w := inAlertWorld(t)
	const rules = 700 // with their records, 1,400 effects
	subj, err := subject.AlertRecord("AA")
	if err != nil {
		t.Fatal(err)
	}
	for i := range rules {
		r := alertRule{Name: fmt.Sprintf("r%03d", i), Topics: []string{"invoices"}, On: []onName{onInsert, onUpdate}, Target: "finance", TargetVerb: "raised", Severity: "info", Throttle: time.Hour, Revision: 1}
		data, err := json.Marshal(alertRecord{Op: alertSet, Name: r.Name, Rule: &r})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.nats.Bus().JS.Publish(t.Context(), subj, data); err != nil {
			t.Fatal(err)
		}
	}
	w.invoice("1", 1)
	first := w.alerted("finance")
	w.stop()
	w.start(w.nats.Bus())
	w.invoice("1", 2, 1)
	seen := map[string]bool{}
	for _, e := range w.alerted("finance") {
		seen[e.ID] = true
	}
	if len(first) != rules || len(seen) != rules {
		t.Errorf("%d alerts about one change, %d about two", len(first), len(seen))
	}
	var all struct{ Alerts []shownAlert }
	if w.ask(w.administrator(), "GET", "/v1/alerts", nil, &all); len(all.Alerts) != rules {
		t.Errorf("%d rules are shown", len(all.Alerts))
	}
}

// TestOE5TheRulesAreReadWhole: who has not come as far as the relay has, and lacks the rule
// that was set last, is not believed.
func TestOE5TheRulesAreReadWhole(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	w.set(object{"message": "{{object}}"})
	state, err := w.s.alerts.store.events.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := event.Cursor{Epoch: state.Epoch, Seq: state.Last}
	if all, err := w.s.alerts.store.all(t.Context(), at); err != nil || len(all) != 1 {
		t.Errorf("%v %v", all, err)
	}
	w.stop() // the counters are its own
	open := w.s.alerts.options().Open
	if err := open(t.Context(), at); err != nil {
		t.Error(err)
	}
	at.Seq += 1000
	if err := open(t.Context(), at); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("from somebody who is behind: %v", err)
	}
}
