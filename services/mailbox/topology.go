package mailbox

import (
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Names in JetStream.
const (
	Stream       = "MAILBOX"        // copies that wait, table of subscriptions, cursor of the relay
	StateBucket  = "belfry_mailbox" // subscriber → its state document
	TopicsBucket = "belfry_topics"  // tenant.topic → its description
	relayName    = "mailbox"        // the relay EVENTS → MAILBOX
	stateStream  = "KV_" + StateBucket
	topicsStream = "KV_" + TopicsBucket
)

// Topology is what this service keeps in JetStream, for process.Part.
func Topology(o topology.Options) topology.Spec {
	o = o.WithDefaults()
	return topology.Spec{
		Streams: []jetstream.StreamConfig{{
			Name:         Stream,
			Description:  "copies that wait in mailboxes, who subscribed, and how far the relay is",
			Subjects:     []string{subject.Mailbox},
			Retention:    jetstream.LimitsPolicy, // and no limit: what is guaranteed is not dropped
			Storage:      jetstream.FileStorage,
			Discard:      jetstream.DiscardNew,
			Replicas:     o.Replicas,
			MaxConsumers: o.MaxConsumers,
			// Peek reads by direct get, the relay writes atomic batches, and the
			// table and the cursor replace what they were.
			AllowDirect:        true,
			AllowAtomicPublish: true,
			AllowRollup:        true,
		}},
		Buckets: []jetstream.KeyValueConfig{
			{
				Bucket: StateBucket, Description: "subscribers: owner, locks, what is confirmed",
				History: 1, Storage: jetstream.FileStorage, Replicas: o.Replicas,
			},
			{
				Bucket: TopicsBucket, Description: "catalogue of topics: <tenant>.<topic>",
				History: 1, Storage: jetstream.FileStorage, Replicas: o.Replicas,
			},
		},
	}
}
