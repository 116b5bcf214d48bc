package gateway

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
)

// watch compares the live feed with the log every few seconds and after every
// reconnect to NATS (GW3), and notices when the log was made anew.
func (f *feed) watch(ctx context.Context) {
	reconnected := f.nc.StatusChanged(nats.CONNECTED)
	defer f.nc.RemoveStatusListener(reconnected)
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		select {
		case <-reconnected:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		f.hub.trim(time.Now())
		err := f.check(ctx)
		if err != nil && ctx.Err() == nil {
			f.out.Warn("live feed not compared with the log", telemetry.Err(err))
		}
		f.checked.Store(&err)
	}
}

// check asks the leader for the log's end and, for each tenant that is not known
// to be there, for its newest event. The order of the two questions matters: if
// the tenant's newest event has been routed, nothing of it up to that end is
// missing.
func (f *feed) check(ctx context.Context) error {
	state, err := f.log.State(ctx)
	if err != nil {
		return err
	}
	if state.Epoch != *f.epoch.Load() {
		select {
		case f.renewed <- state:
		case <-ctx.Done():
		}
		return nil
	}
	for _, t := range f.behind(state.Last) {
		m, _, err := f.log.Last(ctx, t.filter)
		if err != nil {
			return err
		}
		select {
		case f.found <- finding{t.token, m.Seq, state.Last}:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// behind lists the tenants whose position is below the log's end.
func (f *feed) behind(end uint64) []*tenantFeed {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	var list []*tenantFeed
	for _, t := range f.hub.tenants {
		select {
		case <-t.ready:
			if t.err == nil && t.pos < end && !unstored(t.token) {
				list = append(list, t)
			}
		default:
		}
	}
	return list
}

// restart begins anew with a log that was made anew: cursors of the old one mean
// nothing here, so everybody is sent away to come back and learn that.
func (f *feed) restart(state topology.Log) {
	f.out.Warn("the log was made anew", telemetry.KeyStream, topology.Events, "epoch", state.Epoch)
	f.hub.mu.Lock()
	f.epoch.Store(&state.Epoch)
	f.hub.end = state.Last
	for _, t := range f.hub.tenants {
		if unstored(t.token) {
			continue
		}
		t.pos, t.base, t.window, t.tooFar = state.Last, state.Last, nil, 0
	}
	f.hub.mu.Unlock()
	for _, c := range f.hub.all() {
		c.shut(fault.EpochMismatch)
	}
}
