package objectevent

import (
	"context"
	"fmt"
	"time"

	"github.com/belfry-events/belfry/pkg/event"
)

// reply is one hook's answer, and the call it belongs to.
type reply struct {
	call   *call
	answer Answer
	cut    bool // by us, because we stop: it says nothing about the hook
}

// askAll asks every hook that the deletion concerns, all at once, and fills in the
// verdict: refused with the first refusal, else allowed when all have answered that
// are waited for. Those that are not, and those that a refusal leaves behind, go on
// to their own end; what they say is in the verdicts.
func (h *hooks) askAll(all []hook, d *Deletion, e *event.Event, actor *event.Actor) error {
	budget := time.Now().Add(h.config.Budget)
	replies := make(chan reply, len(all)) // nobody has to be there to take them
	waiting := 0
	for _, k := range all {
		before, ok := k.asks(d.Topic, d.Mode)
		if !ok {
			continue
		}
		q := &call{hook: k, before: before, about: *e}
		if !h.crew.start(func(life context.Context) {
			ctx, cancel := context.WithDeadline(life, budget)
			defer cancel()
			asked := time.Now()
			a := h.caller.ask(ctx, q)
			cut := a.failed() && stopping(life)
			replies <- reply{q, a, cut}
			if cut {
				return
			}
			h.verdicts.write(ctx, d.Tenant, verdict{
				Answer: a, Asked: asked, Deletion: e.ID, Topic: e.Topic, Object: e.Subject, Mode: d.Mode, Actor: actor,
			})
		}) {
			return errStopping
		}
		if before.waitedFor(d.Mode) {
			waiting++
		}
	}
	d.Verdict, d.Answers = Allowed, nil
	for waiting > 0 {
		r := <-replies // each comes within the budget
		if r.cut {
			return errStopping
		}
		d.Answers = append(d.Answers, r.answer)
		if r.call.before.waitedFor(d.Mode) {
			waiting--
		}
		if r.answer.refuses(r.call) {
			d.Verdict, d.By, d.Reason = Refused, r.call.hook.Name, r.answer.Reason
			if r.answer.failed() {
				d.Reason = fmt.Sprintf("the hook failed: %s", r.answer.Reason)
			}
			return nil
		}
	}
	return nil
}
