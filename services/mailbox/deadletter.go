package mailbox

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	eventv1 "github.com/belfry-events/belfry/proto/belfry/event/v1"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

// headerDeliveries is how often a dead letter was delivered.
const headerDeliveries = "Belfry-Deliveries"

const (
	deadPage   = 100
	redriveAll = 500 // with each its tombstone that is a full batch
)

// bury makes dead letters of the messages that are spent. The letter is written
// first, under an address that must be empty, then the message is taken out of the
// state: a crash between leaves it spent, and nobody receives it until it is buried
// for good.
func (s *Service) bury(ctx context.Context, st *state) error {
	for _, seq := range st.spent(time.Now()) {
		m, there, err := s.copies.At(ctx, seq)
		if err != nil {
			return err
		}
		i, held := st.find(seq)
		if there && held {
			if err := s.letter(ctx, m, st.Held[i].Deliveries); err != nil {
				return err
			}
			s.stats.buried.Inc()
		}
		st.remove(seq)
	}
	return nil
}

// letter writes the dead letter of a copy; it may be written already.
func (s *Service) letter(ctx context.Context, m message, deliveries int) error {
	id, mailbox, _ := subject.ParseMailbox(m.Subject)
	header := ours(m.Header)
	header[headerDeliveries] = []string{strconv.Itoa(deliveries)}
	_, err := s.copies.put(ctx, &nats.Msg{Subject: subject.MailboxDead(id, mailbox, s.messageID(m.Seq)), Header: header, Data: m.Data}, 0)
	if errors.Is(err, errConflict) {
		return nil
	}
	return err
}

// ours are the headers of a stored message without those that JetStream obeys or
// adds.
func ours(stored nats.Header) nats.Header {
	h := make(nats.Header, len(stored))
	for k, v := range stored {
		if !strings.HasPrefix(k, "Nats-") {
			h[k] = v
		}
	}
	return h
}

// deadLetters visits a subscriber's dead letters from a position of MAILBOX up,
// until visit says no. Empty ones are what a redrive left that broke off.
func (s *Service) deadLetters(ctx context.Context, id string, from uint64, visit func(message) bool) error {
	for filter := subject.MailboxDead(id, every, every); ; {
		m, there, err := s.copies.First(ctx, filter, from)
		if err != nil || !there {
			return err
		}
		from = m.Seq + 1
		if len(m.Header) == 0 || m.Header.Get(headerDeliveries) == "" {
			if err := s.remove(ctx, m.Seq); err != nil {
				return err
			}
			continue
		}
		if !visit(m) {
			return nil
		}
	}
}

// subscriber loads a subscriber for a call that does not change it; written is when
// its document was.
func (s *Service) subscriber(ctx context.Context, id string) (st *state, written time.Time, err error) {
	if _, err := admit(ctx, id); err != nil {
		return nil, written, err
	}
	if st, _, written, err = s.load(ctx, id); err != nil {
		return nil, written, err
	}
	if err := allowed(ctx, st); err != nil {
		return nil, written, err
	}
	return st, written, living(st)
}

// ViewDeadLetters implements the contract.
func (s *Service) ViewDeadLetters(ctx context.Context, r *mailboxv1.ViewDeadLettersRequest) (*mailboxv1.ViewDeadLettersResponse, error) {
	id := r.GetSubscriberId()
	if _, _, err := s.subscriber(ctx, id); err != nil {
		return nil, err
	}
	limit := deadPage
	if r.Limit != nil {
		limit = int(r.GetLimit())
	}
	if limit < 1 || limit > deadPage {
		return nil, fault.Field(fault.InvalidRequest, "limit", "%d is not between 1 and %d", limit, deadPage)
	}
	from := uint64(1)
	if r.GetAfter() != "" {
		// A restored mailbox has dead letters under the ids of before.
		if _, err := event.ParseCursor(r.GetAfter()); err != nil {
			return nil, fault.Field(fault.MessageUnknown, "after", "is no message id")
		}
		m, there, err := s.copies.Last(ctx, subject.MailboxDead(id, every, r.GetAfter()))
		if err != nil {
			return nil, err
		}
		if !there {
			return nil, fault.Field(fault.MessageUnknown, "after", "is not among the dead letters any more; begin again")
		}
		from = m.Seq + 1
	}
	answer, bytes := &mailboxv1.ViewDeadLettersResponse{}, 0
	err := s.deadLetters(ctx, id, from, func(m message) bool {
		bytes += len(m.Data)
		if n := len(answer.GetDeadLetters()); n == limit || n > 0 && bytes > min(maxBatchBody, s.maxCopy) {
			answer.More = true
			return false
		}
		answer.DeadLetters = append(answer.DeadLetters, deadLetter(m))
		return true
	})
	return answer, err
}

