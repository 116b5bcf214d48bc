package topology

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// bucket is the stream behind a key-value bucket, as the client library makes
// it, apart from direct reads: those may come from a replica that lags behind,
// and a bucket is where services keep what they must read back.
func bucket(b jetstream.KeyValueConfig) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:                   "KV_" + b.Bucket,
		Description:            b.Description,
		Subjects:               []string{"$KV." + b.Bucket + ".>"},
		MaxMsgsPerSubject:      int64(max(b.History, 1)),
		MaxBytes:               b.MaxBytes,
		MaxAge:                 b.TTL,
		MaxMsgSize:             b.MaxValueSize,
		MaxConsumers:           DefaultMaxConsumers,
		Storage:                b.Storage,
		Replicas:               b.Replicas,
		Placement:              b.Placement,
		AllowRollup:            true,
		DenyDelete:             true,
		Discard:                jetstream.DiscardNew,
		AllowMsgTTL:            b.LimitMarkerTTL > 0,
		SubjectDeleteMarkerTTL: b.LimitMarkerTTL,
		RePublish:              b.RePublish,
		Metadata:               b.Metadata,
	}
	if b.Compression {
		c.Compression = jetstream.S2Compression
	}
	if c.Duplicates = 2 * time.Minute; b.TTL > 0 {
		c.Duplicates = min(c.Duplicates, b.TTL)
	}
	return c
}
