package objectevent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/belfry-events/belfry/pkg/event"
)

// What the index rules out, CEL would call false: never true, and never an error.
func TestOE5TheIndexLosesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SampledFrom([]string{`1`, `1.5`, `-3`, `"a"`, `"b"`, `true`, `false`, `null`, `[1]`, `{"c":1}`, `{"c":"a"}`, `{}`, `9007199254740993`})
		constant := rapid.SampledFrom([]string{`1`, `1.5`, `-3`, `'a'`, `'b'`, `true`, `false`, `0`, `9007199254740993`})
		where := rapid.SampledFrom([]string{
			`new.x`, `new.y`, `old.x`, `new.x.c`, `new["y"]`, `object`, `actor.user`, `on`,
			`(new.x + old.x)`, `(object + 'b')`, `size(new.y)`, `size(changed)`, `(new.x / old.x)`, `(has(new.x) ? new.x : 1)`, `uint(new.x)`, `duration('1s')`,
		})
		part := rapid.Custom(func(t *rapid.T) string {
			at, k := where.Draw(t, "path"), constant.Draw(t, "constant")
			switch rapid.IntRange(0, 9).Draw(t, "form") {
			case 0:
				return fmt.Sprintf("%s in [%s, %s]", at, k, constant.Draw(t, "other"))
			case 1:
				return fmt.Sprintf("%q in changed", rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name"))
			case 2:
				return "has(" + rapid.SampledFrom([]string{`new.x`, `new.y`, `old.x`, `new.x.c`}).Draw(t, "member") + ")"
			case 3:
				return fmt.Sprintf("%s %s dyn(%s)", at, rapid.SampledFrom([]string{"==", "<"}).Draw(t, "op"), k)
			case 6:
				return fmt.Sprintf("%s.%s('a')", at, rapid.SampledFrom([]string{"startsWith", "endsWith", "contains"}).Draw(t, "function"))
			case 7:
				return fmt.Sprintf("%s.exists(v, v == %s)", at, k)
			case 8:
				return fmt.Sprintf("%s %s old.x", at, rapid.SampledFrom([]string{"==", "!=", "<", ">="}).Draw(t, "op"))
			case 9:
				return rapid.SampledFrom([]string{"dyn(new.x)", "dyn(old.x)", "dyn(on)", "dyn(true)"}).Draw(t, "truth")
			case 4:
				return fmt.Sprintf("dyn(%s) %s %s", k, rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "op"), at)
			}
			return fmt.Sprintf("%s %s %s", at, rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "op"), k)
		})
		var rules []*compiledAlert
		for i := range rapid.IntRange(1, 6).Draw(t, "rules") {
			r, err := compileAlert(alertRule{Name: fmt.Sprint(i), Condition: joined(t, part, 3)})
			if err != nil {
				continue // types that cannot be compared
			}
			rules = append(rules, r)
			if rapid.Bool().Draw(t, "twice") { // so that what is computed is shared
				rules = append(rules, r)
			}
		}
		object := func(name string) string {
			var members []string
			for _, m := range []string{"x", "y"} {
				if rapid.Bool().Draw(t, name+m) {
					members = append(members, fmt.Sprintf("%q:%s", m, value.Draw(t, m)))
				}
			}
			return "{" + strings.Join(members, ",") + "}"
		}
		e := event.Event{
			Tenant: "AA", Topic: "t", Verb: "updated", Subject: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "object"),
			DataSchema: event.ChangeSchema, DataContentType: "application/json", SenderUser: "a",
			Data: []byte(`{"old":` + object("old") + `,"new":` + object("new") + `}`),
		}
		if !json.Valid(e.Data) {
			t.Fatal(string(e.Data))
		}
		c := changeOf(e, event.Cursor{}, e.Time)
		x := newAlertIndex(rules)
		candidates := x.candidates(c, x.look(c))
		if !slices.IsSorted(candidates) {
			t.Errorf("in disorder: %v", candidates)
		}
		for i, r := range rules {
			holds, err := r.holds(c)
			if (holds || err != nil) && !slices.Contains(candidates, i) {
				t.Errorf("%s is ruled out for %s, and is %v, %v", r.Condition, e.Data, holds, err)
			}
		}
	})
}

// joined is parts joined by && and ||, some of them not to be.
func joined(t *rapid.T, part *rapid.Generator[string], depth int) string {
	var all []string
	for range rapid.IntRange(1, 3).Draw(t, "parts") {
		text := part.Draw(t, "part")
		if depth > 0 && rapid.IntRange(0, 2).Draw(t, "deeper") == 0 {
			text = joined(t, part, depth-1)
		}
		if rapid.IntRange(0, 3).Draw(t, "not") == 0 {
			text = "!(" + text + ")"
		}
		all = append(all, text)
	}
	return "(" + strings.Join(all, rapid.SampledFrom([]string{" && ", " || "}).Draw(t, "join")) + ")"
}

// Values are shown as people write them, and one that is not there is left out.
func TestOE5MessagesAreRendered(t *testing.T) {
	t.Parallel()
	e := event.Event{
		Tenant: "AA", Topic: "t", Verb: "updated", Subject: "7", DataSchema: event.ChangeSchema, DataContentType: "application/json", SenderUser: "anna",
		Data: []byte(`{"old":{"n":1},"new":{"n":1e6,"f":0.1,"s":"é","b":true,"z":null,"l":[1,"a"],"long":"` + strings.Repeat("é", 300) + `"}}`),
	}
	c := changeOf(e, event.Cursor{}, e.Time)
	for message, want := range map[string]string{
		"":                              "r: t 7",
		"{{new.n}} {{ old.n }}":         "1000000 1",
		"{{new.f}}{{new.s}}{{new.b}}":   "0.1étrue",
		"<{{new.z}}{{new.none}}>":       "<>",
		"{{new.l}}":                     `[1,"a"]`,
		"{{changed}}":                   `["b","f","l","long","n","s","z"]`,
		"{{new.n > old.n ? 'up' : ''}}": "up",
		"}} { {":                        "}} { {",
		"{{new.long}}":                  strings.Repeat("é", 128) + "…",
		"{{actor.user}} {{on}}":         "anna update",
	} {
		r, err := compileAlert(alertRule{Name: "r", Message: message})
		if err != nil {
			t.Errorf("%s: %v", message, err)
			continue
		}
		if got := r.text.render(c); got != want {
			t.Errorf("%s: %q, not %q", message, got, want)
		}
	}
}
