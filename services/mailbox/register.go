package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

// Register implements the contract.
func (s *Service) Register(ctx context.Context, r *mailboxv1.RegisterRequest) (*mailboxv1.RegisterResponse, error) {
	p := api.PrincipalOf(ctx)
	if err := p.Decide(auth.Request{Action: auth.Mailbox}); err != nil {
		return nil, err
	}
	name := r.GetSubscriberName()
	if err := checkName(name); err != nil {
		return nil, err
	}
	id := subscriberID(p, name)
	answer := &mailboxv1.RegisterResponse{SubscriberId: id}
	for range 2 {
		st, rev, _, err := s.load(ctx, id)
		if err != nil {
			return nil, err
		}
		if st != nil {
			return answer, allowed(ctx, st)
		}
		body, err := json.Marshal(&state{Issuer: p.Issuer, Subject: p.Subject, Name: name, Created: time.Now().UTC(), Epoch: s.epoch})
		if err != nil {
			return nil, fmt.Errorf("write the state of a new subscriber: %w", err)
		}
		_, err = s.states.put(ctx, &nats.Msg{Subject: subject.Key(StateBucket, stateKey(id)), Data: body}, int64(rev))
		if err == nil {
			return answer, nil
		}
		if !errors.Is(err, errConflict) {
			return nil, err
		}
	}
	return nil, fault.New(fault.Unavailable, "this name is being registered by another call; ask again")
}

// checkName holds a subscriber's name against its rules. Code invalid_name.
func checkName(name string) error {
	const field = "subscriberName"
	switch {
	case name == "":
		return fault.Field(fault.InvalidName, field, "must not be empty")
	case len(name) > subject.MaxToken:
		return fault.Field(fault.InvalidName, field, "%d bytes are above the maximum of %d", len(name), subject.MaxToken)
	case !utf8.ValidString(name):
		return fault.Field(fault.InvalidName, field, "is not valid UTF-8")
	case strings.IndexFunc(name, unicode.IsControl) >= 0:
		return fault.Field(fault.InvalidName, field, "contains a control character")
	}
	return nil
}

// ViewSubscribers implements the contract.
func (s *Service) ViewSubscribers(ctx context.Context, _ *mailboxv1.ViewSubscribersRequest) (*mailboxv1.ViewSubscribersResponse, error) {
	p := api.PrincipalOf(ctx)
	if err := p.Decide(auth.Request{Action: auth.Mailbox}); err != nil {
		return nil, err
	}
	answer := &mailboxv1.ViewSubscribersResponse{}
	filter := subject.Key(StateBucket, ownerID(p)+".*")
	for from := uint64(1); ; {
		m, there, err := s.states.First(ctx, filter, from)
		if err != nil {
			return nil, err
		}
		if !there {
			break
		}
		from = m.Seq + 1
		var st state
		if len(m.Data) == 0 {
			continue
		}
		if err := json.Unmarshal(m.Data, &st); err != nil {
			return nil, fmt.Errorf("read a subscriber: %w", err)
		}
		if allowed(ctx, &st) != nil {
			continue
		}
		sub := &mailboxv1.Subscriber{
			SubscriberId: subscriberID(p, st.Name), SubscriberName: st.Name, LastPolled: timestamppb.New(m.Time), Expired: st.Expired != nil,
		}
		if st.Live {
			sub.Expires = timestamppb.New(m.Time.Add(s.config.ExpireAfter))
		}
		answer.Subscribers = append(answer.Subscribers, sub)
	}
	slices.SortFunc(answer.GetSubscribers(), func(a, b *mailboxv1.Subscriber) int {
		return strings.Compare(a.GetSubscriberName(), b.GetSubscriberName())
	})
	return answer, nil
}
