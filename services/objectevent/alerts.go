package objectevent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// AlertTopology is what alerts keep in JetStream beside EVENTS.
func AlertTopology(o topology.Options) topology.Spec {
	return topology.Spec{Buckets: []jetstream.KeyValueConfig{{
		Bucket:      AlertsBucket,
		Description: "alert rules and their counters: rules.<tenant>, counters.<tenant>",
		Replicas:    o.Replicas,
		Storage:     jetstream.FileStorage,
	}}}
}

// AlertConfig is what an operator may set about alerts; keys are under
// "objectevent.".
type AlertConfig struct {
	MaxAlerts int           `config:"objectevent.max_alerts" usage:"alert rules that one tenant may set"`
	Linger    time.Duration `config:"objectevent.alert_linger" usage:"how long a batch of changes waits to be filled before alerts are raised; saves writes when few changes come"`
}

// DefaultAlerts are the defaults. Nobody sees an alert ten milliseconds sooner.
func DefaultAlerts() AlertConfig { return AlertConfig{MaxAlerts: 1000, Linger: 10 * time.Millisecond} }

// Validate names the first key whose value is impossible; code invalid_config.
func (c AlertConfig) Validate() error {
	switch {
	case c.MaxAlerts < 1 || c.MaxAlerts > 10_000:
		return fault.Field(fault.InvalidConfig, "objectevent.max_alerts", "%d is outside 1 to 10000", c.MaxAlerts)
	case c.Linger < 0 || c.Linger > maxLinger:
		return fault.Field(fault.InvalidConfig, "objectevent.alert_linger", "%s is outside 0s to %s", c.Linger, maxLinger)
	}
	return nil
}

// alerts turns changes into alerts, by rules that tenants set.
//
//	alert.go       a rule          alertloop.go    rules that set one another off
//	alertexpr.go   its condition   alertmessage.go what its alerts say
//	alertrecord.go a change of rules as a record in EVENTS; alertstore.go writes it
//	alertrelay.go  EVENTS → EVENTS: alerttable.go has the rules as of a place in the
//	               log, alertindex.go finds those that a change may fulfil,
//	               alertthrottle.go and alertdeep.go let one through, alertraise.go is
//	               the alert
//	alertapi.go    who may do what
type alerts struct {
	config   AlertConfig
	store    *alertStore
	counters *alertCounters
	stats    *alertMetrics
	relay    *relay.Relay // the service's, which runs it
	env      process.Env
}

// newAlerts wires alerts and mounts their API. Code invalid_config.
func newAlerts(c AlertConfig, env process.Env) (*alerts, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &alerts{config: c, store: newAlertStore(env.Bus.JS, eventlog.NewReader(env.Bus.NC)), stats: newAlertMetrics(env.Registry), env: env}
	s.counters = newAlertCounters(s.store.kept)
	if err := env.API.Mount(s.service()); err != nil {
		return nil, fmt.Errorf("mount the alerts' API: %w", err)
	}
	return s, nil
}

// options are the relay's.
func (s *alerts) options() relay.Options {
	w := &alerter{
		store: s.store, log: s.env.Log, trace: s.env.Tracer, stats: s.stats, counters: s.counters,
		table: newAlertTable(), throttle: newThrottle(s.store.events),
	}
	return relay.Options{
		Name: alertsRelay, Bus: s.env.Bus, Registry: s.env.Registry, Log: s.env.Log,
		// The filter keeps the relay's own cursor, and every other, away from it: else
		// each batch would be the reason for the next.
		Source: topology.Events, Filter: []string{subject.Events, subject.AlertRecords},
		Target: topology.Events,
		Open:   w.Open, Map: w.Map, AfterBatch: w.AfterBatch,
		Linger: s.config.Linger,
	}
}

// start writes counters until ctx ends, or stop.
func (s *alerts) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var clock sync.WaitGroup
	clock.Go(func() { s.counters.keep(ctx, s.env.Log) })
	return func() {
		cancel()
		clock.Wait()
	}
}
