package client

import (
	"context"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// look compares the position with the leader's word and reads what the feed did
// not bring.
func (t *tail) look(ctx context.Context) error {
	s, err := t.c.reader.State(ctx)
	if err != nil {
		if retryable(err) && !t.c.nc.IsClosed() {
			return nil // no leader now: the next look comes
		}
		return err
	}
	if err := t.audit(s); err != nil {
		return err
	}
	if s.Last > t.at {
		if err := t.read(ctx, 0); err != nil || t.left {
			return err
		}
	}
	// With a filter, an empty page does not prove that the replica had caught
	// up, so the position follows the leader only at a safe distance.
	if now := time.Now(); now.Sub(t.settlingAt) >= settleAfter {
		t.at = max(t.at, t.settling)
		t.settling, t.settlingAt = s.Last, now
	}
	t.audited = t.at
	return nil
}

// audit says whether the log still is the one that the position belongs to, and
// still had everything that followed the position when it was last compared.
func (t *tail) audit(s topology.Log) error {
	switch {
	case s.Epoch != t.epoch:
		return goneEpoch()
	case t.at > s.Last:
		return fault.New(fault.CursorGone, "the position is after the log's last event: the log is another one")
	case t.audited+1 < s.First:
		return fault.New(fault.CursorGone, "the log no longer holds what follows the position")
	}
	return nil
}

func goneEpoch() error {
	return fault.New(fault.CursorGone, "the position belongs to a log that was replaced")
}
