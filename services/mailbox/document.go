package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// maxTries is how often a change is made anew because somebody else, on another
// replica, was faster.
const maxTries = 16

// errUnchanged ends a change without writing.
var errUnchanged = errors.New("nothing to change")

// load reads a document from the leader; nil if there is none.
func (s *Service) load(ctx context.Context, id string) (st *state, rev uint64, written time.Time, err error) {
	m, there, err := s.states.Last(ctx, subject.Key(StateBucket, stateKey(id)))
	if err != nil || !there || len(m.Data) == 0 {
		return nil, m.Seq, m.Time, err
	}
	st = &state{}
	if err := json.Unmarshal(m.Data, st); err != nil {
		return nil, 0, m.Time, fmt.Errorf("read the state of subscriber %s: %w", id, err)
	}
	st.fits(s.epoch)
	return st, m.Seq, m.Time, nil
}

// change applies f to the subscriber's document and stores it. f sees a copy and
// may ask NATS; it is called again with a newer one if another replica was
// faster. Its errors change nothing; errUnchanged is not an error.
func (s *Service) change(ctx context.Context, id string, f func(t *desk, st *state) error) error {
	t, err := s.desks.take(ctx, id)
	if err != nil {
		return err
	}
	defer s.desks.give(t)
	for tries := 1; ; tries++ {
		fresh := t.doc == nil
		if fresh {
			if t.doc, t.rev, t.written, err = s.load(ctx, id); err != nil {
				t.forget()
				return err
			}
		}
		if err := allowed(ctx, t.doc); err != nil {
			return err
		}
		st := t.doc.clone()
		st.Undeleted = slices.DeleteFunc(st.Undeleted, func(seq uint64) bool { return t.deleted[seq] })
		err := f(t, st)
		if err != nil && !fresh {
			// What is refused is not written, so nobody would find out that this
			// was an old document.
			t.forget()
			continue
		}
		if errors.Is(err, errUnchanged) {
			return nil
		}
		if err != nil {
			return err
		}
		if err = s.save(ctx, t, st); !errors.Is(err, errConflict) {
			return err
		}
		s.stats.conflicts.Inc()
		if tries >= maxTries {
			return fault.Wrap(fault.Unavailable, err, "too many calls for this subscriber at once; ask again")
		}
		if err := sleep(ctx, rand.N(time.Duration(tries)*2*time.Millisecond)); err != nil {
			return err
		}
	}
}

// save stores a document in place of the desk's.
func (s *Service) save(ctx context.Context, t *desk, st *state) error {
	body, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("write the state of subscriber %s: %w", t.id, err)
	}
	expected := int64(t.rev)
	t.forget() // until it is known what is there now
	rev, err := s.states.put(ctx, &nats.Msg{Subject: subject.Key(StateBucket, stateKey(t.id)), Data: body}, expected)
	if err != nil {
		return err
	}
	t.doc, t.rev, t.written = st, rev, time.Now()
	t.named = named{}
	for seq := range t.deleted {
		if !slices.Contains(st.Undeleted, seq) {
			delete(t.deleted, seq) // nobody asks about it any more
		}
	}
	return nil
}

// allowed says whether the caller may have anything to do with a subscriber.
// Strangers are told what they would be told if there were none.
func allowed(ctx context.Context, st *state) error {
	if p := api.PrincipalOf(ctx); st == nil || p == nil || st.Issuer != p.Issuer || st.Subject != p.Subject {
		return unknownSubscriber()
	}
	return nil
}

func unknownSubscriber() error {
	return fault.Field(fault.SubscriberUnknown, "subscriberId", "you have registered no such subscriber")
}

// living refuses a subscriber whose mailboxes were taken away (MB6).
func living(st *state) error {
	if st.Expired == nil {
		return nil
	}
	return fault.New(fault.MailboxExpired, "not polled for too long: the mailboxes were removed at %s; subscribe again", st.Expired.At.UTC().Format(time.RFC3339))
}

// admit checks what every call has in common: the grant, and the form of the id.
func admit(ctx context.Context, id string) (*auth.Principal, error) {
	p := api.PrincipalOf(ctx)
	if err := p.Decide(auth.Request{Action: auth.Mailbox}); err != nil {
		return nil, err
	}
	switch {
	case id == "":
		return nil, fault.Field(fault.InvalidRequest, "subscriberId", "must not be empty")
	case !validID(id):
		return nil, unknownSubscriber()
	}
	return p, nil
}

// seconds is an optional number of seconds within bounds.
func seconds(field string, given bool, n, absent, low, high int32) (time.Duration, error) {
	if !given {
		n = absent
	}
	if n < low || n > high {
		return 0, fault.Field(fault.InvalidRequest, field, "%d is not between %d and %d seconds", n, low, high)
	}
	return time.Duration(n) * time.Second, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
