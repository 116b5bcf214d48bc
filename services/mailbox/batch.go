package mailbox

import (
	"context"
	"errors"

	"github.com/belfry-events/belfry/pkg/fault"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

// Bounds of a batch.
const (
	maxBatch     = 100
	defaultBatch = 10
	maxBatchBody = 4 << 20
)

// ReceiveBatch implements the contract.
func (s *Service) ReceiveBatch(ctx context.Context, r *mailboxv1.ReceiveBatchRequest) (*mailboxv1.ReceiveBatchResponse, error) {
	id := r.GetSubscriberId()
	if _, err := admit(ctx, id); err != nil {
		return nil, err
	}
	lasts, err := seconds("lockTimeout", r.LockTimeout != nil, r.GetLockTimeout(), defaultLock, 1, maxLock)
	if err != nil {
		return nil, err
	}
	wanted := defaultBatch
	if r.MaxMessages != nil {
		wanted = int(r.GetMaxMessages())
	}
	if wanted < 1 || wanted > maxBatch {
		return nil, fault.Field(fault.InvalidRequest, "maxMessages", "%d is not between 1 and %d", wanted, maxBatch)
	}
	answer, most := &mailboxv1.ReceiveBatchResponse{}, min(maxBatchBody, s.maxCopy)
	err = s.change(ctx, id, func(t *desk, st *state) error {
		if err := living(st); err != nil {
			return err
		}
		if err := s.bury(ctx, st); err != nil {
			return err
		}
		answer.Reset()
		for bytes := 0; len(answer.GetMessages()) < wanted; {
			if err := s.mayLock(st); err != nil {
				return cut(err, answer)
			}
			m, first, err := s.pick(ctx, t, id, st, "")
			if err == nil && m == nil {
				err = s.nothing(t)
			}
			if err != nil || m == nil {
				return cut(err, answer)
			}
			if bytes += len(m.Data); bytes > most && len(answer.GetMessages()) > 0 {
				break
			}
			one := &mailboxv1.ReceiveResponse{}
			if err := s.lockOne(ctx, st, m, first, lasts, one); err != nil {
				return cut(err, answer)
			}
			answer.Messages = append(answer.Messages, one)
		}
		return nil
	})
	return answer, err
}

// cut is why a batch ends early: what is in it already is locked and answered.
func cut(err error, answer *mailboxv1.ReceiveBatchResponse) error {
	if len(answer.GetMessages()) > 0 {
		return nil
	}
	return err
}

// ConfirmBatch implements the contract.
func (s *Service) ConfirmBatch(ctx context.Context, r *mailboxv1.ConfirmBatchRequest) (*mailboxv1.ConfirmBatchResponse, error) {
	id := r.GetSubscriberId()
	if _, err := admit(ctx, id); err != nil {
		return nil, err
	}
	if n := len(r.GetItems()); n < 1 || n > maxBatch {
		return nil, fault.Field(fault.InvalidRequest, "items", "a batch has 1 to %d, not %d", maxBatch, n)
	}
	answer := &mailboxv1.ConfirmBatchResponse{}
	var seqs []uint64
	err := s.change(ctx, id, func(_ *desk, st *state) error {
		if err := living(st); err != nil {
			return err
		}
		answer.Reset()
		seqs = seqs[:0]
		decided := false
		for _, item := range r.GetItems() {
			seq := s.sequence(item.GetMessageId())
			result := &mailboxv1.ConfirmResult{MessageId: item.GetMessageId(), Confirmed: true}
			answer.Results = append(answer.Results, result)
			err := s.confirmOne(st, seq, parseLock(item.GetLockId()))
			if errors.Is(err, errNotHolder) {
				var refused error
				if refused, err = s.refuse(ctx, id, st, seq); refused != nil {
					decided, err = true, refused
				}
				err = s.tell(err)
			}
			switch {
			case err == nil:
				decided, seqs = true, append(seqs, seq)
			case !errors.Is(err, errUnchanged):
				code, text := string(fault.CodeOf(err)), fault.From(err).Error()
				result.Confirmed, result.Code, result.Message = false, &code, &text
			}
		}
		if !decided {
			return errUnchanged
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.sweepUp(ctx, id, seqs...)
	return answer, nil
}
