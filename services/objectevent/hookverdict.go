package objectevent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/stream"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Verdicts is the stream that keeps what hooks said, each under
// verdict.<tenant>.<hook>.
const Verdicts = "VERDICTS"

// What of it is kept: a month, and of a hook that is asked all day its newest, so
// that it does not push out the others'.
const (
	verdictsMaxAge  = 30 * 24 * time.Hour
	verdictsPerHook = 10_000
)

// verdict is one answer of one hook, as the stream has it.
type verdict struct {
	Answer
	Asked    time.Time    `json:"asked"`
	Deletion string       `json:"deletion,omitempty"` // "" = a dry run
	Topic    string       `json:"topic"`
	Object   string       `json:"object"`
	Mode     Mode         `json:"mode"`
	Actor    *event.Actor `json:"actor,omitempty"`
	DryRun   bool         `json:"dry_run,omitempty"`
}

// verdictLog writes and reads the stream.
type verdictLog struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	log   *slog.Logger
	stats *hookMetrics
}

// writeWithin bounds the wait for the stream. Nobody waits for it but the goroutine
// that has asked the hook.
const writeWithin = 5 * time.Second

// write keeps a verdict. One that cannot be kept is counted, and said.
func (l *verdictLog) write(ctx context.Context, tenant string, v verdict) {
	l.log.DebugContext(ctx, "hook asked", telemetry.KeyTenant, tenant, "hook", v.Hook, telemetry.KeyEventID, v.Deletion,
		"outcome", string(v.Outcome), telemetry.KeyDuration, time.Duration(v.Millis*float64(time.Millisecond)))
	err := func() error {
		subj, err := subject.Verdict(tenant, v.Hook)
		if err != nil {
			return err
		}
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("write a verdict: %w", err)
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
		defer cancel()
		_, err = l.js.Publish(ctx, subj, b)
		return err
	}()
	if err != nil {
		l.stats.unlogged.Inc()
		l.log.WarnContext(ctx, "verdict not kept", telemetry.KeyTenant, tenant, "hook", v.Hook, telemetry.Err(err))
	}
}

// storedVerdict is one of the stream, and where it is.
type storedVerdict struct {
	verdict
	seq uint64
}

// next is the first verdict of a filter at or above a sequence, or, with sequence
// 0, not older than since; ok is false when there is none.
func (l *verdictLog) next(ctx context.Context, filter string, seq uint64, since time.Time) (v storedVerdict, ok bool, err error) {
	var m stream.Message
	if verdicts := storedIn(l.nc, Verdicts); seq == 0 {
		m, ok, err = verdicts.FirstSince(ctx, filter, since)
	} else {
		m, ok, err = verdicts.First(ctx, filter, seq)
	}
	if err != nil || !ok {
		return v, false, err
	}
	if err := json.Unmarshal(m.Data, &v.verdict); err != nil {
		return v, false, fmt.Errorf("read verdict %d: %w", m.Seq, err)
	}
	v.seq = m.Seq
	return v, true, nil
}

// maxScan is how many verdicts one page looks at, those that are not about the
// deletion asked for included.
const maxScan = 2000

// page answers up to limit verdicts of a filter, oldest first, and the sequence
// behind which the next page begins; deletion "" = about all.
func (l *verdictLog) page(ctx context.Context, filter, deletion string, after uint64, since time.Time, limit int) (all []storedVerdict, end uint64, more bool, err error) {
	end = after
	if since.After(time.Now()) {
		return nil, end, false, nil // and JetStream's clock ends in 2262
	}
	for scanned := 0; ; scanned++ {
		from := uint64(0)
		if end > 0 {
			from = end + 1
		}
		v, ok, err := l.next(ctx, filter, from, since)
		if err != nil || !ok {
			return all, end, false, err
		}
		if len(all) == limit || scanned == maxScan {
			return all, end, true, nil
		}
		if end = v.seq; !v.Asked.Before(since) && (deletion == "" || v.Deletion == deletion) {
			all = append(all, v)
		}
	}
}

// verdictCursor is a position as text that sorts; "" = the beginning.
func verdictCursor(seq uint64) string {
	if seq == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", seq)
}

func parseVerdictCursor(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	seq, err := strconv.ParseUint(s, 16, 64)
	if err != nil || verdictCursor(seq) != s {
		return 0, fault.Field(fault.InvalidCursor, "after", "is not a cursor of ListVerdicts")
	}
	return seq, nil
}
