package relay

import (
	"context"
	"log/slog"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Message is one message of the source stream.
type Message struct {
	Subject string
	Header  nats.Header // may be nil; not to be changed
	Data    []byte
	At      event.Cursor // where the source keeps it
	Stored  time.Time    // since when
	Known   bool         // only for AfterCommit and AfterBatch: its Once was stored before, so its effects were dropped
}

// Effects are what follows from one source message.
type Effects struct {
	// Msgs are stored in the target in this order. Any number: none moves the
	// cursor only, more than fit into one batch are stored in parts. They belong
	// to the relay from here on; it takes a Nats-Msg-Id off them, because one
	// duplicate would refuse a whole batch.
	Msgs []*nats.Msg
	// Once, if not nil, makes these effects happen only if nothing has been
	// stored under its subject in the target: it is stored together with them.
	// It keeps an operation that is reported twice, as two source messages, from
	// being relayed twice.
	Once *nats.Msg
}

// Options describe one relay. All but the fields marked optional are needed.
type Options struct {
	Name   string   // [A-Za-z0-9-]; names the durable, the copy, metrics and dead letters
	Bus    *bus.Bus // must outlive Run
	Source string   // stream to read
	Filter []string // optional: subjects of the source to read; none = all
	Target string   // stream to write; takes atomic batches
	Cursor string   // optional: the cursor's subject in the target; default subject.RelayCursor(Name)

	// Map says what follows from a message. It is called in order, by one worker
	// at a time, and again after a crash or a failure, so it must give the same
	// effects in the same order when asked again. Its error decides: of kind
	// invalid, the message becomes a dead letter at once; of kind unavailable,
	// it is asked again for as long as it takes; otherwise MaxAttempts times.
	Map func(ctx context.Context, m Message) (Effects, error)
	// Ahead, optional, is shown messages before Map is asked about the first of them:
	// what has come by then, in order, each once for as long as nothing fails. Here an
	// owner reads for many at once what Map would read for each. Its error decides about
	// the first, as Map's does.
	Ahead func(ctx context.Context, ms []Message) error
	// AfterCommit, optional, runs after a message's effects are stored and
	// before the message is acknowledged: at least once, in order, also for dead
	// letters, so it must be idempotent. Until it returns nil nothing follows.
	AfterCommit func(ctx context.Context, m Message) error
	// AfterBatch, optional, is AfterCommit for all messages that a batch settles, in
	// one call: for those who write once for many. One of the two, not both.
	AfterBatch func(ctx context.Context, ms []Message) error
	// Open, optional, is called when this worker takes the relay over, before
	// its first Map: last is the last message relayed, or zero before any. What
	// Map remembers between messages is to be read anew here: another worker may
	// have been at work since.
	Open func(ctx context.Context, last event.Cursor) error

	MaxAttempts   int             // of Map on one message; default 10
	Backoff       []time.Duration // waits after the first, second, … failure, the last repeats; default 100 ms … 30 s
	Linger        time.Duration   // how long a batch waits to be filled; default 0: it takes what is there
	MaxBatch      int             // messages of one batch, the cursor included; default and maximum 1,000
	MaxBatchBytes int             // their bytes, unless one alone has more; default 4 MiB
	Prefetch      int             // source messages held unacknowledged; default 2,000
	PinnedTTL     time.Duration   // how long a silent worker keeps its place; default 5 s, at least 3 s
	AckWait       time.Duration   // after which an acknowledgement counts as lost; default 30 s
	Rewrite       time.Duration   // largest age of the cursor; default a day, or a quarter of the target's MaxAge if that is less

	Registry prometheus.Registerer // optional
	Log      *slog.Logger          // optional
}

const (
	group = "relay" // the priority group: one pinned client in it

	minPinnedTTL = 3 * time.Second
	minBatch     = 3 // one effect, a Once and the cursor
)

var (
	nameRule       = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	defaultBackoff = []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 10 * time.Second, 30 * time.Second}
)

// withDefaults checks what the caller must say and fills in the rest.
func (o Options) withDefaults() (Options, error) {
	switch {
	case !nameRule.MatchString(o.Name):
		return o, fault.Field(fault.InvalidConfig, "name", "%q is not 1 to 64 letters, digits and hyphens", o.Name)
	case o.Bus == nil:
		return o, fault.Field(fault.InvalidConfig, "bus", "must not be nil")
	case o.Source == "" || o.Target == "" || o.Source == o.Target && len(o.Filter) == 0:
		return o, fault.Field(fault.InvalidConfig, "target", "source and target must be two streams, or a filter must keep them apart")
	case o.Map == nil:
		return o, fault.Field(fault.InvalidConfig, "map", "must not be nil")
	case o.AfterCommit != nil && o.AfterBatch != nil:
		return o, fault.Field(fault.InvalidConfig, "after_batch", "excludes after_commit")
	case o.MaxBatch != 0 && (o.MaxBatch < minBatch || o.MaxBatch > bus.MaxBatch):
		return o, fault.Field(fault.InvalidConfig, "max_batch", "%d is not between %d and %d", o.MaxBatch, minBatch, bus.MaxBatch)
	case o.PinnedTTL != 0 && o.PinnedTTL < minPinnedTTL:
		return o, fault.Field(fault.InvalidConfig, "pinned_ttl", "%s is below %s", o.PinnedTTL, minPinnedTTL)
	}
	if o.Cursor == "" {
		o.Cursor = subject.RelayCursor(o.Name)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if len(o.Backoff) == 0 {
		o.Backoff = defaultBackoff
	}
	o.MaxAttempts = orDefault(o.MaxAttempts, 10)
	o.MaxBatch = orDefault(o.MaxBatch, bus.MaxBatch)
	o.MaxBatchBytes = orDefault(o.MaxBatchBytes, 4<<20)
	o.Prefetch = orDefault(o.Prefetch, 2000)
	o.PinnedTTL = orDefault(o.PinnedTTL, 5*time.Second)
	o.AckWait = orDefault(o.AckWait, 30*time.Second)
	o.Rewrite = orDefault(o.Rewrite, 24*time.Hour)
	return o, nil
}

func orDefault[T int | time.Duration](v, or T) T {
	if v <= 0 {
		return or
	}
	return v
}

// consumer is the durable that the relay reads with. Deliveries are counted by
// nobody: a reset restarts the server's count, so attempts are in the cursor.
func (o Options) consumer() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:        o.Name,
		Description:    "relay into " + o.Target,
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        o.AckWait,
		MaxDeliver:     -1,
		MaxAckPending:  o.Prefetch,
		FilterSubjects: o.Filter,
		PriorityPolicy: jetstream.PriorityPolicyPinned,
		PriorityGroups: []string{group},
		PinnedTTL:      o.PinnedTTL,
	}
}

// backoff is the wait after so many failures.
func (o Options) backoff(failures int) time.Duration {
	return o.Backoff[min(max(failures, 1), len(o.Backoff))-1]
}
