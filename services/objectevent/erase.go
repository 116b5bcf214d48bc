package objectevent

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Erase removes from VERDICTS what hooks of a tenant were asked by a user, or about
// the user (topic users); bytes are overwritten on the disk. It may be repeated, and
// dryRun only counts. Codes invalid_name, unavailable: then part of it is done.
//
// What says where a user is, in use or in the trash, and the deletions that may still
// be named, are by the id alone and needed; they go by themselves, 30 and 7 days
// after the last that was done.
func Erase(ctx context.Context, nc *nats.Conn, tenant, user string, dryRun bool) (count int, err error) {
	filter, err := subject.TenantVerdicts(tenant)
	if err != nil {
		return 0, err
	}
	if _, err := subject.Escape("user", user); err != nil {
		return 0, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	stream, err := js.Stream(ctx, Verdicts)
	if err != nil {
		return 0, storeDown(err)
	}
	l := &verdictLog{nc: nc}
	for from, end := uint64(1), stream.CachedInfo().State.LastSeq; from <= end; {
		v, ok, err := l.next(ctx, filter, from, time.Time{})
		if err != nil || !ok {
			return count, err
		}
		from = v.seq + 1
		if !v.concerns(user) {
			continue
		}
		if count++; dryRun {
			continue
		}
		if err := storedIn(nc, Verdicts).Erase(ctx, v.seq); err != nil {
			return count, fault.Wrap(fault.Unavailable, err, "verdict %d is not erased; erase again", v.seq)
		}
	}
	return count, nil
}

// concerns says that it was asked by the user, or about the user.
func (v *verdict) concerns(user string) bool {
	return v.Actor != nil && v.Actor.User == user || subject.Fold(v.Topic) == users && v.Object == user
}
