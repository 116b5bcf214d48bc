package scheduler

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// entry is what became of one occurrence, or of a row that was skipped.
type entry struct {
	Occurrence  string    `json:"occurrence"`
	Nominal     time.Time `json:"nominal"`
	At          time.Time `json:"at"`
	Outcome     string    `json:"outcome"`
	Reason      string    `json:"reason,omitempty"`
	Count       uint64    `json:"count,omitempty"`
	Connections int       `json:"connections,omitempty"`
	By          string    `json:"by,omitempty"`
}

// Outcomes.
const (
	outFired   = "fired"   // it is in the log, or the clock has struck
	outReached = "reached" // a window has taken the notice
	outNobody  = "nobody"  // nobody was there for it
	outFailed  = "failed"  // it could not be sent
	outSkipped = "skipped"
)

// entries are a verdict as the history has it.
func (d *definition) entries(v verdict, outcome string, now time.Time) (list []entry) {
	for _, s := range v.skips {
		list = append(list, entry{
			Occurrence: d.occurrence(s.Last), Nominal: s.Last, At: now, Outcome: outSkipped, Reason: s.Reason, Count: s.Count,
		})
	}
	if f := v.fire; f != nil {
		list = append(list, entryOf(*f, outcome))
	}
	return list
}

func entryOf(f fire, outcome string) entry {
	return entry{Occurrence: f.ID, Nominal: f.Nominal, At: f.Actual, Outcome: outcome, Count: f.Missed, By: f.By}
}

// historyWait bounds how long occurrences wait for the history: it is a witness,
// and must not hold up what it sees.
const historyWait = 2 * time.Second

// note is entries of one schedule.
type note struct {
	address subject.Schedule
	entries []entry
}

// write writes entries. The message id keeps an occurrence that is settled twice,
// after a crash, from being told twice. What cannot be written is counted.
func (h *historian) write(ctx context.Context, notes ...note) {
	var pending []jetstream.PubAckFuture
	for _, n := range notes {
		for _, e := range n.entries {
			f, err := h.js.PublishMsgAsync(&nats.Msg{
				Subject: n.address.History(), Data: encode(e), Header: nats.Header{nats.MsgIdHdr: {n.address.History() + e.Occurrence + e.Outcome + e.Reason}},
			})
			if err != nil {
				h.lose(err)
				continue
			}
			pending = append(pending, f)
		}
	}
	timeout := time.NewTimer(historyWait)
	defer timeout.Stop()
	for i, f := range pending {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			h.lose(err)
		case <-timeout.C:
			h.metrics.historyLost.Add(float64(len(pending) - i))
			return
		case <-ctx.Done():
			return
		}
	}
}

func (h *historian) lose(err error) {
	h.metrics.historyLost.Inc()
	h.log.Warn("history not written", telemetry.Err(err))
}

// read is the newest entries of a schedule, the newest first.
func (h *historian) read(ctx context.Context, a subject.Schedule, limit int) (list []entry, err error) {
	for seq := uint64(1); ; {
		m, err := h.store.after(ctx, History, a.History(), seq)
		if err != nil {
			return nil, err
		}
		if m == nil {
			break
		}
		seq = m.Seq + 1
		var e entry
		if json.Unmarshal(m.Data, &e) == nil {
			list = append(list, e)
		}
	}
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list[:min(limit, len(list))], nil
}
