package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Expiry (MB6). A subscriber's document is written whenever it polls, at least
// once an hour, and never by anybody else while it lives; so how long it has been
// silent is the age of its document, and those that have been silent longest are
// the first in the bucket's stream. A sweep reads from there until it meets one
// that is young enough, whatever the number of mailboxes.
//
// One replica sweeps, the holder of the lease. The lease is also the platform's
// heartbeat: if it is old, nobody could poll, and nothing expires for a while.

// lease is a document in the bucket, beside those of subscribers.
type lease struct {
	Replica string    `json:"replica"`
	Beat    time.Time `json:"beat"`
	Grace   time.Time `json:"grace"`             // nothing expires before
	Pending []string  `json:"pending,omitempty"` // subscribers that are being expired
}

// Keys beside those of subscribers, which never begin with "_".
const (
	leaseKey  = "_sweeper"
	warnedKey = "_warned." // and the subscriber: revision of the document it was warned about
)

const (
	// missedBeats after which another replica takes the lease over.
	missedBeats = 3
	// outage is a heartbeat so old that pollers must have noticed.
	outage = time.Hour
	// expireAtOnce is how many subscribers are expired under one entry in the lease.
	expireAtOnce = 50
)

var errNotMine = errors.New("another replica sweeps")

// sweep sweeps until ctx ends.
func (s *Service) sweep(ctx context.Context) {
	sw := &sweeper{Service: s, from: 1}
	tick := time.NewTicker(s.config.SweepEvery)
	defer tick.Stop()
	for {
		if err := sw.run(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, errNotMine) {
			s.log.WarnContext(ctx, "sweep broke off, going on later", telemetry.Err(err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweeper is what one replica remembers between sweeps.
type sweeper struct {
	*Service
	lease lease
	rev   uint64
	from  uint64 // before it are only documents of those who have no mailboxes
}

// run is one sweep.
func (s *sweeper) run(ctx context.Context) error {
	if err := s.beat(ctx); err != nil {
		return err
	}
	if err := s.finish(ctx); err != nil {
		return err
	}
	skipping := true
	for from := s.from; ; {
		m, there, err := s.states.First(ctx, subject.Key(StateBucket, ">"), from)
		if err != nil {
			return err
		}
		if !there || time.Since(m.Time) < s.config.ExpireAfter-s.config.WarnBefore {
			return s.finish(ctx)
		}
		from = m.Seq + 1
		silent, err := s.consider(ctx, m)
		if err != nil {
			return err
		}
		if skipping = skipping && !silent; skipping {
			s.from = from
		}
		if len(s.lease.Pending) == expireAtOnce {
			if err := s.finish(ctx); err != nil {
				return err
			}
		}
	}
}

// beat takes the lease, or keeps it; errNotMine when another replica has it.
func (s *sweeper) beat(ctx context.Context) error {
	m, there, err := s.states.Last(ctx, subject.Key(StateBucket, leaseKey))
	if err != nil {
		return err
	}
	var now lease
	if there {
		if err := json.Unmarshal(m.Data, &now); err != nil {
			return fmt.Errorf("read the lease: %w", err)
		}
	}
	silent := time.Since(now.Beat)
	if now.Replica != s.replica && silent < missedBeats*s.config.SweepEvery {
		return errNotMine
	}
	if silent > max(outage, 2*missedBeats*s.config.SweepEvery) {
		now.Grace = time.Now().Add(s.config.Grace)
		if there {
			s.log.WarnContext(ctx, "the platform was down; no mailbox expires for a while", "until", now.Grace)
		}
	}
	now.Replica, now.Beat = s.replica, time.Now().UTC()
	s.lease, s.rev = now, m.Seq
	return s.keep(ctx)
}

// keep writes the lease; errNotMine when it has been taken over.
func (s *sweeper) keep(ctx context.Context) error {
	body, err := json.Marshal(s.lease)
	if err != nil {
		return fmt.Errorf("write the lease: %w", err)
	}
	rev, err := s.states.put(ctx, &nats.Msg{Subject: subject.Key(StateBucket, leaseKey), Data: body}, int64(s.rev))
	if errors.Is(err, errConflict) {
		return errNotMine
	}
	if err == nil {
		s.rev = rev
	}
	return err
}

// consider looks at one old document: warns its owner, or expires it. silent says
// that there is something to look at again.
func (s *sweeper) consider(ctx context.Context, m message) (silent bool, err error) {
	id, ok := idOfKey(m.Subject)
	if !ok || len(m.Data) == 0 {
		return false, nil
	}
	var st state
	if err := json.Unmarshal(m.Data, &st); err != nil {
		return false, fmt.Errorf("read the state of subscriber %s: %w", id, err)
	}
	if !st.Live || st.Expired != nil {
		return false, nil
	}
	if time.Since(m.Time) < s.config.ExpireAfter || time.Now().Before(s.lease.Grace) {
		return true, s.warn(ctx, id, &st, m)
	}
	s.lease.Pending = append(s.lease.Pending, id)
	return true, nil
}

// finish takes the mailboxes of the pending subscribers away. That they are pending
// is written first, then each document, then each record, so that a sweep that
// breaks off anywhere is finished by the next one.
func (s *sweeper) finish(ctx context.Context) error {
	if len(s.lease.Pending) == 0 {
		return nil
	}
	if err := s.keep(ctx); err != nil {
		return err
	}
	log, err := s.events.info(ctx, "")
	if err != nil {
		return err
	}
	for _, id := range s.lease.Pending {
		if err := s.expireOne(ctx, id, log.State.Last); err != nil {
			return err
		}
	}
	s.lease.Pending = nil
	return s.keep(ctx)
}

// expireOne takes one subscriber's mailboxes away, unless it has polled meanwhile.
func (s *sweeper) expireOne(ctx context.Context, id string, last uint64) error {
	st, rev, written, err := s.load(ctx, id)
	if err != nil || st == nil {
		return err
	}
	if st.Expired == nil {
		if !st.Live || time.Since(written) < s.config.ExpireAfter {
			return nil
		}
		if err := s.announce(ctx, id, st, "expired", rev, written); err != nil {
			return err
		}
		st.Live, st.Expired = false, &expiry{At: time.Now().UTC(), Before: last}
		st.Held, st.Undeleted, st.Ahead, st.Confirmed = nil, nil, nil, nil
		body, err := json.Marshal(st)
		if err != nil {
			return fmt.Errorf("write the state of subscriber %s: %w", id, err)
		}
		_, err = s.states.put(ctx, &nats.Msg{Subject: subject.Key(StateBucket, stateKey(id)), Data: body}, int64(rev))
		if errors.Is(err, errConflict) {
			return nil // it polls
		}
		if err != nil {
			return err
		}
		s.stats.expired.Inc()
		s.log.InfoContext(ctx, "mailboxes expired", "subscriber", id)
	}
	_, err = s.write(ctx, id, record{Op: opClear, Before: st.Expired.Before})
	return err
}

// warn says once, for the time since the last poll, that mailboxes will expire.
func (s *sweeper) warn(ctx context.Context, id string, st *state, m message) error {
	key, rev := subject.Key(StateBucket, warnedKey+id), strconv.FormatUint(m.Seq, 10)
	was, there, err := s.states.Last(ctx, key)
	if err != nil || there && string(was.Data) == rev {
		return err
	}
	if err := s.announce(ctx, id, st, "expiring", m.Seq, m.Time); err != nil {
		return err
	}
	_, err = s.states.put(ctx, &nats.Msg{Subject: key, Data: []byte(rev)}, -1)
	return err
}

// notices are the topic under which a tenant is told about its mailboxes.
const noticesTopic = "mailboxes"

// announce publishes what becomes of a subscriber's mailboxes, to each tenant that
// they are for: mailboxes.expiring, mailboxes.expired. It names the subscriber as
// its owner does, and not its id.
func (s *Service) announce(ctx context.Context, id string, st *state, verb string, rev uint64, polled time.Time) error {
	all, err := s.subscriptions(ctx, id)
	if err != nil {
		return err
	}
	topics := map[string][]string{}
	for _, o := range all {
		topics[o.Tenant] = append(topics[o.Tenant], o.Topic)
	}
	for tenant, names := range topics {
		data, err := json.Marshal(map[string]any{
			"subscriberName": st.Name, "topics": names, "lastPolled": polled.UTC(), "expires": polled.Add(s.config.ExpireAfter).UTC(),
		})
		if err != nil {
			return fmt.Errorf("write a notice: %w", err)
		}
		e := event.Event{
			Tenant: tenant, Topic: noticesTopic, Verb: verb, Source: "/belfry/mailbox",
			ID: digest(nameLength, id, verb, strconv.FormatUint(rev, 10)), Data: data, Subject: st.Name,
		}
		e.Complete(time.Now())
		m, err := e.Msg()
		if fault.CodeOf(err).Kind() == fault.Invalid && err != nil {
			continue // a tenant or name that no event can carry
		}
		if err != nil {
			return err
		}
		if _, err := s.events.put(ctx, m, -1); err != nil {
			return err
		}
	}
	return nil
}

// idOfKey is the subscriber whose document a subject of the bucket is.
func idOfKey(subj string) (id string, ok bool) {
	key, ok := strings.CutPrefix(subj, subject.Key(StateBucket, ""))
	id = strings.Replace(key, ".", "", 1)
	return id, ok && validID(id) && stateKey(id) == key
}
