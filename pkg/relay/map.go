package relay

import (
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// mapItem asks Map, unless it has answered already. A head that ends one worker
// after the other is not even shown to Map.
func (s *session) mapItem(it *item, head bool) error {
	if it.mapped {
		return nil
	}
	if limit := 4 * s.o.MaxAttempts; head && s.cur.Starts > limit {
		return fault.New(fault.Internal, "%d workers in a row ended at this message", limit)
	}
	var e Effects
	ctx := telemetry.Extract(s.ctx, it.Header)
	if err := s.guard(func() (err error) { e, err = s.o.Map(ctx, it.Message); return err }); err != nil {
		return err
	}
	if s.cur.Head == it.At.Seq && s.cur.Sub > 0 && s.cur.Of != len(e.Msgs) {
		return fault.New(fault.Internal, "%d effects, and %d when %d of them were stored", len(e.Msgs), s.cur.Of, s.cur.Sub)
	}
	if err := s.check(e); err != nil {
		return err
	}
	if o := e.Once; o != nil {
		if o.Header == nil {
			o.Header = nats.Header{}
		}
		o.Header[headerExpected] = []string{"0"}
	}
	it.effects, it.mapped = e, true
	return nil
}

// check finds what would spoil a batch, as far as it can be seen from here, and
// takes the message ids off.
func (s *session) check(e Effects) error {
	msgs := e.Msgs
	if e.Once != nil {
		msgs = append(slices.Clip(msgs), e.Once)
	}
	for _, m := range msgs {
		listens := func(pattern string) bool { return subject.Match(pattern, m.Subject) }
		switch {
		case m.Size()+batchRoom > s.largest:
			return fault.New(fault.EventTooLarge, "an effect of %d bytes is above the maximum of %d", m.Size(), s.largest)
		case !slices.ContainsFunc(s.subjects, listens):
			return fault.New(fault.Internal, "stream %s does not listen to an effect's subject", s.o.Target)
		}
		m.Header.Del(nats.MsgIdHdr)
	}
	return nil
}

// guard turns a panic of the owner's function into an error.
func (s *session) guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.o.Log.Error("the relay's owner panicked", "relay", s.o.Name, telemetry.KeyErr, v)
			err = fault.New(fault.Internal, "panicked: %v", v)
		}
	}()
	return f()
}
