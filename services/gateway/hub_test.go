package gateway

import (
	"maps"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/subject"
)

// The hub routes as its model does: an event reaches exactly the connections with
// a subscription that matches it and was there before it, once each.
func TestHubModel(t *testing.T) {
	t.Parallel()
	stats := newMetrics(prometheus.NewRegistry())
	rapid.Check(t, func(t *rapid.T) {
		h := newHub(Config{})
		feed := &tenantFeed{token: "AA"}
		h.tenants["AA"] = feed
		type model struct {
			filters  map[filter]bool
			received []uint64
		}
		conns, models := []*connection{}, []*model{}
		filters := rapid.Custom(func(t *rapid.T) filter {
			f := filter{topic: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "topic"), verb: rapid.SampledFrom([]string{"", "created", "updated"}).Draw(t, "verb")}
			if rapid.Bool().Draw(t, "named") {
				f = filter{name: rapid.SampledFrom([]string{"frm.objectInserted", "frm.objectUpdate", "portos.resources.changed"}).Draw(t, "name")}
			}
			return f
		})
		matches := func(f filter, topic, verb string) bool {
			switch f.name {
			case "":
				return (f.topic == "" || f.topic == topic) && (f.verb == "" || f.verb == verb)
			case "frm.objectInserted":
				return verb == "created"
			case "frm.objectUpdate":
				return verb == "updated"
			default:
				return true
			}
		}
		pick := func(t *rapid.T) int {
			if len(conns) == 0 {
				t.Skip("nobody there")
			}
			return rapid.IntRange(0, len(conns)-1).Draw(t, "connection")
		}
		seq := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"join": func(*rapid.T) {
				c := &connection{proto: plain, principal: &auth.Principal{}, out: &paper{}, limit: 1 << 30, stats: stats, writing: true}
				h.join(c)
				conns, models = append(conns, c), append(models, &model{filters: map[filter]bool{}})
			},
			"leave": func(t *rapid.T) {
				i := pick(t)
				h.leave(conns[i])
				conns, models = slices.Delete(conns, i, i+1), slices.Delete(models, i, i+1)
			},
			"subscribe": func(t *rapid.T) {
				i, f := pick(t), filters.Draw(t, "filter")
				from, _, err := h.subscribe(conns[i], map[filter][]key{f: {{"AA", f.topic, f.verb, f.name}}}, 100)
				if err != nil || from != seq {
					t.Fatalf("subscribe: %d %v", from, err)
				}
				conns[i].stopHolding()
				models[i].filters[f] = true
			},
			"unsubscribe": func(t *rapid.T) {
				i, f := pick(t), filters.Draw(t, "filter")
				if released := h.unsubscribe(conns[i], f); (len(released) == 1) != models[i].filters[f] {
					t.Fatalf("unsubscribe released %v", released)
				}
				delete(models[i].filters, f)
			},
			"event": func(t *rapid.T) {
				seq++
				ev := event.Event{ID: "x", Tenant: "AA", Topic: rapid.SampledFrom([]string{"a", "B", "c"}).Draw(t, "topic"), Verb: rapid.SampledFrom([]string{"created", "Updated"}).Draw(t, "verb"), Data: []byte("1")}
				h.route(feed, newDelivery("AA", &ev, event.Cursor{Epoch: "abcdefgh", Seq: seq}, trace.SpanContext{}), &outgoing{})
				for _, m := range models {
					for f := range m.filters {
						if matches(f, subject.Fold(ev.Topic), subject.Fold(ev.Verb)) {
							m.received = append(m.received, seq)
							break
						}
					}
				}
			},
			"": func(t *rapid.T) {
				for i, m := range models {
					if len(conns[i].queue) != len(m.received) {
						t.Fatalf("connection %d with %v has %d items, want %d", i, slices.Collect(maps.Keys(m.filters)), len(conns[i].queue), len(m.received))
					}
				}
			},
		})
	})
}
