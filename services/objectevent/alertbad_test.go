package objectevent

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/event"
)

// What cannot work is refused when it is saved, with the place that is wrong.
func TestOE5BadRulesAreRefused(t *testing.T) {
	w := inAlertWorld(t)
	long := strings.Repeat("x", 10<<10)

	w.refused(object{"condition": "new.total >"}, "invalid_rule", "condition", `"line":"1"`, `"column":"12"`)
	w.refused(object{"condition": "new.total > 1 &&\n  nwe.total > 2"}, "invalid_rule", "undeclared reference to 'nwe'", `"line":"2"`, `"column":"3"`)
	w.refused(object{"condition": "actor.nam == 'anna'"}, "invalid_rule", "undeclared reference")
	w.refused(object{"condition": "object"}, "invalid_rule", "gives string, not bool")
	w.refused(object{"condition": "new.total"}, "invalid_rule", "gives dyn, not bool")
	w.refused(object{"condition": "object > 5"}, "invalid_rule", "no matching overload")
	w.refused(object{"condition": "new.a.all(x, new.b.all(y, new.c.all(z, x == y && y == z)))"}, "invalid_rule", "may cost")
	w.refused(object{"condition": strings.Repeat("(", 100) + "true" + strings.Repeat(")", 100)}, "invalid_rule")
	w.refused(object{"condition": "object == '" + long + "'"}, "invalid_rule", "maximum of 4096")
	w.refused(object{"message": "{{totl}} of {{new.total}}"}, "invalid_rule", "message", "undeclared reference to 'totl'", `"column":"3"`)
	w.refused(object{"message": "a\n{{ new.total"}, "invalid_rule", "not closed", `"line":"2"`)
	w.refused(object{"message": "{{}}"}, "invalid_rule", "names no value")
	w.refused(object{"message": strings.Repeat("{{object}}", 33)}, "invalid_rule", "more than 32")
	w.refused(object{"message": long}, "invalid_rule", "maximum of 2048")
	w.refused(object{"name": long}, "invalid_name", "name")
	w.refused(object{"name": "a.b"}, "invalid_name", "name")
	w.refused(object{"name": ""}, "invalid_name", "name")
	w.refused(object{"topics": []string{}}, "invalid_rule", "topics")
	w.refused(object{"topics": []string{"*"}}, "invalid_topic", "topics")
	w.refused(object{"topics": []string{long}}, "invalid_topic", "topics")
	w.refused(object{"on": []string{"save"}}, "invalid_rule", "insert, update, delete")
	w.refused(object{"targetTopic": ""}, "invalid_topic", "targetTopic")
	w.refused(object{"targetTopic": "Alerts"}, "invalid_rule", "targetTopic")
	w.refused(object{"targetVerb": "\x01"}, "invalid_verb", "targetVerb")
	w.refused(object{"severity": "panic"}, "invalid_rule", "info, warning, critical")
	w.refused(object{"throttle": "90000s"}, "invalid_rule", "throttle")
	w.refused(object{"throttle": "-1s"}, "invalid_rule", "throttle")
	w.refused(object{"colour": "red"}, "invalid_request", "colour")

	if code, _ := w.ask(w.administrator(), "POST", "/v1/alerts", object{"tenant": "BB", "rule": ruleWith(nil)}, nil); code != "tenant_forbidden" {
		t.Errorf("another tenant's rule: %s", code)
	}
	for _, grants := range [][]string{{"subscribe:*", "publish:*"}, {"admin", "publish:*"}, {"admin", "subscribe:*"}, {"admin", "subscribe:orders", "publish:*"}} {
		if code, _ := w.ask(w.token(grants...), "POST", "/v1/alerts", object{"rule": ruleWith(nil)}, nil); code != "grant_missing" {
			t.Errorf("with %v: %s", grants, code)
		}
	}
	var all struct{ Alerts []shownAlert }
	if w.ask(w.administrator(), "GET", "/v1/alerts", nil, &all); len(all.Alerts) != 0 {
		t.Errorf("left behind: %+v", all)
	}
}

