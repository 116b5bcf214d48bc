package objectevent

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/nats-io/nats.go"
)

// BenchmarkOE5Rules is what a thousand rules on one topic cost a change, without the
// relay around them: of one customer each, above one limit each, by an expression that
// all have in them, by one of two needs, and by an expression of each rule's own.
func BenchmarkOE5Rules(b *testing.B) {
	for _, kind := range []struct{ name, condition string }{
		{"none", ""},
		{"customer", "new.customer == 'c%d' && new.total > 1000"},
		{"limit", "new.total > %d000000.0 && 'total' in changed"},
		{"expression", "string(new.customer) + 'x' == 'c%d'"},
		{"either", "new.customer == 'x%d' || !(new.total < 10.0) && new.number.startsWith('2025')"},
		{"alone", "new.customer + '%d' == new.number"},
	} {
		b.Run(kind.name, func(b *testing.B) {
			var rules tenantAlerts
			for i := range 1000 {
				if kind.condition != "" {
					rules.Rules = append(rules.Rules, alertRule{Name: strconv.Itoa(i), Topics: []string{"invoices"}, On: []onName{onUpdate}, Condition: fmt.Sprintf(kind.condition, i+1), Target: "t", TargetVerb: "raised"})
				}
			}
			table := alertTableOf(map[string]tenantAlerts{"AA": rules})
			m := relay.Message{Subject: "evt.AA.invoices.updated", At: event.Cursor{Epoch: "12345678", Seq: 1}, Header: nats.Header{
				"ce-specversion": {"1.0"}, "ce-id": {"op-1"}, "ce-source": {"/bench"}, "ce-type": {"invoices.updated"},
				"ce-senderuser": {"anna"}, "ce-dataschema": {event.ChangeSchema}, "ce-datacontenttype": {"application/json"},
			}, Data: []byte(`{"old":{"number":"2026-0041","customer":"c0","total":12.5},"new":{"number":"2026-0042","customer":"c0","total":18.5}}`)}
			table.about(m.Subject, 1) // compiles them
			b.ReportAllocs()
			for b.Loop() {
				x := table.about(m.Subject, 1)
				if x == nil {
					continue
				}
				c := newChange(m)
				for _, i := range x.candidates(c, x.look(c)) {
					if holds, err := x.rules[i].holds(c); holds || err != nil {
						b.Fatal(holds, err)
					}
				}
			}
		})
	}
}
