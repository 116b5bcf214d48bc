package gateway

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// GW2: whatever comes, is read from the log and is forgotten, what memory answers
// is the log without a hole: every event of the tenants behind the cursor, up to
// where it says.
func TestGW2RecallIsTheLog(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const keep = time.Minute
		h := newHub(Config{RecentBytes: rapid.IntRange(0, 20*keptOverhead).Draw(t, "bytes"), RecentFor: keep})
		now, seq := time.Unix(1_800_000_000, 0), uint64(0)
		log := map[string][]uint64{}
		tokens := []string{"AA", "BB"}
		for _, token := range tokens {
			h.tenants[token] = &tenantFeed{token: token}
		}
		made := func(token string, seq uint64) *delivery {
			return newDelivery(token, &event.Event{Topic: "a", Verb: "b"}, event.Cursor{Epoch: "abcdefgh", Seq: seq}, trace.SpanContext{})
		}
		t.Repeat(map[string]func(*rapid.T){
			"event": func(t *rapid.T) {
				seq++
				token := rapid.SampledFrom(tokens).Draw(t, "tenant")
				log[token] = append(log[token], seq)
				feed := h.tenants[token]
				h.recent.add(feed, made(token, seq), now)
				h.advance(feed, seq)
			},
			"compared": func(t *rapid.T) { h.advance(h.tenants[rapid.SampledFrom(tokens).Draw(t, "tenant")], seq) },
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second)
				h.trim(now)
			},
			"reach": func(t *rapid.T) {
				feed := h.tenants[rapid.SampledFrom(tokens).Draw(t, "tenant")]
				if feed.base == 0 {
					return
				}
				after := rapid.Uint64Range(0, feed.base-1).Draw(t, "after")
				if base, room := h.within(feed, after); room > 0 {
					var ds []*delivery
					for _, seq := range log[feed.token] {
						if seq > after && seq <= base {
							ds = append(ds, made(feed.token, seq))
						}
					}
					h.extend(feed, ds, after, base)
				}
			},
			"": func(t *rapid.T) {
				for _, of := range [][]string{{"AA"}, {"BB"}, {"AA", "BB"}} {
					after := rapid.Uint64Range(0, seq).Draw(t, "cursor")
					ds, upto, ok := h.recall(of, after, rapid.IntRange(1, 10).Draw(t, "n"))
					if !ok {
						if h.covers(of, after) {
							t.Fatalf("%v after %d is covered, and not recalled", of, after)
						}
						continue
					}
					var want, got []uint64
					for _, token := range of {
						for _, seq := range log[token] {
							if seq > after && seq <= upto {
								want = append(want, seq)
							}
						}
					}
					slices.Sort(want)
					for _, d := range ds {
						got = append(got, d.cursor.Seq)
					}
					if !slices.Equal(got, want) {
						t.Fatalf("%v after %d up to %d: got %v, want %v", of, after, upto, got, want)
					}
				}
				if h.recent.limit > 0 && h.recent.bytes > h.recent.limit {
					t.Fatalf("%d bytes in memory, the limit is %d", h.recent.bytes, h.recent.limit)
				}
			},
		})
	})
}

// GW2: after a restart everybody comes back at once, with cursors of their own.
// What they missed is read from the log a few times and not once for each.
func TestGW2EverybodyComesBack(t *testing.T) {
	withAndWithoutMemory(t, func(t *testing.T, memory worldOption) {
		t.Helper()
		const clients, missed = 100, 200
		w := newWorld(t, memory)
		var cursors []event.Cursor
		for n := range missed {
			seq := w.publish("evt.AA.invoices.created", fmt.Sprint(n))
			cursors = append(cursors, w.s.cursor(seq-1))
		}
		var group sync.WaitGroup
		for n := range clients {
			group.Go(func() {
				at := cursors[n%50]
				var c *window
				for i := n % 50; i < missed; {
					if c == nil {
						c = w.open(w.token())
						if f := c.ask(`{"resume":{"cursor":"` + at.String() + `","subscriptions":[{}]}}`); f.Resumed == nil {
							t.Errorf("%+v", f.Error)
							return
						}
					}
					f, err := c.read()
					if int(websocket.CloseStatus(err)) == fault.FeedLost.CloseCode() {
						c = nil // the log was too busy to answer in time: as any client would
						continue
					}
					if err != nil || f.Event == nil || string(f.Event.Data) != fmt.Sprint(i) {
						t.Errorf("client %d: got %+v %v, want %d", n, f, err, i)
						return
					}
					if at, err = event.ParseCursor(f.Cursor); err != nil {
						t.Error(err)
						return
					}
					i++
				}
			})
		}
		group.Wait()
		pages := counter(w.s.stats.pages)
		if t.Logf("%.0f pages for %d clients", pages, clients); w.s.config.RecentBytes == Default().RecentBytes && pages > clients/4 {
			t.Errorf("%.0f pages were read for %d clients", pages, clients)
		}
	})
}
