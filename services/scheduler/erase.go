package scheduler

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/stream"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Erased is what was removed of a person, or would be.
type Erased struct {
	Schedules int // that remind the user, or publish about the user
	Entries   int // of histories: of these schedules, and of runs by hand by the user
}

// usersTopic is the topic whose events are about the user that is their subject.
const usersTopic = "users"

// Erase deletes the schedules of a tenant that are for or about a user, with their
// histories, and from other histories what the user has run by hand; entries are
// overwritten on the disk. A schedule that the user has made for something else
// stays, and so does its owner's name, which decides who may change it. It may be
// repeated. dryRun only counts. Codes invalid_name, unavailable: then part of it is
// done.
func Erase(ctx context.Context, nc *nats.Conn, tenant, user string, dryRun bool) (done Erased, err error) {
	if err := subject.CheckTenant(tenant); err != nil {
		return done, err
	}
	if _, err := subject.Escape("user", user); err != nil {
		return done, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return done, err
	}
	s := newStore(&bus.Bus{NC: nc, JS: js})
	var gone []string // histories
	err = s.walk(ctx, Schedules, subject.TenantSchedules(tenant), func(m *stream.Message) error {
		have, err := definitionOf(m)
		if err != nil || !have.Action.concerns(user) {
			return err
		}
		gone = append(gone, have.address().History())
		if done.Schedules++; dryRun {
			return nil
		}
		return s.eraseOne(ctx, have.address(), user)
	})
	if err != nil {
		return done, err
	}
	err = s.walk(ctx, History, subject.TenantHistory(tenant), func(m *stream.Message) error {
		var e entry
		if err := json.Unmarshal(m.Data, &e); (err != nil || e.By != user) && !slices.Contains(gone, m.Subject) {
			return nil
		}
		if done.Entries++; dryRun {
			return nil
		}
		return s.overwrite(ctx, History, m.Seq)
	})
	return done, err
}

// concerns says that an action is for or about a user.
func (a action) concerns(user string) bool {
	return a.Notify != nil && a.Notify.User == user ||
		a.Publish != nil && subject.Fold(a.Publish.Topic) == usersTopic && a.Publish.Subject == user
}

// nameless is an action of the same kind that says nothing of anybody.
func (a action) nameless() action {
	switch {
	case a.Notify != nil:
		return action{Notify: &notify{Code: a.Notify.Code}}
	case a.Publish != nil:
		return action{Publish: &publish{Topic: a.Publish.Topic, Verb: a.Publish.Verb}}
	}
	return a
}

// eraseOne deletes a schedule and leaves no name in what remains of it. No service
// runs here that would gather changes.
func (s *store) eraseOne(ctx context.Context, a subject.Schedule, user string) error {
	return s.bury(ctx, a, s.batch, func(have kept) *definition {
		if have.definition == nil || !have.Action.concerns(user) {
			return nil
		}
		to := have.remains()
		to.Action = to.Action.nameless()
		return to
	})
}

// walk visits what a stream has under a pattern now.
func (s *store) walk(ctx context.Context, name, pattern string, visit func(*stream.Message) error) error {
	end, err := s.last(ctx, name, pattern)
	for seq := uint64(1); err == nil && end != nil && seq <= end.Seq; {
		var m *stream.Message
		if m, err = s.after(ctx, name, pattern, seq); err != nil || m == nil {
			return err
		}
		seq = m.Seq + 1
		err = visit(m)
	}
	return err
}

// overwrite deletes a message, and its bytes on the disk.
func (s *store) overwrite(ctx context.Context, name string, seq uint64) error {
	if err := s.of(name).Erase(ctx, seq); err != nil {
		return fault.Wrap(fault.Unavailable, err, "message %d of %s is not erased; erase again", seq, name)
	}
	return nil
}
