package objectevent

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"cel.dev/cel-go/parser"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

const (
	defaultTrials = 50
	maxTrials     = 500

	// How far back TestAlert looks for them, in sequences of the log: first a little.
	firstSpan     = 2_000
	spanGrowth    = 16
	maxTrialBytes = 16 << 20
)

// TestAlert implements the contract.
func (s *alerts) TestAlert(ctx context.Context, r *objecteventv1.TestAlertRequest) (*objecteventv1.TestAlertResponse, error) {
	tenant, p, err := admin(ctx, r.GetTenant())
	if err != nil {
		return nil, err
	}
	if err := s.env.Limits.AllowTenant(p, tenant, 1); err != nil {
		return nil, err
	}
	limit := defaultTrials
	if r.Limit != nil {
		limit = int(r.GetLimit())
	}
	if limit < 1 || limit > maxTrials {
		return nil, fault.Field(fault.InvalidRequest, "limit", "%d is outside 1 to %d", limit, maxTrials)
	}
	rule, err := s.tried(ctx, tenant, r)
	if err != nil {
		return nil, err
	}
	if err := mayHave(p, tenant, rule.alertRule); err != nil {
		return nil, err
	}
	changes, err := s.recent(ctx, tenant, rule.Topics, limit)
	if err != nil {
		return nil, err
	}
	answer := &objecteventv1.TestAlertResponse{}
	last := map[string]time.Time{}
	for _, c := range changes {
		t := rule.try(c, last)
		if answer.Trials = append(answer.Trials, t); t.GetFires() {
			answer.Fired++
		}
	}
	return answer, nil
}

// tried is the rule that is meant: one that is set, or the one in the request.
func (s *alerts) tried(ctx context.Context, tenant string, r *objecteventv1.TestAlertRequest) (*compiledAlert, error) {
	if r.GetRule() == nil {
		t, _, err := s.store.read(ctx, tenant)
		if err != nil {
			return nil, err
		}
		i := t.find(r.GetName())
		if i < 0 {
			return nil, noAlert(tenant, r.GetName())
		}
		return compileAlert(t.Rules[i])
	}
	rule := ruleOf(r.GetRule())
	if rule.Name == "" {
		rule.Name = "test"
	}
	if err := rule.check(); err != nil {
		return nil, err
	}
	return compileAlert(rule)
}

// recent are the newest events of some topics, oldest first.
func (s *alerts) recent(ctx context.Context, tenant string, topics []string, limit int) ([]*change, error) {
	state, err := s.store.events.State(ctx)
	if err != nil {
		return nil, err
	}
	var all []*change
	for _, topic := range topics {
		filter, err := subject.TopicEvents(tenant, topic)
		if err != nil {
			return nil, err
		}
		msgs, err := s.newest(ctx, filter, state.First, state.Last, limit)
		if err != nil {
			return nil, err
		}
		for _, m := range msgs {
			at := event.Cursor{Epoch: state.Epoch, Seq: m.Seq}
			all = append(all, changeOf(event.Decode(m.Subject, m.Header, m.Data, event.Stored{Cursor: at, Time: m.Time}), at, m.Time))
		}
	}
	slices.SortFunc(all, func(a, b *change) int { return int(int64(a.at.Seq) - int64(b.at.Seq)) })
	return all[max(0, len(all)-limit):], nil
}

// newest are the last messages of a filter: the log is read forwards only, so it is
// read from further and further back until there are enough.
func (s *alerts) newest(ctx context.Context, filter string, first, last uint64, limit int) ([]eventlog.Message, error) {
	for span := uint64(firstSpan); ; span *= spanGrowth {
		from := max(first, 1)
		if last > from+span {
			from = last - span
		}
		msgs, err := s.from(ctx, filter, from, limit)
		if err != nil || len(msgs) >= limit || from <= max(first, 1) {
			return msgs, err
		}
	}
}

// from are the last messages of a filter behind a sequence.
func (s *alerts) from(ctx context.Context, filter string, from uint64, limit int) (kept []eventlog.Message, err error) {
	for {
		page, end, err := s.store.events.Page(ctx, filter, from, maxTrials, maxTrialBytes)
		if err != nil {
			return nil, err
		}
		kept = append(kept, page...)
		kept = kept[max(0, len(kept)-limit):]
		if end || len(page) == 0 {
			return kept, nil
		}
		from = page[len(page)-1].Seq + 1
	}
}

// try is what a rule makes of a change, and why. last has the alerts before it in the
// same trial, by what bars them.
func (r *compiledAlert) try(c *change, last map[string]time.Time) *objecteventv1.AlertTrial {
	on := string(c.on)
	if on == "" {
		on = c.verb
	}
	t := &objecteventv1.AlertTrial{
		Cursor: c.at.String(), Change: c.ID, Time: timestamp(c.Time), Topic: c.topic, On: on, Object: c.object(),
	}
	holds, err := false, error(nil)
	if r.watches(c.topic, c.on) {
		holds, err = r.holds(c)
	}
	switch {
	case !r.watches(c.topic, c.on):
		t.WhyNot = "the rule is not about " + on
	case err != nil:
		t.WhyNot = "the condition failed: " + err.Error()
	case !holds:
		t.WhyNot = r.whyNot(c)
	default:
		why := r.barred(c, last)
		if t.WhyNot = why; why == "" {
			t.Fires, t.Message = true, r.text.render(c)
		}
	}
	return t
}

// barred is why an alert of a trial is held back by those before it, "" = it is not.
func (r *compiledAlert) barred(c *change, last map[string]time.Time) string {
	for _, b := range r.bars(c) {
		if was, before := last[b.about]; before && c.stored.Before(was.Add(b.period)) {
			about := "this object"
			if b.about != c.object() {
				about = "a change that says it follows from " + strconv.Itoa(maxAlertDepth) + " others"
			}
			return fmt.Sprintf("an alert about %s was raised %s before, the throttle is %s", about, c.stored.Sub(was).Round(time.Millisecond), b.period)
		}
	}
	for _, b := range r.bars(c) {
		last[b.about] = c.stored
	}
	return ""
}

// whyNot names the first part of a false condition that is false.
func (r *compiledAlert) whyNot(c *change) string {
	const all = "the condition is false"
	parts := conjuncts(signed{r.condition.ast.Expr(), true}, nil)
	if len(parts) < 2 {
		return all
	}
	for _, e := range parts {
		text, err := parser.Unparse(e.Expr, r.condition.ast.SourceInfo())
		if err != nil {
			continue
		}
		asked, err := (&part{e.Expr, r.condition.ast}).program()
		if err != nil {
			continue
		}
		if v, err := asked.ask(c); err != nil || v.Value() != !e.is {
			continue
		}
		if !e.is {
			text = "!(" + text + ")"
		}
		return oneLine(text) + " is false"
	}
	return all
}
