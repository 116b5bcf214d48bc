package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

// topic is an entry of the catalogue, in the bucket under <tenant>.<topic>.
type topic struct {
	Topic       string          `json:"topic"` // as first spelt, or as described
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"`
}

// Limits of a description.
const (
	maxDescription = 4 << 10
	maxSchema      = 64 << 10
)

// registerTopic makes a topic known. The relay does it before its cursor passes
// the first event, so whoever sees the cursor behind an event finds its topic.
func (s *Service) registerTopic(ctx context.Context, tenant, name string) error {
	key, err := subject.TopicKey(TopicsBucket, tenant, name)
	if err != nil {
		return nil // an address outside the grammar, which nobody can subscribe to
	}
	body, err := json.Marshal(topic{Topic: name})
	if err != nil {
		return fmt.Errorf("write topic %s: %w", name, err)
	}
	_, err = s.topics.put(ctx, &nats.Msg{Subject: key, Data: body}, 0)
	if errors.Is(err, errConflict) {
		return nil // it is there
	}
	return err
}

// topicKnown refuses a topic that was never published to nor described. One that
// was published just now may not be in the catalogue yet, so the relay has to pass
// what the log holds before the answer is no (MB8).
func (s *Service) topicKnown(ctx context.Context, at place) error {
	key, err := subject.TopicKey(TopicsBucket, at.tenant, at.topic)
	if err != nil {
		return err
	}
	if _, there, err := s.topics.Last(ctx, key); err != nil || there {
		return err
	}
	newest, there, err := s.events.Last(ctx, subject.Events)
	if err != nil {
		return err
	}
	if there {
		ctx, cancel := context.WithTimeout(ctx, certainWithin)
		defer cancel()
		if err := s.relay.Await(ctx, newest.Seq); err != nil {
			return fault.Wrap(fault.Unavailable, err, "not certain yet whether there is such a topic; ask again")
		}
	}
	if _, there, err := s.topics.Last(ctx, key); err != nil || there {
		return err
	}
	return fault.Field(fault.TopicUnknown, "topic", "nothing was ever published to %q of %s; ViewTopics lists what there is", at.topic, at.tenant)
}

// ViewTopics implements the contract.
func (s *Service) ViewTopics(ctx context.Context, _ *mailboxv1.ViewTopicsRequest) (*mailboxv1.ViewTopicsResponse, error) {
	p := api.PrincipalOf(ctx)
	if err := p.Decide(auth.Request{Action: auth.Mailbox}); err != nil {
		return nil, err
	}
	answer := &mailboxv1.ViewTopicsResponse{}
	for _, tenant := range p.Tenants {
		filter, err := subject.TopicKeys(TopicsBucket, tenant)
		if err != nil {
			continue // no event can have such a tenant
		}
		for from := uint64(1); ; {
			m, there, err := s.topics.First(ctx, filter, from)
			if err != nil {
				return nil, err
			}
			if !there {
				break
			}
			from = m.Seq + 1
			var t topic
			if err := json.Unmarshal(m.Data, &t); err != nil {
				return nil, fmt.Errorf("read a topic: %w", err)
			}
			answer.Topics = append(answer.Topics, t.message(tenant))
		}
	}
	slices.SortFunc(answer.GetTopics(), func(a, b *mailboxv1.Topic) int {
		if c := strings.Compare(a.GetCompCode(), b.GetCompCode()); c != 0 {
			return c
		}
		return strings.Compare(subject.Fold(a.GetTopic()), subject.Fold(b.GetTopic()))
	})
	return answer, nil
}

func (t topic) message(tenant string) *mailboxv1.Topic {
	return &mailboxv1.Topic{CompCode: tenant, Topic: t.Topic, Description: t.Description, Schema: string(t.Schema)}
}

// DescribeTopic implements the contract.
func (s *Service) DescribeTopic(ctx context.Context, r *mailboxv1.DescribeTopicRequest) (*mailboxv1.DescribeTopicResponse, error) {
	if err := subject.CheckTopic(r.GetName()); err != nil {
		return nil, fault.InField(err, "name")
	}
	tenant, err := compCodeOf(ctx, api.PrincipalOf(ctx), auth.Request{Action: auth.Publish, Tenant: r.GetCompCode(), Topic: r.GetName()})
	if err != nil {
		return nil, err
	}
	key, err := subject.TopicKey(TopicsBucket, tenant, r.GetName())
	if err != nil {
		return nil, err
	}
	t := topic{Topic: r.GetName(), Description: r.GetDescription()}
	switch {
	case len(t.Description) > maxDescription:
		return nil, fault.Field(fault.InvalidRequest, "description", "%d bytes are above the maximum of %d", len(t.Description), maxDescription)
	case len(r.GetSchema()) > maxSchema:
		return nil, fault.Field(fault.InvalidRequest, "schema", "%d bytes are above the maximum of %d", len(r.GetSchema()), maxSchema)
	case r.GetSchema() != "" && !isSchema(r.GetSchema()):
		return nil, fault.Field(fault.InvalidRequest, "schema", "is not JSON Schema: an object, true or false")
	case r.GetSchema() != "":
		t.Schema = json.RawMessage(r.GetSchema())
	}
	body, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("write topic %s: %w", t.Topic, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := s.topics.put(ctx, &nats.Msg{Subject: key, Data: body}, -1); err != nil {
		return nil, err
	}
	return &mailboxv1.DescribeTopicResponse{Topic: t.message(tenant)}, nil
}

// isSchema says whether a text can be a JSON Schema (draft 2020-12, §4.3: an
// object or a boolean).
func isSchema(s string) bool {
	var v any
	if json.Unmarshal([]byte(s), &v) != nil {
		return false
	}
	switch v.(type) {
	case map[string]any, bool:
		return true
	}
	return false
}
