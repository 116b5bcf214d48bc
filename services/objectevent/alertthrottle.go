package objectevent

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/subject"
)

// throttle knows when a rule last raised an alert about an object. Each such alert
// writes a record into EVENTS, ctl.alerted.<tenant>.<rule>.<object>, in the same batch
// as itself and the relay's cursor, and the next is decided by it and by the times at
// which EVENTS stored the changes. So a decision is a function of the log alone:
// whoever takes over, after whatever crash, decides the same. (One record per period,
// expected not to be there, would have been less to write: but a batch has room for
// one expectation per change, and a change may set many rules off.)
type throttle struct {
	events *eventlog.Reader
	last   map[string]alerted // by subject of the record
}

// alerted is the record.
type alerted struct {
	At   uint64    `json:"at"`   // sequence of the change
	Time time.Time `json:"time"` // when EVENTS stored it
	Born uint64    `json:"born"` // of the rule: another of the same name begins anew
}

// maxThrottled is how many records are remembered; beyond, they are read again.
const maxThrottled = 100_000

func newThrottle(events *eventlog.Reader) *throttle {
	return &throttle{events: events, last: map[string]alerted{}}
}

// bar is what may keep a rule from raising an alert: another about the same, sooner
// than period before.
type bar struct {
	about  string // an object, or a group of them
	period time.Duration
}

// bars are those of a rule about a change: its own, and that of changes that say they
// are deep.
func (r *compiledAlert) bars(c *change) (all []bar) {
	if r.Throttle > 0 {
		all = append(all, bar{c.object(), r.Throttle})
	}
	if c.deep() {
		all = append(all, bar{c.deepGroup(), deepThrottle})
	}
	return all
}

// open says whether a rule may raise an alert about a change, and if so the records
// of it. Asked again about the same change, also when part of its alerts is stored,
// it answers the same.
func (t *throttle) open(ctx context.Context, r *compiledAlert, c *change) (records []*nats.Msg, ok bool, err error) {
	now := alerted{At: c.at.Seq, Time: c.stored, Born: r.Born}
	for _, b := range r.bars(c) {
		subj, err := subject.Alerted(c.Tenant, r.Name, b.about)
		if err != nil {
			return nil, false, err
		}
		was, err := t.since(ctx, subj, c)
		if err != nil {
			return nil, false, err
		}
		if was.At != 0 && was.At < c.at.Seq && was.Born == r.Born && c.stored.Before(was.Time.Add(b.period)) {
			return nil, false, nil
		}
		data, err := json.Marshal(now)
		if err != nil {
			return nil, false, fmt.Errorf("write the record of an alert: %w", err)
		}
		records = append(records, &nats.Msg{Subject: subj, Data: data})
	}
	for _, m := range records {
		t.last[m.Subject] = now
	}
	return records, true, nil
}

// since is the last record as it was before a change.
func (t *throttle) since(ctx context.Context, subj string, c *change) (was alerted, err error) {
	was, known := t.last[subj]
	if known && was.At <= c.at.Seq {
		return was, nil
	}
	if was, err = t.read(ctx, subj); err == nil {
		t.last[subj] = was
	}
	return was, err
}

// read reads the last record from the leader.
func (t *throttle) read(ctx context.Context, subj string) (was alerted, err error) {
	m, there, err := t.events.Last(ctx, subj)
	if err != nil || !there {
		return was, err
	}
	if err := json.Unmarshal(m.Data, &was); err != nil {
		return was, fmt.Errorf("read the record under %s: %w", subj, err)
	}
	return was, nil
}

// settled forgets, when there is too much, what is stored and can be read again.
func (t *throttle) settled(seq uint64) {
	if len(t.last) <= maxThrottled {
		return
	}
	for subj, was := range t.last {
		if was.At <= seq {
			delete(t.last, subj)
		}
	}
}
