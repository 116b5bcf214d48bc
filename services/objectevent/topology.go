package objectevent

import (
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Names in JetStream, part of the wire contract.
const (
	Operations = "OPERATIONS" // what source systems report, until it is relayed
	Trash      = "TRASH"      // what lies in the trash
)

// Topology is what the service keeps in JetStream.
func Topology(o topology.Options) topology.Spec {
	o = o.WithDefaults()
	return topology.Spec{Streams: []jetstream.StreamConfig{operations(o), trashed(o)}}.And(HookTopology(o)).And(AlertTopology(o))
}

// operations is the queue. An operation is stored under its partition, so that
// eight durables share the work and an object's operations keep their order. Not in
// it, on purpose: rollup, because one reporter's header would empty it; an age,
// because what waits here is nowhere else; JetStream's own work queue, see sweeper.
func operations(o topology.Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:             Operations,
		Description:      "what source systems did to objects, until it is relayed into EVENTS",
		Subjects:         []string{subject.Operations},
		Retention:        jetstream.LimitsPolicy,
		Storage:          jetstream.FileStorage,
		Discard:          jetstream.DiscardOld,
		Replicas:         o.Replicas,
		MaxMsgSize:       int32(o.MaxEventBytes + topology.HeaderRoom),
		MaxConsumers:     o.MaxConsumers,
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: subject.Operations, Destination: subject.PartitionedOperations},
	}
}

// trashed keeps one record per object, for ever while it lies in the trash. Any
// replica may be asked for many at once; whether what it says is new enough to decide
// by is the asker's business (lookout).
func trashed(o topology.Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              Trash,
		Description:       "where objects are that have been in the trash: trash.<tenant>.<topic>.<object>",
		Subjects:          []string{subject.TrashRecords},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardOld,
		Replicas:          o.Replicas,
		MaxMsgsPerSubject: 1,
		MaxConsumers:      o.MaxConsumers,
		AllowDirect:       true,
		AllowMsgTTL:       true, // of the records of what has left the trash
	}
}
