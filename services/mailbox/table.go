package mailbox

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/subject"
)

// table is who has subscribed to what, in the memory of the relay's worker: read
// from MAILBOX when it takes over, then changed by the records that it relays, each
// in the same batch as its document and the cursor.
type table struct {
	topics      map[place]*row
	subscribers map[string]map[string]*subscription // by subscriber and id
	living      int
}

// row is the mailboxes of one topic.
type row struct {
	all    []*subscription
	sorted bool
}

func newTable() *table {
	return &table{topics: map[place]*row{}, subscribers: map[string]map[string]*subscription{}}
}

// add puts a subscription into the table.
func (t *table) add(s *subscription) {
	s.copies = subject.MailboxCopy(s.subscriber, s.id)
	if t.subscribers[s.subscriber] == nil {
		t.subscribers[s.subscriber] = map[string]*subscription{}
	}
	t.subscribers[s.subscriber][s.id] = s
	r := t.topics[s.place()]
	if r == nil {
		r = &row{}
		t.topics[s.place()] = r
	}
	r.all, r.sorted = append(r.all, s), false
	t.living++
}

// leave takes a subscription out of its topic; the table remembers that it is gone
// until forget, so that a record which is mapped twice does the same twice.
func (t *table) leave(s *subscription) {
	r := t.topics[s.place()]
	if r == nil {
		return
	}
	t.living--
	if r.all = slices.DeleteFunc(r.all, func(o *subscription) bool { return o == s }); len(r.all) == 0 {
		delete(t.topics, s.place())
	}
}

func (t *table) forget(s *subscription) {
	delete(t.subscribers[s.subscriber], s.id)
	if len(t.subscribers[s.subscriber]) == 0 {
		delete(t.subscribers, s.subscriber)
	}
}

// of is the mailboxes of a topic, in their order.
func (t *table) of(p place) []*subscription {
	r := t.topics[p]
	if r == nil {
		return nil
	}
	if !r.sorted {
		slices.SortFunc(r.all, (*subscription).compare)
		r.sorted = true
	}
	return r.all
}

// apply does what the record at a position of EVENTS says, and answers the
// documents that change.
func (t *table) apply(subscriber string, at event.Cursor, r record) ([]*nats.Msg, error) {
	var ended []*subscription
	switch r.Op {
	case opSubscribe:
		s := t.find(subscriber, place{r.Tenant, subject.Fold(r.Topic)})
		if s == nil {
			s = &subscription{Tenant: r.Tenant, Topic: r.Topic, Since: at.String(), subscriber: subscriber, id: strconv.FormatUint(at.Seq, 36)}
			t.add(s)
		}
		s.Verbs, s.MaxDeliveries = r.Verbs, r.MaxDeliveries
		m, err := s.document()
		return []*nats.Msg{m}, err
	case opUnsubscribe:
		p := place{r.Tenant, subject.Fold(r.Topic)}
		ended = t.end(subscriber, at.Seq, func(s *subscription) bool { return s.place() == p })
	case opClear:
		ended = t.end(subscriber, at.Seq, func(s *subscription) bool {
			since, err := event.ParseCursor(s.Since)
			return err == nil && (since.Epoch != at.Epoch || since.Seq <= r.Before)
		})
	}
	msgs := make([]*nats.Msg, len(ended))
	for i, s := range ended {
		msgs[i] = &nats.Msg{Subject: subject.MailboxEntry(s.subscriber, s.id), Header: nats.Header{nats.MsgRollup: {nats.MsgRollupSubject}}}
	}
	return msgs, nil
}

// find is the living subscription for a topic.
func (t *table) find(subscriber string, p place) *subscription {
	for _, s := range t.subscribers[subscriber] {
		if s.gone == 0 && s.place() == p {
			return s
		}
	}
	return nil
}

// end ends the subscriptions that are meant and live, or were ended by this very
// record.
func (t *table) end(subscriber string, at uint64, meant func(*subscription) bool) (ended []*subscription) {
	for _, id := range slices.Sorted(maps.Keys(t.subscribers[subscriber])) {
		s := t.subscribers[subscriber][id]
		if !meant(s) || s.gone != 0 && s.gone != at {
			continue
		}
		if s.gone == 0 {
			s.gone = at
			t.leave(s)
		}
		ended = append(ended, s)
	}
	return ended
}

// document is the subscription as it stands in MAILBOX. An empty one means that it
// has ended, and that what is left of it is to be deleted.
func (s *subscription) document() (*nats.Msg, error) {
	body, err := json.Marshal(s)
	return &nats.Msg{
		Subject: subject.MailboxEntry(s.subscriber, s.id), Data: body,
		Header: nats.Header{nats.MsgRollup: {nats.MsgRollupSubject}},
	}, err
}

// readSubscription reads a document; nil if it has ended, or is the cursor.
func readSubscription(m message) (s *subscription, ended bool, err error) {
	subscriber, id, ok := subject.ParseMailbox(m.Subject)
	if !ok {
		return nil, false, nil
	}
	s = &subscription{subscriber: subscriber, id: id, copies: subject.MailboxCopy(subscriber, id)}
	if len(m.Data) == 0 {
		return s, true, nil
	}
	return s, false, json.Unmarshal(m.Data, s)
}

// past takes out, and answers, the subscriptions of a subscriber that ended at or
// before a position.
func (t *table) past(subscriber string, at uint64) (ended []*subscription) {
	for _, s := range t.subscribers[subscriber] {
		if s.gone != 0 && s.gone <= at {
			ended = append(ended, s)
		}
	}
	for _, s := range ended {
		t.forget(s)
	}
	return ended
}
