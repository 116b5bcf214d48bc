package objectevent

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// AlertsBucket keeps copies of alert rules and their counters: rules.<tenant>,
// counters.<tenant>. What counts is the log; see alertStore.
const AlertsBucket = "belfry_alerts"

const (
	alertRulesKey    = "rules"
	alertCountersKey = "counters"
)

// alertStore reads and changes rules. They are records in EVENTS, one after the
// other under one subject for each tenant, because only there a change has a place
// among the events; and copies in a bucket, each the sum of all records up to a
// cursor, because EVENTS forgets. The relay writes the copies, after it has passed
// the records, so a copy never is ahead of the cursor for long, and never behind
// what EVENTS has forgotten.
type alertStore struct {
	js     jetstream.JetStream
	events *eventlog.Reader
	kept   *bucket
}

func newAlertStore(js jetstream.JetStream, events *eventlog.Reader) *alertStore {
	return &alertStore{js: js, events: events, kept: newBucket(js, AlertsBucket)}
}

func alertKey(kind, tenant string) (string, error) {
	token, err := subject.Escape("tenant", tenant)
	return subject.Pair(kind, token), err
}

// read is a tenant's rules as of now, and the sequence of the last record. Codes
// invalid_name, unavailable.
func (s *alertStore) read(ctx context.Context, tenant string) (t tenantAlerts, last uint64, err error) {
	key, err := alertKey(alertRulesKey, tenant)
	if err != nil {
		return t, 0, err
	}
	subj, err := subject.AlertRecord(tenant)
	if err != nil {
		return t, 0, err
	}
	if _, err := s.kept.get(ctx, key, &t); err != nil {
		return t, 0, err
	}
	newest, there, err := s.events.Last(ctx, subj)
	if err != nil || !there {
		return t, 0, err
	}
	state, err := s.events.State(ctx)
	if err != nil {
		return t, 0, err
	}
	t, err = s.forward(ctx, t, state.Epoch, subj, newest.Seq)
	return t, newest.Seq, err
}

// forward applies the records behind a copy, up to a sequence.
func (s *alertStore) forward(ctx context.Context, t tenantAlerts, epoch, subj string, last uint64) (tenantAlerts, error) {
	for from := t.seq(epoch) + 1; from <= last; {
		m, there, err := s.events.Next(ctx, subj, from)
		if err != nil || !there || m.Seq > last {
			return t, err
		}
		r, err := parseAlertRecord(m.Data)
		if err != nil {
			return t, err
		}
		t, from = t.apply(r, event.Cursor{Epoch: epoch, Seq: m.Seq}), m.Seq+1
	}
	return t, nil
}

// change writes the record that f answers for the rules as they are, and no record
// for none. f may be called several times. It answers the rules with the record, and
// its sequence. Codes of f and of read; conflict when others change them all the time;
// unavailable when nobody knows whether the record was stored.
func (s *alertStore) change(ctx context.Context, tenant string, f func(tenantAlerts) (*alertRecord, error)) (t tenantAlerts, seq uint64, err error) {
	subj, err := subject.AlertRecord(tenant)
	if err != nil {
		return t, 0, err
	}
	for try := 1; ; try++ {
		now, last, err := s.read(ctx, tenant)
		if err != nil {
			return t, 0, err
		}
		r, err := f(now)
		if err != nil || r == nil {
			return now, last, err
		}
		data, err := json.Marshal(r)
		if err != nil {
			return t, 0, fmt.Errorf("write a record of alert rules: %w", err)
		}
		ack, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: subj, Data: data}, jetstream.WithExpectLastSequencePerSubject(last))
		if err == nil {
			state, err := s.events.State(ctx)
			if err != nil {
				return t, 0, err
			}
			return now.apply(*r, event.Cursor{Epoch: state.Epoch, Seq: ack.Sequence}), ack.Sequence, nil
		}
		if err = notWritten(err); fault.CodeOf(err) != fault.Conflict || try == changeTries {
			return t, 0, err
		}
	}
}

// keep writes the copy of a tenant's rules, unless there is a newer one: it may be
// another worker's.
func (s *alertStore) keep(ctx context.Context, tenant string, t tenantAlerts) error {
	key, err := alertKey(alertRulesKey, tenant)
	if err != nil {
		return err
	}
	at, err := event.ParseCursor(t.At)
	if err != nil {
		return fmt.Errorf("copy the alert rules: %w", err)
	}
	for {
		var have tenantAlerts
		revision, err := s.kept.get(ctx, key, &have)
		if err != nil || have.seq(at.Epoch) >= at.Seq {
			return err
		}
		if _, err = s.kept.put(ctx, key, t, revision, 0); fault.CodeOf(err) != fault.Conflict {
			return err
		}
	}
}

// all is every tenant's rules at a place of the log: the copies, and the records
// between them and the place.
func (s *alertStore) all(ctx context.Context, at event.Cursor) (map[string]tenantAlerts, error) {
	tenants := map[string]tenantAlerts{}
	bucket, err := s.js.Stream(ctx, subject.BucketStream(AlertsBucket))
	if err != nil {
		return nil, storeDown(err)
	}
	info, err := bucket.Info(ctx, jetstream.WithSubjectFilter(subject.Key(AlertsBucket, subject.Pair(alertRulesKey, "*"))))
	if err != nil {
		return nil, storeDown(err)
	}
	for key := range info.State.Subjects {
		token := subject.LastToken(key)
		var t tenantAlerts
		if _, err := s.kept.get(ctx, subject.Pair(alertRulesKey, token), &t); err != nil {
			return nil, err
		}
		tenants[subject.Unescape(token)] = t
	}
	for from := uint64(1); from <= at.Seq; {
		m, there, err := s.events.Next(ctx, subject.AlertRecords, from)
		if err != nil {
			return nil, err
		}
		if !there || m.Seq > at.Seq {
			break
		}
		from = m.Seq + 1
		tenant, ok := subject.ParseAlertRecord(m.Subject)
		if t := tenants[tenant]; ok && t.seq(at.Epoch) < m.Seq {
			r, err := parseAlertRecord(m.Data)
			if err != nil {
				return nil, err
			}
			tenants[tenant] = t.apply(r, event.Cursor{Epoch: at.Epoch, Seq: m.Seq})
		}
	}
	return tenants, nil
}
