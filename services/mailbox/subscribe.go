package mailbox

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

// certainWithin is how long Subscribe and Unsubscribe wait for the relay to pass
// their record.
const certainWithin = 5 * time.Second

// maxDeliveryLimit bounds SubscribeRequest.max_deliveries.
const maxDeliveryLimit = 1000

// Subscribe implements the contract.
func (s *Service) Subscribe(ctx context.Context, r *mailboxv1.SubscribeRequest) (*mailboxv1.SubscribeResponse, error) {
	id := r.GetSubscriberId()
	p, err := admit(ctx, id)
	if err != nil {
		return nil, err
	}
	at, err := placeOf(ctx, p, r.GetCompCode(), r.GetTopic())
	if err != nil {
		return nil, err
	}
	verbs, err := foldVerbs(r.GetVerbs())
	if err != nil {
		return nil, err
	}
	if n := r.GetMaxDeliveries(); n < 0 || n > maxDeliveryLimit {
		return nil, fault.Field(fault.InvalidRequest, "maxDeliveries", "%d is not between 0 and %d", n, maxDeliveryLimit)
	}
	if err := s.mayHaveMore(ctx, id, at); err != nil {
		return nil, err
	}
	if err := s.begin(ctx, id); err != nil {
		return nil, err
	}
	return &mailboxv1.SubscribeResponse{}, s.decide(ctx, id, record{
		Op: opSubscribe, Tenant: at.tenant, Topic: r.GetTopic(), Verbs: verbs, MaxDeliveries: int(r.GetMaxDeliveries()),
	})
}

// placeOf is the topic that a request names, in a tenant that the caller may act
// in.
func placeOf(ctx context.Context, p *auth.Principal, compCode, topic string) (place, error) {
	tenant, err := compCodeOf(ctx, p, auth.Request{Action: auth.Mailbox, Tenant: compCode})
	if err != nil {
		return place{}, err
	}
	if err := subject.CheckTopic(topic); err != nil {
		return place{}, err
	}
	return place{tenant, subject.Fold(topic)}, nil
}

// compCodeOf is the tenant that a request is about, the token's only one unless it
// names another, if the caller may do there what it asks for.
func compCodeOf(ctx context.Context, p *auth.Principal, r auth.Request) (tenant string, err error) {
	if r.Tenant, err = p.Tenant(r.Tenant); err != nil {
		return "", fault.InField(err, "compCode")
	}
	api.Concerns(ctx, r.Tenant)
	return r.Tenant, fault.InField(p.Decide(r), "compCode")
}

// mayHaveMore refuses a subscriber that is not the caller's, a topic that nobody
// knows, and one subscription too many.
func (s *Service) mayHaveMore(ctx context.Context, id string, at place) error {
	st, _, _, err := s.load(ctx, id)
	if err != nil {
		return err
	}
	if err := allowed(ctx, st); err != nil {
		return err
	}
	if err := s.topicKnown(ctx, at); err != nil {
		return err
	}
	info, err := s.copies.info(ctx, subject.MailboxEntry(id, every))
	if err != nil || len(info.State.Subjects) < s.config.MaxSubscriptions {
		return err
	}
	have, err := s.subscriptions(ctx, id)
	if err != nil || slices.ContainsFunc(have, func(o *subscription) bool { return o.place() == at }) {
		return err
	}
	return fault.New(fault.TooManySubscriptions, "%d mailboxes are the maximum of one subscriber", s.config.MaxSubscriptions)
}

// begin makes a subscriber one that has mailboxes. What an expired one had goes
// first, should whoever took it away have died before the record was written.
func (s *Service) begin(ctx context.Context, id string) error {
	return s.change(ctx, id, func(t *desk, st *state) error {
		if st.Expired != nil {
			if _, err := s.write(ctx, id, record{Op: opClear, Before: st.Expired.Before}); err != nil {
				return err
			}
		} else if st.Live && time.Since(t.written) < refreshPoll {
			return errUnchanged
		}
		st.Live, st.Expired = true, nil
		return nil
	})
}

// write puts a record into EVENTS.
func (s *Service) write(ctx context.Context, id string, r record) (seq uint64, err error) {
	body, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("write a record: %w", err)
	}
	return s.events.put(ctx, &nats.Msg{Subject: subject.MailboxRecord(id), Data: body}, -1)
}

// decide writes a record and waits until the relay has passed it: from then on it
// holds. Code unavailable when that is not certain in time; the record may hold
// nevertheless, and may be written again.
func (s *Service) decide(ctx context.Context, id string, r record) error {
	seq, err := s.write(ctx, id, r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, certainWithin)
	defer cancel()
	if err := s.relay.Await(ctx, seq); err != nil {
		return fault.Wrap(fault.Unavailable, err, "not certain yet, the mailbox relay is behind; ask again")
	}
	return nil
}

