package objectevent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/pkg/topology"
)

// HookTopology is what before-events keep in JetStream.
func HookTopology(o topology.Options) topology.Spec {
	return topology.Spec{
		Streams: []jetstream.StreamConfig{{
			Name:              Verdicts,
			Description:       "what hooks said: verdict.<tenant>.<hook>",
			Subjects:          []string{subject.Verdicts},
			Retention:         jetstream.LimitsPolicy,
			Storage:           jetstream.FileStorage,
			Discard:           jetstream.DiscardOld,
			Compression:       jetstream.S2Compression,
			Replicas:          o.Replicas,
			MaxAge:            verdictsMaxAge,
			MaxMsgsPerSubject: verdictsPerHook,
			MaxConsumers:      o.MaxConsumers,
		}},
		Buckets: []jetstream.KeyValueConfig{{
			Bucket:      HooksBucket,
			Description: "hooks: tenant → all of its hooks",
			Replicas:    o.Replicas,
			Storage:     jetstream.FileStorage,
		}, {
			Bucket:         DeletionsBucket,
			Description:    "deletions that were asked about: deletion id → verdict",
			Replicas:       o.Replicas,
			Storage:        jetstream.FileStorage,
			LimitMarkerTTL: markersKept, // what allows entries a time of their own
		}},
	}
}

// markersKept is how long the bucket remembers that a deletion has gone. Nobody
// watches it; it is the shortest that JetStream takes.
const markersKept = time.Second

// hooks answers questions before something happens, and keeps who is asked.
//
//	before.go       one question: who may ask, and circles
//	beforedecide.go the same asked twice, a replica that dies
//	beforeevent.go  the event that is stored first
//	beforeask.go    all hooks at once, the first refusal, the budget
//	hookcall.go     one hook, over NATS or HTTP
//	hookapi.go      who is registered
type hooks struct {
	config   HookConfig
	log      *slog.Logger
	limits   *api.Limits
	bus      *bus.Bus
	events   *eventlog.Reader
	maxEvent int

	store     hookStore
	deletions deletions
	targets   *targets
	caller    *caller
	verdicts  *verdictLog
	stats     *hookMetrics
	crew      crew
}

// newHooks wires before-events and mounts their API. Code invalid_config.
func newHooks(c HookConfig, env process.Env) (*hooks, error) {
	return newHooksWith(c, env, nil)
}

// newHooksWith is newHooks with another way to resolve names, nil = the system's.
func newHooksWith(c HookConfig, env process.Env, resolve *net.Resolver) (*hooks, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	networks, err := c.networks()
	if err != nil {
		return nil, err
	}
	keys, err := newSealer(c.KeyFile)
	if err != nil {
		return nil, err
	}
	h := &hooks{
		config: c, log: env.Log, limits: env.Limits, bus: env.Bus, events: eventlog.NewReader(env.Bus.NC), maxEvent: env.MaxEventBytes,
		store: newHookStore(env.Bus.JS, keys), deletions: newDeletions(env.Bus.JS), targets: &targets{allowed: networks},
	}
	client, err := h.targets.client(c.CA, resolve)
	if err != nil {
		return nil, err
	}
	circuits := newCircuits(c.Failures, c.Pause, h.circuitChanged)
	h.stats = newHookMetrics(env.Registry, circuits.opened)
	h.caller = &caller{nc: env.Bus.NC, http: client, circuits: circuits, stats: h.stats, tracer: env.Tracer}
	h.verdicts = &verdictLog{nc: env.Bus.NC, js: env.Bus.JS, log: env.Log, stats: h.stats}
	h.crew.begin()
	if err := env.API.Mount(h.service()); err != nil {
		return nil, fmt.Errorf("mount the hooks' API: %w", err)
	}
	return h, nil
}

// stop takes no more questions and lets those under way finish for a moment: a
// verdict that nobody has stored is asked for again, at the next replica, with the
// same request id.
func (h *hooks) stop() {
	h.crew.finish(stopWithin)
	h.caller.http.CloseIdleConnections()
}

// stopWithin is how long hooks may still answer when we stop.
const stopWithin = 3 * time.Second

// errStopping is why a call ended that a stop has cut off.
var errStopping = fault.New(fault.Draining, "shutting down; ask again with the same requestId, another replica answers")

// circuitsTopic is where a tenant hears that a hook of its own is not asked.
const circuitsTopic = "hooks"

// circuitChanged raises hooks.circuit-opened and hooks.circuit-closed.
func (h *hooks) circuitChanged(c circuitChange) {
	e := event.Event{Tenant: c.id.tenant, Topic: circuitsTopic, Verb: "circuit-closed", Subject: c.id.name, Source: hookSource}
	e.Data = []byte(`{"hook":` + strconv.Quote(c.id.name) + `}`) // letters, digits, - and _
	if c.opened {
		e.Verb = "circuit-opened"
		e.Data = fmt.Appendf(nil, `{"hook":%q,"failures":%d,"reason":%s}`, c.id.name, c.failures, quoted(c.reason))
	}
	h.log.Warn("circuit of a hook changed", telemetry.KeyTenant, c.id.tenant, "hook", c.id.name, "state", e.Verb)
	h.crew.start(func(ctx context.Context) {
		e.Complete(time.Now())
		m, err := e.Msg()
		if err == nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
			defer cancel()
			_, err = h.bus.JS.PublishMsg(ctx, m)
		}
		if err != nil {
			h.log.Warn("event not stored", telemetry.KeyTopic, e.Topic, telemetry.KeyVerb, e.Verb, telemetry.Err(err))
		}
	})
}
