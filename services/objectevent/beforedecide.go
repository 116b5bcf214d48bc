package objectevent

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// decide answers a question: from what is noted, or by asking.
func (h *hooks) decide(life context.Context, id string, d Deletion, q *question, e *event.Event) (Deletion, error) {
	// Long enough to see whoever is at it finish, or count as dead.
	ctx, cancel := context.WithTimeout(life, 2*h.window())
	defer cancel()
	for {
		found, revision, release, err := h.begin(ctx, id, d, q.repeatable)
		if err != nil || release == nil {
			return found, err
		}
		d.Until = time.Now().UTC().Add(h.window())
		decided, err := h.answer(life, id, d, q, e, found, revision)
		release()
		if fault.CodeOf(err) != fault.Conflict {
			return decided, err
		} // noted elsewhere between our look and our claim: look again
	}
}

// window is how long a question may be under way, before who asked it counts as dead.
func (h *hooks) window() time.Duration { return h.config.Budget + storingWithin }

// answer notes the question over that of revision, has it settled, and notes the
// verdict. Code conflict: there is another revision.
func (h *hooks) answer(ctx context.Context, id string, d Deletion, q *question, e *event.Event, earlier Deletion, revision uint64) (Deletion, error) {
	ctx, cancel := context.WithDeadline(ctx, d.Until)
	defer cancel()
	from, epoch, err := h.since(ctx, &d, earlier)
	if err != nil {
		return Deletion{}, err
	}
	if revision, err = h.deletions.put(ctx, id, d, revision); err != nil {
		return Deletion{}, err
	}
	if err := h.settle(ctx, &d, q, e, from, epoch); err != nil {
		// Who asks again need not wait until this one counts as dead.
		d.Verdict, d.Until = Asking, time.Now()
		_, _ = h.deletions.put(context.WithoutCancel(ctx), id, d, revision)
		return Deletion{}, err
	}
	// The verdict is answered only when it is noted: an operation that names it
	// finds it from then on.
	if _, err := h.deletions.put(ctx, id, d, revision); err != nil {
		return Deletion{}, fault.Wrap(fault.Unavailable, err, "the verdict could not be noted; ask again with the same requestId")
	}
	return d, nil
}

// since notes where the log stands, for whoever takes the question over, and answers
// its epoch; and where it stood if we are the one who does, nil if the question is new.
func (h *hooks) since(ctx context.Context, d *Deletion, earlier Deletion) (from *event.Cursor, epoch string, err error) {
	state, err := h.events.State(ctx)
	if err != nil {
		return nil, "", err
	}
	if earlier.Verdict != Asking {
		d.From = event.Cursor{Epoch: state.Epoch, Seq: state.Last}.String()
		return nil, state.Epoch, nil
	}
	d.From = earlier.From
	at, err := event.ParseCursor(earlier.From)
	return &at, state.Epoch, err
}

// settle stores the event and asks.
func (h *hooks) settle(ctx context.Context, d *Deletion, q *question, e *event.Event, from *event.Cursor, epoch string) error {
	cursor, err := h.storeDeleting(ctx, e, from, epoch)
	if err != nil {
		return err
	}
	d.Cursor = cursor.String()
	all, err := h.store.list(ctx, d.Tenant)
	if err != nil {
		return err
	}
	return h.askAll(all, d, e, q.actor)
}

// begin finds the answer that the same question has had, or makes us the one who
// answers it: then release is not nil, and revision is that of the note to replace.
func (h *hooks) begin(ctx context.Context, id string, d Deletion, repeatable bool) (found Deletion, revision uint64, release func(), err error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if repeatable {
			found, revision, err = h.earlier(ctx, id, d)
			if err != nil || found.Verdict == Allowed || found.Verdict == Refused {
				return found, revision, nil, err
			}
		}
		if found.Verdict != Asking || time.Now().After(found.Until) {
			release, err = h.claim(ctx, id, d)
			if err != nil || release != nil {
				return found, revision, release, err
			}
		}
		select {
		case <-tick.C: // somebody is at it
		case <-ctx.Done():
			return Deletion{}, 0, nil, context.Cause(ctx)
		}
	}
}

// lookEvery is how often a question that is being decided elsewhere is looked at.
const lookEvery = 20 * time.Millisecond

// earlier finds the same question asked before. Verdict "" and revision 0: there is
// none; Asking: it is being decided, or was until its time was over. Code conflict:
// the request id was used for another question.
func (h *hooks) earlier(ctx context.Context, id string, d Deletion) (Deletion, uint64, error) {
	found, revision, err := h.deletions.find(ctx, id)
	switch {
	case fault.CodeOf(err) == fault.DeletionUnknown:
		return Deletion{}, 0, nil
	case err != nil:
		return Deletion{}, 0, err
	case thing(found.Tenant, found.Topic, found.Object) != thing(d.Tenant, d.Topic, d.Object) || found.Mode != d.Mode:
		return Deletion{}, 0, fault.Field(fault.Conflict, "requestId", "was used for another question, %q of %.64q of %.64q", found.Mode, found.Object, found.Topic)
	}
	return found, revision, nil
}

// claimPrefix stands before a claimed object's key; no deletion id has a dot.
const claimPrefix = "asking."

// claim makes sure that hooks are asked about an object once at a time: a hook that
// deletes what it was asked about, and does not say so, would go on for ever. The
// claim ends with release, or by itself when its process has died. A nil release
// and no error: the same question has claimed it elsewhere. Code deletion_pending.
func (h *hooks) claim(ctx context.Context, id string, d Deletion) (release func(), err error) {
	kv, err := h.deletions.kept.open(ctx)
	if err != nil {
		return nil, err
	}
	key := claimPrefix + thing(d.Tenant, d.Topic, d.Object)
	revision, err := kv.Create(ctx, key, []byte(id), jetstream.KeyTTL(h.window().Truncate(time.Second)+time.Second))
	if err := notWritten(err); err != nil {
		if fault.CodeOf(err) == fault.Conflict {
			if holder, err := kv.Get(ctx, key); err != nil || string(holder.Value()) == id {
				return nil, nil // err: it has just ended
			}
			return nil, fault.Field(fault.DeletionPending, "object", "hooks are being asked about %.64q of %.64q already; ask again in a moment", d.Object, d.Topic)
		}
		return nil, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
		defer cancel()
		// Of no consequence if it fails: the claim ends by itself.
		_ = kv.Purge(ctx, key, jetstream.LastRevision(revision), jetstream.PurgeTTL(markersKept))
	}, nil
}
