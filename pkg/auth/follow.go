package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

const (
	followAgain = time.Second // pause before the bucket is read again after a failure
	lookEvery   = time.Second // comparison with the leader's word
)

// Why the bucket is read again although nothing has failed: the library's watch
// would find its way back by itself, within some ten seconds.
var (
	errBehind      = errors.New("the watch is behind the bucket")
	errReconnected = errors.New("the connection was lost and is back")
)

// Ready closes when everything that was revoked so far is known.
func (r *Revocations) Ready() <-chan struct{} { return r.ready }

// Run follows the bucket until ctx ends.
func (r *Revocations) Run(ctx context.Context) error {
	for {
		err := r.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errBehind) || errors.Is(err, errReconnected) {
			continue
		}
		r.log.WarnContext(ctx, "revocations are not followed, trying again", "err", err.Error())
		select {
		case <-time.After(followAgain):
		case <-ctx.Done():
			return nil
		}
	}
}

// follow reads the bucket and what is added to it, until the connection has been
// lost and is back, or the leader's word says that something was missed.
func (r *Revocations) follow(ctx context.Context) error {
	connected := r.js.Conn().StatusChanged(nats.CONNECTED)
	defer r.js.Conn().RemoveStatusListener(connected)
	kv, err := r.js.KeyValue(ctx, topology.Revocations)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", topology.Revocations, err)
	}
	seen, err := r.lastSequence(ctx)
	if err != nil {
		return err
	}
	w, err := kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watch bucket %s: %w", topology.Revocations, err)
	}
	defer func() { _ = w.Stop() }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()

	all := &snapshot{tokens: map[string]struct{}{}, users: map[tenantUser]time.Time{}}
	var missed uint64 // what the leader had and we had not, at the last look
	for {
		select {
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return errors.New("the watch has ended")
			case e == nil: // the end of what was there before
				r.replace(all)
				all = nil
			default:
				seen = max(seen, e.Revision())
				r.take(all, e)
			}
		case <-connected:
			return errReconnected
		case <-tick.C:
			last, err := r.lastSequence(ctx)
			switch {
			case err != nil: // not connected, most likely; the watch goes on when we are
			case missed > seen:
				return errBehind
			default:
				missed = last
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *Revocations) lastSequence(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	s, err := r.js.Stream(ctx, "KV_"+topology.Revocations)
	if err != nil {
		return 0, fmt.Errorf("look at bucket %s: %w", topology.Revocations, err)
	}
	return s.CachedInfo().State.LastSeq, nil
}

// snapshot is what is revoked while the bucket is being read.
type snapshot struct {
	tokens map[string]struct{}
	users  map[tenantUser]time.Time
}

// replace puts what was read in the place of what was known.
func (r *Revocations) replace(all *snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if all != nil {
		r.tokens, r.users = all.tokens, all.users
	}
	select {
	case <-r.ready:
	default:
		close(r.ready)
	}
	r.tell()
}

// tell wakes those who wait for a change. Under mu.
func (r *Revocations) tell() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// take enters one entry of the bucket, into all while there is one.
func (r *Revocations) take(all *snapshot, e jetstream.KeyValueEntry) {
	into := all
	if into == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		into = &snapshot{r.tokens, r.users}
	}
	kind, rest, _ := strings.Cut(e.Key(), ".")
	tenant, user, _ := strings.Cut(rest, ".")
	who := tenantUser{subject.Unescape(tenant), subject.Unescape(user)}
	if tenant == subject.Platform {
		who.tenant = ""
	}
	id := subject.Unescape(rest)
	made := Revocation{User: who.user, Tenant: who.tenant}
	switch {
	case e.Operation() != jetstream.KeyValuePut: // it has had its time
		switch kind {
		case "token":
			delete(into.tokens, id)
		case "user":
			delete(into.users, who)
		}
		return
	case kind == "token":
		into.tokens[id] = struct{}{}
		made = Revocation{TokenID: id}
	case kind == "user":
		var v Revocation
		if err := json.Unmarshal(e.Value(), &v); err != nil || v.Before.IsZero() {
			v.Before = e.Created() // not ours, and meant all the same
		}
		into.users[who] = v.Before
	}
	if all == nil {
		r.tell()
		if r.tells != nil {
			r.tells(made)
		}
	}
}
