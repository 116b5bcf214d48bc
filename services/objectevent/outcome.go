package objectevent

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

// outcomes waits until the operations at these sequences of the queue are decided,
// and answers how. A single one that was refused is the error of the call.
func (s *Service) outcomes(ctx context.Context, ops []operation, at []uint64, queueOnly bool) (*objecteventv1.ReportResponse, error) {
	list := make([]*objecteventv1.Outcome, len(ops))
	for i := range ops {
		list[i] = &objecteventv1.Outcome{Id: ops[i].ID, State: string(outcomeQueued)}
	}
	answer := &objecteventv1.ReportResponse{Operations: list}
	if queueOnly || s.config.ReportWait == 0 || !s.await(ctx, ops, at) {
		return answer, nil
	}
	epochs, err := s.epochs(ctx)
	if err != nil {
		return answer, nil //nolint:nilerr // they are queued, and that is what the answer says
	}
	for i, out := range list {
		if s.outcome(ctx, out, &ops[i], event.Cursor{Epoch: epochs.operations, Seq: at[i]}, epochs.events) != nil {
			continue // the same
		}
		if len(ops) == 1 && out.GetState() == string(outcomeRefused) {
			return nil, refusalOf(out)
		}
	}
	return answer, nil
}

// refusalOf is the fault of an operation that was refused, with its field, which its text
// begins with.
func refusalOf(out *objecteventv1.Outcome) error {
	err := fault.New(fault.Code(out.GetCode()), "%s", out.GetMessage())
	if field, _, found := strings.Cut(out.GetMessage(), ": "); found && !strings.Contains(field, " ") {
		err = err.With("field", field)
	}
	return err
}

// await waits until every partition has passed the last of the operations, or
// answers false when that takes too long.
func (s *Service) await(ctx context.Context, ops []operation, at []uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, s.config.ReportWait)
	defer cancel()
	last := map[int]uint64{}
	for i := range ops {
		p := subject.Partition(ops[i].Tenant, ops[i].Subject)
		last[p] = max(last[p], at[i])
	}
	for p, seq := range last {
		if s.relays.Relays()[p].Await(ctx, seq) != nil {
			return false
		}
	}
	return true
}

// epochs are those of the two streams that positions are told in.
type epochs struct{ operations, events string }

func (s *Service) epochs(ctx context.Context) (e epochs, err error) {
	queue, err := s.js.Stream(ctx, Operations)
	if err != nil {
		return e, storeDown(err)
	}
	state, err := s.events.State(ctx)
	return epochs{queue.CachedInfo().Config.Metadata[topology.EpochKey], state.Epoch}, err
}

// outcome finds what became of an operation that the queue had at a position: its
// receipt, or its dead letter.
func (s *Service) outcome(ctx context.Context, out *objecteventv1.Outcome, o *operation, at event.Cursor, epoch string) error {
	r, m, err := s.receipt(ctx, o.Tenant, o.ID)
	if err != nil {
		return err
	}
	if m == nil || r.At != at.String() {
		letter, err := s.letter(ctx, subject.Partition(o.Tenant, o.Subject), at)
		switch {
		case err != nil:
			return err
		case letter != nil:
			out.State, out.Code, out.Message = string(outcomeRefused), letter.code, letter.text
			return nil
		case m == nil:
			return nil
		}
	}
	out.State, out.Events = string(r.outcome()), r.raised(m.Seq, epoch)
	if r.At != at.String() {
		out.State = string(outcomeDuplicate)
	}
	return nil
}

// receipt reads the record of an operation that has been relayed; no message: there
// is none.
func (s *Service) receipt(ctx context.Context, tenant, id string) (r receipt, m *eventlog.Message, err error) {
	subj, err := subject.OperationRecord(tenant, id)
	if err != nil {
		return r, nil, err
	}
	found, ok, err := s.events.Last(ctx, subj)
	if err != nil || !ok {
		return r, nil, err
	}
	if err := json.Unmarshal(found.Data, &r); err != nil {
		return r, nil, fmt.Errorf("read the record under %s: %w", subj, err)
	}
	return r, &found, nil
}

func (r receipt) outcome() outcome {
	if len(r.Events) == 0 {
		return outcomeNothing
	}
	return outcomeRaised
}

// raised are the events behind a receipt: they and it were stored as one batch,
// which fits into one (relay.Options.MaxBatch).
func (r receipt) raised(seq uint64, epoch string) (list []*objecteventv1.Raised) {
	for i, verb := range r.Events {
		list = append(list, &objecteventv1.Raised{Verb: verb, Cursor: event.Cursor{Epoch: epoch, Seq: seq + 1 + uint64(i)}.String()})
	}
	return list
}

// reason is why an operation was refused.
type reason struct{ code, text string }

// letter reads the dead letter of an operation; nil: there is none.
func (s *Service) letter(ctx context.Context, partition int, at event.Cursor) (*reason, error) {
	m, ok, err := storedIn(s.bus.NC, topology.DeadLetters).Last(ctx, subject.Dead(relayName(partition), at.String()))
	if err != nil || !ok {
		return nil, err
	}
	r := reasonOf(m.Header.Get(bus.HeaderReason))
	return &r, nil
}

// reasonOf reads the header of a dead letter, "<code>: <text>".
func reasonOf(header string) reason {
	code, text, _ := strings.Cut(header, ": ")
	return reason{code, text}
}

// GetOperation implements the contract.
func (s *Service) GetOperation(ctx context.Context, r *objecteventv1.GetOperationRequest) (*objecteventv1.GetOperationResponse, error) {
	p := api.PrincipalOf(ctx)
	tenant, err := p.Tenant(r.GetTenant())
	if err != nil {
		return nil, err
	}
	api.Concerns(ctx, tenant)
	if err := s.limits.AllowTenant(p, tenant, 1); err != nil {
		return nil, err
	}
	found, m, err := s.receipt(ctx, tenant, r.GetId())
	if err != nil {
		return nil, err
	}
	if m == nil || p.Decide(auth.Request{Action: auth.Publish, Tenant: tenant, Topic: found.Topic}) != nil {
		return nil, fault.Field(fault.NotFound, "id", "no operation %.64q has been relayed", r.GetId())
	}
	state, err := s.events.State(ctx)
	if err != nil {
		return nil, err
	}
	return &objecteventv1.GetOperationResponse{
		Outcome: &objecteventv1.Outcome{Id: r.GetId(), State: string(found.outcome()), Events: found.raised(m.Seq, state.Epoch)},
		Op:      string(found.Operation), Topic: found.Topic, Object: found.Object, Decided: timestamppb.New(m.Time),
	}, nil
}
