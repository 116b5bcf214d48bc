package objectevent

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/belfry-events/belfry/pkg/telemetry"
)

// alertCounter is what a rule did, as its tenant sees it.
type alertCounter struct {
	Born        uint64    `json:"born"` // of the rule; another of the same name begins anew
	Until       uint64    `json:"until"`
	Matched     int64     `json:"matched"`
	Raised      int64     `json:"raised"`
	Throttled   int64     `json:"throttled"`
	Failed      int64     `json:"failed"`
	LastMatch   time.Time `json:"last_match,omitzero"`
	LastFailure time.Time `json:"last_failure,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
}

// tenantCounters is the document: the counters of a tenant's rules, by name.
type tenantCounters struct {
	Epoch string                   `json:"epoch"` // of the log that until counts in
	Rules map[string]*alertCounter `json:"rules"`
}

// alertCounters counts in memory and writes now and then: they are for people. A
// worker that is killed loses what it had not written, a second's worth.
type alertCounters struct {
	kept *bucket

	mu      sync.Mutex // the relay counts, a clock writes
	epoch   string     // of the log
	tenants map[string]*tenantCounters
	dirty   map[string]bool
}

// countersEvery is how often they are written.
const countersEvery = time.Second

func newAlertCounters(kept *bucket) *alertCounters {
	return &alertCounters{kept: kept, tenants: map[string]*tenantCounters{}, dirty: map[string]bool{}}
}

// open reads what was written of tenants that have rules.
func (s *alertCounters) open(ctx context.Context, all map[string]tenantAlerts, epoch string) error {
	tenants := map[string]*tenantCounters{}
	for tenant := range all {
		t, err := s.read(ctx, tenant)
		if err != nil {
			return err
		}
		if t.Epoch != epoch {
			for _, k := range t.Rules {
				k.Until = 0
			}
		}
		t.Epoch, tenants[tenant] = epoch, t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch, s.tenants, s.dirty = epoch, tenants, map[string]bool{}
	return nil
}

func (s *alertCounters) read(ctx context.Context, tenant string) (*tenantCounters, error) {
	t := &tenantCounters{}
	key, err := alertKey(alertCountersKey, tenant)
	if err == nil {
		_, err = s.kept.get(ctx, key, t)
	}
	if t.Rules == nil {
		t.Rules = map[string]*alertCounter{}
	}
	return t, err
}

// of is the counter of a rule, which is asked about a change. The same change asked
// about again is not counted again.
func (s *alertCounters) of(tenant string, r *compiledAlert, c *change) *alertCounter {
	t := s.tenants[tenant]
	if t == nil {
		t = &tenantCounters{Epoch: c.at.Epoch, Rules: map[string]*alertCounter{}}
		s.tenants[tenant] = t
	}
	k := t.Rules[r.Name]
	if k == nil || k.Born != r.Born {
		k = &alertCounter{Born: r.Born}
		t.Rules[r.Name] = k
	}
	s.dirty[tenant] = true
	return k
}

// fresh says that a change was not counted yet.
func (k *alertCounter) fresh(c *change) bool {
	if k.Until >= c.at.Seq {
		return false
	}
	k.Until = c.at.Seq
	return true
}

func (k *alertCounter) raised(c *change) {
	if k.fresh(c) {
		k.Matched, k.Raised, k.LastMatch = k.Matched+1, k.Raised+1, c.stored
	}
}

func (k *alertCounter) throttled(c *change) {
	if k.fresh(c) {
		k.Matched, k.Throttled, k.LastMatch = k.Matched+1, k.Throttled+1, c.stored
	}
}

func (k *alertCounter) failed(c *change, err error) {
	if k.fresh(c) {
		k.Failed, k.LastFailure, k.LastError = k.Failed+1, c.stored, oneLine(err.Error())
	}
}

// keep writes what has changed, now and then, until ctx ends.
func (s *alertCounters) keep(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(countersEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), alertWriteWithin)
			defer cancel()
			s.flush(last, log)
			return
		case <-tick.C:
			s.flush(ctx, log)
		}
	}
}

// flush writes what has changed. What fails is tried again the next time.
func (s *alertCounters) flush(ctx context.Context, log *slog.Logger) {
	for tenant, document := range s.take() {
		if err := s.write(ctx, tenant, document); err != nil {
			log.DebugContext(ctx, "counters of alert rules not written", telemetry.KeyTenant, tenant, telemetry.Err(err))
			s.mu.Lock()
			s.dirty[tenant] = true
			s.mu.Unlock()
		}
	}
}

// take is what has changed, as JSON, because counting goes on.
func (s *alertCounters) take() map[string]json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := map[string]json.RawMessage{}
	for tenant := range s.dirty {
		if t := s.tenants[tenant]; t != nil {
			changed[tenant], _ = json.Marshal(t) // numbers, times and texts: it never fails
		}
	}
	clear(s.dirty)
	return changed
}

func (s *alertCounters) write(ctx context.Context, tenant string, document json.RawMessage) error {
	key, err := alertKey(alertCountersKey, tenant)
	if err != nil {
		return err
	}
	var was json.RawMessage
	revision, err := s.kept.get(ctx, key, &was)
	if err == nil {
		_, err = s.kept.put(ctx, key, document, revision, 0)
	}
	return err
}