// Unsubscribe implements the contract.
func (s *Service) Unsubscribe(ctx context.Context, r *mailboxv1.UnsubscribeRequest) (*mailboxv1.UnsubscribeResponse, error) {
	id := r.GetSubscriberId()
	p, err := admit(ctx, id)
	if err != nil {
		return nil, err
	}
	at, err := placeOf(ctx, p, r.GetCompCode(), r.GetTopic())
	if err != nil {
		return nil, err
	}
	st, _, _, err := s.load(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := allowed(ctx, st); err != nil {
		return nil, err
	}
	if err := s.decide(ctx, id, record{Op: opUnsubscribe, Tenant: at.tenant, Topic: r.GetTopic()}); err != nil {
		return nil, err
	}
	if err := s.deleteEnded(ctx, id); err != nil {
		return nil, err
	}
	// A new revision, under which no replica receives what it has named before.
	return &mailboxv1.UnsubscribeResponse{}, s.change(ctx, id, func(*desk, *state) error { return nil })
}

// deleteEnded deletes what is left of a subscriber's ended mailboxes, so that the
// answer to Unsubscribe means it is gone.
func (s *Service) deleteEnded(ctx context.Context, id string) error {
	return s.entries(ctx, id, func(o *subscription, ended bool) error {
		if !ended {
			return nil
		}
		return s.deleteMailbox(ctx, id, o.id)
	})
}

// subscriptions are a subscriber's mailboxes, in the leader's word, ordered by
// tenant and topic.
func (s *Service) subscriptions(ctx context.Context, id string) (all []*subscription, err error) {
	err = s.entries(ctx, id, func(o *subscription, ended bool) error {
		if !ended {
			all = append(all, o)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b *subscription) int {
		return strings.Compare(a.Tenant+"\x00"+subject.Fold(a.Topic), b.Tenant+"\x00"+subject.Fold(b.Topic))
	})
	return all, err
}

// entries visits a subscriber's documents in the table.
func (s *Service) entries(ctx context.Context, id string, visit func(o *subscription, ended bool) error) error {
	for from := uint64(1); ; {
		m, there, err := s.copies.First(ctx, subject.MailboxEntry(id, every), from)
		if err != nil || !there {
			return err
		}
		from = m.Seq + 1
		o, ended, err := readSubscription(m)
		if err != nil {
			return fmt.Errorf("read a subscription: %w", err)
		}
		if err := visit(o, ended); err != nil {
			return err
		}
	}
}

// ViewSubscriptions implements the contract.
func (s *Service) ViewSubscriptions(ctx context.Context, r *mailboxv1.ViewSubscriptionsRequest) (*mailboxv1.ViewSubscriptionsResponse, error) {
	id := r.GetSubscriberId()
	_, written, err := s.subscriber(ctx, id)
	if err != nil {
		return nil, err
	}
	all, err := s.subscriptions(ctx, id)
	if err != nil {
		return nil, err
	}
	waiting, dead, err := s.counts(ctx, id)
	if err != nil {
		return nil, err
	}
	answer := &mailboxv1.ViewSubscriptionsResponse{}
	for _, o := range all {
		answer.Subscriptions = append(answer.Subscriptions, &mailboxv1.Subscription{
			CompCode: o.Tenant, Topic: o.Topic, Verbs: o.Verbs, MaxDeliveries: int32(o.MaxDeliveries), Since: o.Since,
			MessageCount: int32(waiting[o.id]), DeadLetterCount: int32(dead[o.id]),
		})
	}
	if len(all) > 0 {
		answer.Expires = timestamppb.New(written.Add(s.config.ExpireAfter))
	}
	return answer, nil
}

// counts are the messages and the dead letters of a subscriber's mailboxes, by the
// mailbox, in the leader's word.
func (s *Service) counts(ctx context.Context, id string) (waiting, dead map[string]int, err error) {
	waiting, dead = map[string]int{}, map[string]int{}
	info, err := s.copies.info(ctx, subject.MailboxOf(id))
	if err != nil {
		return nil, nil, err
	}
	for subj, n := range info.State.Subjects {
		_, o, _ := subject.ParseMailbox(subj)
		switch {
		case subject.Match(subject.MailboxCopy(id, every), subj):
			waiting[o] += n
		case subject.Match(subject.MailboxDead(id, every, every), subj):
			dead[o] += n
		}
	}
	return waiting, dead, nil
}