// Rules that would set themselves off are refused, alone and through others, and
// those that only look like it are not.
func TestOE5LoopsAreRefused(t *testing.T) {
	w := inAlertWorld(t)
	w.refused(object{"targetTopic": "Invoices", "targetVerb": "Updated"}, "alert_loop", "large → large")
	w.set(object{"name": "said", "targetTopic": "invoices"})
	w.set(object{"name": "kept", "targetTopic": "invoices", "targetVerb": "deleted"})
	w.set(object{"name": "there", "targetTopic": "orders", "targetVerb": "created", "disabled": true})
	w.refused(object{"name": "back", "topics": []string{"orders"}, "targetTopic": "invoices", "targetVerb": "updated"}, "alert_loop", "there", "back")
	for i := range maxAlertDepth - 1 {
		w.set(object{"name": fmt.Sprint("step", i), "topics": []string{fmt.Sprint("t", i)}, "targetTopic": fmt.Sprint("t", i+1), "targetVerb": "created"})
	}
	w.set(object{"name": "last", "topics": []string{fmt.Sprint("t", maxAlertDepth-1)}, "targetTopic": "end", "targetVerb": "created"})
	w.refused(object{"name": "first", "topics": []string{"t"}, "targetTopic": "t0", "targetVerb": "created"}, "alert_loop", "maximum is 8")

	// Of two that make a loop together, set at once, one is refused.
	codes := make(chan string)
	for _, r := range []object{
		{"name": "a", "topics": []string{"x"}, "targetTopic": "y", "targetVerb": "created", "on": []string{"insert"}},
		{"name": "b", "topics": []string{"y"}, "targetTopic": "x", "targetVerb": "created", "on": []string{"insert"}},
	} {
		go func() {
			code, _ := w.ask(w.administrator(), "POST", "/v1/alerts", object{"rule": ruleWith(r)}, nil)
			codes <- code
		}()
	}
	if a, b := <-codes, <-codes; a+b != "alert_loop" {
		t.Errorf("both halves of a loop: %q, %q", a, b)
	}
}

// Depth is counted, and nobody silences a rule by saying that a change is deep: it
// raises its alert, as if the rule had a throttle. So a circle through a program outside
// comes to a minute's pace, about one object or about ever new ones.
func TestOE5DepthSilencesNobody(t *testing.T) {
	w := inAlertWorld(t)
	w.set(nil)
	body := `{"new":{"total":2000}}`
	insert := func(object, depth string) {
		w.op("op.AA.invoices.insert."+object, body, append(slices.Clone(changeHeaders), "ce-alertdepth", depth)...)
	}
	insert("deeper", "7")
	list := w.alerted("finance")
	if len(list) != 1 || list[0].Extensions["alertdepth"] != "8" {
		t.Errorf("raised %+v", list)
	}
	insert("a", "8")
	insert("b", "99999999999999999999")
	insert("c", "-1")
	insert("d", "x")
	list = w.alerted("finance")
	depths := map[string]any{}
	for _, e := range list {
		depths[e.Subject] = e.Extensions["alertdepth"]
	}
	if diff := cmp.Diff(map[string]any{"deeper": "8", "a": "8", "b": "8", "c": "1", "d": "1"}, depths); diff != "" {
		t.Errorf("raised (-want +got):\n%s", diff)
	}
	for i := range 30 {
		insert("a", "9")
		insert(fmt.Sprint("new-", i), "8")
	}
	insert("a", "0")
	list = w.alerted("finance")[len(list):]
	last := slices.IndexFunc(list, func(e event.Event) bool { return e.Subject == "a" && e.Extensions["alertdepth"] == "1" })
	if n := len(list); n > deepGroups || n < deepGroups/2 || last < 0 {
		t.Errorf("in the same minute it raised %d", n)
	}
	var shown struct {
		Alert shownAlert `json:"alert"`
	}
	if code, text := w.ask(w.administrator(), "GET", "/v1/alerts/large", nil, &shown); code != "" || shown.Alert.Rule.Disabled {
		t.Errorf("%s %+v", text, shown)
	}
}
