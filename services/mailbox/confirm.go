package mailbox

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

// Confirm implements the contract.
func (s *Service) Confirm(ctx context.Context, r *mailboxv1.ConfirmRequest) (*mailboxv1.ConfirmResponse, error) {
	if err := s.held(ctx, r, func(st *state, seq, lock uint64) error {
		return s.confirmOne(st, seq, lock)
	}); err != nil {
		return nil, s.tell(err)
	}
	s.sweepUp(ctx, r.GetSubscriberId(), s.sequence(r.GetMessageId()))
	return &mailboxv1.ConfirmResponse{MessageId: r.GetMessageId()}, nil
}

// confirmOne confirms a message, or finds that this lock has done so before.
func (s *Service) confirmOne(st *state, seq, lock uint64) error {
	if was, ok := st.Confirmed.of(seq); ok {
		if was.lock == lock {
			return errUnchanged
		}
		return errNotHolder
	}
	h := st.holder(seq, lock, time.Now())
	if h == nil {
		return errNotHolder
	}
	s.stats.confirmed.WithLabelValues(s.stats.tenants.of(h.Tenant)).Inc()
	st.confirm(seq, lock)
	return nil
}

// sweepUp deletes copies that have just been confirmed, also when the caller has
// left. The confirm stands whether or not that succeeds: the next look deletes
// them otherwise.
func (s *Service) sweepUp(ctx context.Context, id string, seqs ...uint64) {
	ctx = context.WithoutCancel(ctx)
	var deleted []uint64
	for _, seq := range seqs {
		if err := s.remove(ctx, seq); err != nil {
			s.log.WarnContext(ctx, "confirmed copy not deleted yet", telemetry.KeySequence, seq, telemetry.Err(err))
			continue
		}
		deleted = append(deleted, seq)
	}
	t, err := s.desks.take(ctx, id)
	if err != nil {
		return
	}
	defer s.desks.give(t)
	for _, seq := range deleted {
		t.deleted[seq] = true
	}
}

// Renew implements the contract.
func (s *Service) Renew(ctx context.Context, r *mailboxv1.RenewRequest) (*mailboxv1.RenewResponse, error) {
	lasts, err := seconds("lockTimeout", r.LockTimeout != nil, r.GetLockTimeout(), defaultLock, 1, maxLock)
	if err != nil {
		return nil, err
	}
	answer := &mailboxv1.RenewResponse{}
	err = s.held(ctx, r, func(st *state, seq, lock uint64) error {
		h := st.holder(seq, lock, time.Now())
		if h == nil {
			return errNotHolder
		}
		until := time.Now().Add(lasts)
		h.Until, answer.LockedUntil = until.UnixMilli(), timestamppb.New(until)
		return nil
	})
	return answer, s.tell(err)
}

// Release implements the contract.
func (s *Service) Release(ctx context.Context, r *mailboxv1.ReleaseRequest) (*mailboxv1.ReleaseResponse, error) {
	delay, err := seconds("delay", true, r.GetDelay(), 0, 0, maxLock)
	if err != nil {
		return nil, err
	}
	err = s.held(ctx, r, func(st *state, seq, lock uint64) error {
		h := st.holder(seq, lock, time.Now())
		if h == nil {
			return errNotHolder
		}
		h.Lock, h.Until = 0, 0
		if delay > 0 {
			h.Until = time.Now().Add(delay).UnixMilli()
		}
		return nil
	})
	if err != nil {
		return nil, s.tell(err)
	}
	s.notify([]byte(r.GetSubscriberId()))
	return &mailboxv1.ReleaseResponse{}, nil
}

// holds is a request of somebody who has received a message.
type holds interface {
	GetSubscriberId() string
	GetMessageId() string
	GetLockId() string
}

// errNotHolder: the lock is not, or not any more, that of the message.
var errNotHolder = errors.New("another lock, or none")

// held changes what a lock holds. Whoever comes with a wrong lock is told whether
// there is such a message at all.
func (s *Service) held(ctx context.Context, r holds, f func(st *state, seq, lock uint64) error) error {
	id := r.GetSubscriberId()
	if _, err := admit(ctx, id); err != nil {
		return err
	}
	switch {
	case r.GetMessageId() == "":
		return fault.Field(fault.InvalidRequest, "messageId", "must not be empty")
	case r.GetLockId() == "":
		return fault.Field(fault.InvalidRequest, "lockId", "must not be empty")
	}
	seq, lock := s.sequence(r.GetMessageId()), parseLock(r.GetLockId())
	var refused error
	err := s.change(ctx, id, func(_ *desk, st *state) (err error) {
		refused = nil
		if err := living(st); err != nil {
			return err
		}
		if err = f(st, seq, lock); errors.Is(err, errNotHolder) {
			refused, err = s.refuse(ctx, id, st, seq)
		}
		return err
	})
	if err != nil {
		return err
	}
	return refused
}

// refuse is what the holder of a wrong lock is told: lock_lost if there is, or just
// was, such a message, else that there is none. The document is written nevertheless,
// as it is: an earlier try of the same call, whose answer was lost, may be on its way
// still, and would confirm what its caller is told here it has not. Whichever is written
// first, the other one is refused for it and decided anew. err says that nothing is known.
func (s *Service) refuse(ctx context.Context, id string, st *state, seq uint64) (refused, err error) {
	_, waits := st.find(seq)
	_, confirmed := st.Confirmed.of(seq)
	switch {
	case seq == 0: // no id of ours, so no try of it either
		return nil, unknownMessage()
	case waits, confirmed:
		return lockLost(), nil
	case st.standing(seq, time.Now()) == gone:
		return unknownMessage(), nil
	}
	_, err = s.pickFromLeader(ctx, id, st, seq)
	switch {
	case err == nil:
		return lockLost(), nil // it has not been received
	case fault.CodeOf(err) == fault.MessageUnknown:
		return err, nil
	}
	return nil, err
}

func lockLost() error {
	return fault.Field(fault.LockLost, "lockId", "is not, or no longer, the lock of this message; receive it again")
}
