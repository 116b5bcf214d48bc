package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// found is a stored record.
type found struct {
	record
	seq uint64
	at  time.Time // stored
}

func (r record) id() string { return fmt.Sprintf("%d/%d/%d", r.N, r.Effect, r.Copy) }

// count compares what is stored with what should follow from the events.
func (c *chaos) count(published int, rounds []round) {
	c.t.Helper()
	inTarget := c.read(target, subject.Events)
	inBox := c.read(box, "box.*")
	sayf(c.t, "%d events published, %d effects in %s, %d copies in %s", published, len(inTarget), target, len(inBox)-1, box)

	for p := range partitions {
		var want []record
		for n := range published {
			for i := range effects(n) {
				if partition(n) == p {
					want = append(want, record{N: n, Effect: i})
				}
			}
		}
		got := slices.DeleteFunc(slices.Clone(inTarget), func(f found) bool { return partition(f.N) != p })
		c.compare(fmt.Sprintf("%s, partition %d", target, p), got, want)
		c.stall(fmt.Sprintf("partition-%d", p), got, rounds)
	}
	var want []record
	for _, f := range inTarget {
		for i := range copies(f.N, f.Effect) {
			want = append(want, record{N: f.N, Effect: f.Effect, Copy: i})
		}
	}
	inBox = slices.DeleteFunc(inBox, func(f found) bool { return f.Since.IsZero() }) // the cursor
	c.compare(box, inBox, want)
	c.stall("box", inBox, rounds)

	if n := len(c.read(topology.DeadLetters, subject.DeadLetters)); n > 0 {
		c.t.Errorf("%d dead letters", n)
	}
	c.drained()
}

// drained waits until the durables of the source have everything acknowledged.
func (c *chaos) drained() {
	c.t.Helper()
	for i := range partitions {
		name, state := fmt.Sprintf("partition-%d", i), "not known"
		c.t.Cleanup(func() {
			if c.t.Failed() {
				c.t.Logf("%s: last seen: %s", name, state)
			}
		})
		c.eventually(name+" has acknowledged everything", func(ctx context.Context) bool {
			d, err := c.bus.JS.Consumer(ctx, source, name)
			if err != nil {
				return false
			}
			info := d.CachedInfo()
			state = fmt.Sprintf("acknowledged up to %d, delivered up to %d, %d delivered and not acknowledged, %d not delivered",
				info.AckFloor.Stream, info.Delivered.Stream, info.NumAckPending, info.NumPending)
			return info.NumAckPending == 0 && info.NumPending == 0
		})
	}
}

// read is what a stream has under a subject, in its order.
func (c *chaos) read(stream, subj string) (all []found) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*patience)
	defer cancel()
	last := c.last(stream, subj)
	if last == 0 {
		return nil
	}
	consumer, err := c.bus.JS.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subj}})
	if err != nil {
		c.t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		c.t.Fatal(err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			c.t.Fatalf("read %s: %v", stream, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			c.t.Fatal(err)
		}
		f := found{seq: meta.Sequence.Stream, at: meta.Timestamp}
		if err := json.Unmarshal(m.Data(), &f.record); err != nil {
			c.t.Fatalf("%s at %d: %v", stream, f.seq, err)
		}
		if all = append(all, f); f.seq >= last {
			return all
		}
	}
}

// compare counts by id, and then looks at the order.
func (c *chaos) compare(where string, got []found, want []record) {
	c.t.Helper()
	times := map[string]int{}
	for _, r := range want {
		times[r.id()]--
	}
	for _, f := range got {
		times[f.id()]++
	}
	var lost, tooOften []string
	for id, n := range times {
		switch {
		case n < 0:
			lost = append(lost, id)
		case n > 0:
			tooOften = append(tooOften, id)
		}
	}
	for _, wrong := range []struct {
		what string
		ids  []string
	}{{"lost", lost}, {"stored too often", tooOften}} {
		if slices.Sort(wrong.ids); len(wrong.ids) > 0 {
			c.t.Errorf("%s: %d %s: %s", where, len(wrong.ids), wrong.what, strings.Join(wrong.ids[:min(len(wrong.ids), 20)], " "))
		}
	}
	for i := range min(len(got), len(want)) {
		if got[i].id() != want[i].id() {
			c.t.Errorf("%s: order: %s is at place %d (sequence %d, %s), where %s belongs",
				where, got[i].id(), i, got[i].seq, got[i].at.Format(time.RFC3339Nano), want[i].id())
			return
		}
	}
	if len(lost)+len(tooOften) == 0 {
		sayf(c.t, "%s: %d of %d, none lost, none twice, in order", where, len(got), len(want))
	}
}

// stall is the longest time between two commits while something was waiting.
func (c *chaos) stall(relay string, got []found, rounds []round) {
	c.t.Helper()
	longest, during := time.Duration(0), "no round"
	for i := 1; i < len(got); i++ {
		since := got[i-1].at
		if got[i].Since.After(since) {
			since = got[i].Since // nothing waited before
		}
		stalled := got[i].at.Sub(since)
		if stalled <= longest {
			continue
		}
		longest, during = stalled, "no round"
		for _, r := range rounds {
			if r.from.Before(got[i].at) && since.Before(r.till) {
				during = r.name
			}
		}
	}
	sayf(c.t, "longest stall of %s: %s, %s", relay, longest.Round(time.Millisecond), during)
}
