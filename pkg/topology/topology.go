package topology

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/subject"
)

// Names in JetStream, part of the wire contract.
const (
	Events      = "EVENTS"      // every durable event and control record, in one order
	DeadLetters = "DEADLETTERS" // what was given up

	RelayCopies = "belfry_relay" // bucket: relay → copy of its cursor

	Revocations = "belfry_revocations" // bucket: tokens that were taken back
	Nonces      = "belfry_nonces"      // bucket: signed requests that were taken

	memory = "belfry_topology" // bucket: stream name → epoch

	// Memory is the stream of that bucket. While it names a stream that is missing,
	// nothing starts.
	Memory = "KV_" + memory
)

// Keys of a stream's metadata.
const (
	EpochKey   = "belfry_epoch"    // eight characters, new when the stream is created
	VersionKey = "belfry_topology" // the version of this package that shaped the stream
)

// Version is the version of the shapes in this program. Raise it with every
// change of a stream that an older program must not undo.
const Version = 1

// Defaults and fixed limits.
const (
	DefaultEventsMaxAge  = 14 * 24 * time.Hour
	DefaultMaxEventBytes = 1 << 20 // the data of one event
	DefaultMaxConsumers  = 10_000  // nats-server's own default of 1,000 is not lifted by "unlimited"

	// HeaderRoom is what a stored message may have in headers beside the data.
	HeaderRoom = 64 << 10

	deadLettersMaxAge = 90 * 24 * time.Hour
	duplicates        = 2 * time.Minute
	markers           = time.Hour // how long a bucket remembers that an entry has gone
)

// Consumer is a durable consumer and the stream it reads.
type Consumer struct {
	Stream string
	Config jetstream.ConsumerConfig
}

// Spec is what must exist. Buckets become streams too; every bucket answers
// reads from its leader, never from a replica that may lag behind.
type Spec struct {
	Streams   []jetstream.StreamConfig
	Consumers []Consumer
	Buckets   []jetstream.KeyValueConfig
}

// Options are what an operator decides about the shapes, and how Ensure
// behaves. Zero values mean the defaults.
type Options struct {
	Replicas      int           // of every stream: 1 (default) or 3
	EventsMaxAge  time.Duration // how long EVENTS keeps a message; default 14 days
	MaxEventBytes int           // largest data of one event, without HeaderRoom; default 1 MiB
	MaxConsumers  int           // per stream; default 10,000
	RecreateLost  bool          // make a lost stream anew, with a new epoch
	Log           *slog.Logger  // default: discards
}

// WithDefaults is o with a default where nothing is said.
func (o Options) WithDefaults() Options {
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.EventsMaxAge == 0 {
		o.EventsMaxAge = DefaultEventsMaxAge
	}
	if o.MaxEventBytes == 0 {
		o.MaxEventBytes = DefaultMaxEventBytes
	}
	if o.MaxConsumers == 0 {
		o.MaxConsumers = DefaultMaxConsumers
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// And is both: what a process needs that runs several services. Options are the
// same in both.
func (s Spec) And(other Spec) Spec {
	return Spec{
		Streams:   slices.Concat(s.Streams, other.Streams),
		Consumers: slices.Concat(s.Consumers, other.Consumers),
		Buckets:   slices.Concat(s.Buckets, other.Buckets),
	}
}

// Platform is what every Belfry process needs. A service has its own streams and
// buckets in a Spec of its own; see process.Part.
func Platform(o Options) Spec {
	o = o.WithDefaults()
	return Spec{
		Streams: []jetstream.StreamConfig{events(o), deadLetters(o), nonces(o)},
		Buckets: []jetstream.KeyValueConfig{{
			Bucket:         Revocations,
			Description:    "tokens that were taken back: token.<id>, user.<tenant>.<user>",
			Replicas:       o.Replicas,
			Storage:        jetstream.FileStorage,
			LimitMarkerTTL: markers, // every copy in memory must see an entry go
		}, {
			Bucket:      RelayCopies,
			Description: "copies of the relays' cursors: relay → document",
			Replicas:    o.Replicas,
		}},
	}
}

// events is the one log. Not in it, on purpose: rollup, because one publisher's
// "Nats-Rollup: all" would empty it; a denial of deletes, because erasing a
// person's events deletes by sequence.
func events(o Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               Events,
		Description:        "every durable event of every tenant, in one order",
		Subjects:           []string{subject.Events, subject.Control},
		Retention:          jetstream.LimitsPolicy,
		Storage:            jetstream.FileStorage,
		Discard:            jetstream.DiscardOld,
		Compression:        jetstream.S2Compression,
		Replicas:           o.Replicas,
		MaxAge:             o.EventsMaxAge,
		MaxMsgSize:         int32(o.MaxEventBytes + HeaderRoom),
		MaxConsumers:       o.MaxConsumers,
		Duplicates:         min(duplicates, o.EventsMaxAge),
		AllowDirect:        true,
		AllowAtomicPublish: true,
		RePublish:          &jetstream.RePublish{Source: subject.Events, Destination: mapped(subject.LiveEvents)},
	}
}

// nonces is a bucket whose entries go, each after its own time, without a word:
// nobody watches them, and a marker for each would be a second write.
func nonces(o Options) jetstream.StreamConfig {
	c := bucket(jetstream.KeyValueConfig{
		Bucket:         Nonces,
		Description:    "signed requests that were taken: <key>.<nonce>",
		Replicas:       o.Replicas,
		Storage:        jetstream.FileStorage,
		LimitMarkerTTL: markers, // what allows entries a time of their own
	})
	c.SubjectDeleteMarkerTTL = 0
	return c
}

// mapped writes a pattern's stars the way a republish destination wants them:
// each by the number of the source's star that fills it.
func mapped(pattern string) string {
	for n := 1; strings.Contains(pattern, "*"); n++ {
		pattern = strings.Replace(pattern, "*", fmt.Sprintf("{{wildcard(%d)}}", n), 1)
	}
	return pattern
}

// deadLetters keeps one message per given-up message, under a subject of its
// own; the platform's writers expect that subject to be empty.
func deadLetters(o Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               DeadLetters,
		Description:        "what was given up, with the reason and the original",
		Subjects:           []string{subject.DeadLetters},
		Retention:          jetstream.LimitsPolicy,
		Storage:            jetstream.FileStorage,
		Discard:            jetstream.DiscardOld,
		Compression:        jetstream.S2Compression,
		Replicas:           o.Replicas,
		MaxAge:             deadLettersMaxAge,
		MaxConsumers:       o.MaxConsumers,
		Duplicates:         duplicates,
		AllowDirect:        true,
		AllowAtomicPublish: true,
	}
}
