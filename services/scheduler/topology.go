package scheduler

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// The streams of the scheduler.
const (
	Schedules = "SCHEDULES"       // definitions, armed and due occurrences
	History   = "SCHEDULEHISTORY" // what became of occurrences
)

const (
	historyPerSchedule = 100
	historyAge         = 30 * 24 * time.Hour

	// noDuplicates is the shortest window that the server takes; without one it takes
	// two minutes, and reads all that was stored in them whenever it starts.
	noDuplicates = 100 * time.Millisecond
)

// Topology is what the scheduler keeps in JetStream.
//
// SCHEDULES is state, so it has no limit of age or size: one message per subject,
// the newest. It takes schedules (the server moves sched.… to due.… when the time
// has come), batches, and a TTL for what remains of a deleted schedule. The
// history is a witness: it forgets by number and by age.
func Topology(o topology.Options) topology.Spec {
	o = o.WithDefaults()
	return topology.Spec{Streams: []jetstream.StreamConfig{{
		Name:               Schedules,
		Description:        "schedules: definitions, armed and due occurrences",
		Subjects:           []string{subject.ScheduleDefinitions, subject.SchedulesArmed, subject.SchedulesDue},
		Retention:          jetstream.LimitsPolicy,
		Storage:            jetstream.FileStorage,
		Discard:            jetstream.DiscardOld,
		Compression:        jetstream.S2Compression,
		Replicas:           o.Replicas,
		MaxMsgsPerSubject:  1,
		MaxConsumers:       o.MaxConsumers,
		Duplicates:         noDuplicates, // nothing here has a message id: revisions are the fence
		AllowDirect:        true,         // for many subjects at one moment, see look
		AllowMsgSchedules:  true,
		AllowMsgTTL:        true,
		AllowAtomicPublish: true,
	}, {
		Name:              History,
		Description:       "what became of the occurrences of schedules",
		Subjects:          []string{subject.ScheduleHistory},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardOld,
		Compression:       jetstream.S2Compression,
		Replicas:          o.Replicas,
		MaxMsgsPerSubject: historyPerSchedule,
		MaxAge:            historyAge,
		MaxConsumers:      o.MaxConsumers,
	}}}
}
