package objectevent

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
)

// administrator is a token that may set rules.
func (w *opWorld) administrator() string {
	return w.token("admin", "subscribe:*", "publish:*")
}

// ask calls the alerts' API and reads the answer into out; it answers the code of a
// refusal with its text.
func (w *opWorld) ask(token, method, path string, in any, out any) (code, text string) {
	w.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		w.t.Fatal(err)
	}
	status, answer := w.call(method, path, token, string(body))
	if status != http.StatusOK {
		if code = member(answer, "code"); code == "" {
			w.t.Fatalf("%s %s: %d %s", method, path, status, answer)
		}
		return code, answer
	}
	if out != nil {
		if err := json.Unmarshal([]byte(answer), out); err != nil {
			w.t.Fatalf("%s %s: %s: %v", method, path, answer, err)
		}
	}
	return "", ""
}

// shownAlert is a rule as the API shows it.
type shownAlert struct {
	Rule struct {
		Name     string   `json:"name"`
		Topics   []string `json:"topics"`
		On       []string `json:"on"`
		Verb     string   `json:"targetVerb"`
		Severity string   `json:"severity"`
		Disabled bool     `json:"disabled"`
	} `json:"rule"`
	Revision       int    `json:"revision"`
	Since          string `json:"since"`
	DisabledReason string `json:"disabledReason"`
	UpdatedBy      string `json:"updatedBy"`
	Counters       struct {
		Matched   int    `json:"matched"`
		Raised    int    `json:"raised"`
		Throttled int    `json:"throttled"`
		Failed    int    `json:"failed"`
		LastError string `json:"lastError"`
	} `json:"counters"`
}

// ruleWith is a rule about large invoices, unless more says otherwise.
func ruleWith(more object) object {
	r := object{
		"name": "large", "topics": []string{"invoices"}, "condition": "new.total > 1000", "targetTopic": "finance",
		"message": "{{object}} is over {{new.total}}",
	}
	maps.Copy(r, more)
	return r
}

// set sets a rule that must be taken.
func (w *opWorld) set(more object) (a shownAlert) {
	w.t.Helper()
	var out struct {
		Alert shownAlert `json:"alert"`
	}
	if code, text := w.ask(w.administrator(), "POST", "/v1/alerts", object{"rule": ruleWith(more)}, &out); code != "" {
		w.t.Fatalf("set a rule: %s", text)
	}
	return out.Alert
}

// refused sets a rule that must be refused with a code.
func (w *opWorld) refused(more object, code string, words ...string) {
	w.t.Helper()
	got, text := w.ask(w.administrator(), "POST", "/v1/alerts", object{"rule": ruleWith(more)}, nil)
	if got != code {
		w.t.Errorf("%v: %s %s, want %s", more, got, text, code)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			w.t.Errorf("%v: %q is not in %s", more, word, text)
		}
	}
}

// invoice reports an insert, or an update with what it was.
func (w *opWorld) invoice(id string, total float64, was ...float64) {
	w.t.Helper()
	op, old := "insert", ""
	if len(was) > 0 {
		op, old = "update", fmt.Sprintf(`"old":{"total":%v},`, was[0])
	}
	w.op("op.AA.invoices."+op+"."+id, fmt.Sprintf(`{%s"new":{"total":%v,"customer":"acme"}}`, old, total), changeHeaders...)
}

var changeHeaders = []string{"ce-dataschema", event.ChangeSchema, "ce-datacontenttype", "application/json", "ce-specversion", "1.0", "ce-senderuser", "anna"}

// alerted are the events of a topic, once the alerts' relay has passed all that was
// reported.
func (w *opWorld) alerted(topic string) (list []event.Event) {
	w.t.Helper()
	w.settled()
	w.relayed()
	reader := eventlog.NewReader(w.nats.Bus().NC)
	for from := uint64(1); ; {
		m, ok, err := reader.Next(w.t.Context(), "evt.AA."+topic+".*", from)
		if err != nil {
			w.t.Fatal(err)
		}
		if !ok {
			return list
		}
		from = m.Seq + 1
		list = append(list, event.Decode(m.Subject, m.Header, m.Data, event.Stored{Time: m.Time}))
	}
}

// relayed waits until the alerts' relay has passed the newest event.
func (w *opWorld) relayed() {
	w.t.Helper()
	reader := eventlog.NewReader(w.nats.Bus().NC)
	bustest.Eventually(w.t, opPatience, "the alerts' relay has caught up", func() bool {
		m, ok, err := reader.Last(w.t.Context(), "evt.>")
		if err != nil || !ok {
			return err == nil
		}
		at, err := w.s.alerts.relay.Position(w.t.Context())
		return err == nil && at.Seq >= m.Seq
	})
}

// says are the messages of alerts.
func says(list []event.Event) (texts []string) {
	for _, e := range list {
		texts = append(texts, member(string(e.Data), "message"))
	}
	return texts
}

func inAlertWorld(t *testing.T) *opWorld {
	t.Parallel()
	return newOpWorld(t)
}