func deadLetter(m message) *mailboxv1.DeadLetter {
	json := body(&m)
	deliveries, _ := strconv.Atoi(m.Header.Get(headerDeliveries)) // we wrote it
	l := &mailboxv1.DeadLetter{
		MessageId: subject.LastToken(m.Subject), DeliveryCount: int32(deliveries),
		Buried: timestamppb.New(m.Time), Message: &eventv1.Event{Json: json},
	}
	if e, err := event.ParseJSON(json); err == nil {
		l.CompCode, l.Topic = e.Tenant, e.Topic
	}
	return l
}

// Redrive implements the contract.
func (s *Service) Redrive(ctx context.Context, r *mailboxv1.RedriveRequest) (*mailboxv1.RedriveResponse, error) {
	id := r.GetSubscriberId()
	st, _, err := s.subscriber(ctx, id)
	if err != nil {
		return nil, err
	}
	if n := len(r.GetMessageIds()); n > deadPage {
		return nil, fault.Field(fault.InvalidRequest, "messageIds", "%d are above the maximum of %d", n, deadPage)
	}
	if err := s.mayAdd(ctx, id); err != nil {
		return nil, err
	}
	answer := &mailboxv1.RedriveResponse{}
	var chosen []message
	var bytes int
	err = s.deadLetters(ctx, id, 1, func(m message) bool {
		message := subject.LastToken(m.Subject)
		if len(r.GetMessageIds()) > 0 && !slices.Contains(r.GetMessageIds(), message) {
			return true
		}
		if st.standing(s.sequence(message), time.Now()) != gone {
			return true // it is being buried
		}
		if bytes += len(m.Data); len(chosen) == redriveAll-1 || len(chosen) > 0 && bytes > maxBatchBody {
			answer.More = true
			return false
		}
		chosen = append(chosen, m)
		return true
	})
	if err != nil || len(chosen) == 0 {
		return answer, err
	}
	answer.MessageCount = int32(len(chosen))
	return answer, s.redrive(ctx, id, chosen)
}

// redrive puts dead letters back: one batch has the new copies, and replaces each
// letter, if it is still there, by an empty one.
func (s *Service) redrive(ctx context.Context, id string, letters []message) error {
	var copies, tombs []*nats.Msg
	for _, m := range letters {
		_, mailbox, _ := subject.ParseMailbox(m.Subject)
		header := ours(m.Header)
		delete(header, headerDeliveries)
		copies = append(copies, &nats.Msg{Subject: subject.MailboxCopy(id, mailbox), Header: header, Data: m.Data})
		tombs = append(tombs, &nats.Msg{Subject: m.Subject, Header: nats.Header{
			nats.MsgRollup: {nats.MsgRollupSubject}, "Nats-Expected-Last-Subject-Sequence": {strconv.FormatUint(m.Seq, 10)},
		}})
	}
	ack, err := s.bus.PublishBatch(ctx, slices.Concat(copies, tombs))
	if err != nil {
		return fault.Wrap(fault.CodeOf(err), err, "the dead letters were not put back; look again")
	}
	s.notify([]byte(id))
	for seq := ack.Seq - uint64(len(tombs)) + 1; seq <= ack.Seq; seq++ {
		if err := s.remove(ctx, seq); err != nil {
			return nil // the next look at the dead letters removes it
		}
	}
	return nil
}

// mayAdd refuses to add the past to mailboxes in which too much waits.
func (s *Service) mayAdd(ctx context.Context, id string) error {
	l, err := s.look(ctx, subject.MailboxCopy(id, every), 1)
	if err != nil {
		return err
	}
	if l.ok && l.behind >= s.config.MaxBacklog {
		return fault.New(fault.BacklogFull, "%d messages wait, the maximum is %d; confirm some first", l.behind+1, s.config.MaxBacklog)
	}
	return nil
}
