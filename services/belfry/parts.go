package main

import (
	"slices"
	"strings"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/run"
	"github.com/belfry-events/belfry/services/gateway"
	"github.com/belfry-events/belfry/services/mailbox"
	"github.com/belfry-events/belfry/services/objectevent"
	"github.com/belfry-events/belfry/services/scheduler"
)

// settings are the settings of everything that can run here.
type settings struct {
	process   process.Config
	gateway   gateway.Config
	scheduler scheduler.Config
	mailbox   mailbox.Config

	objectevent objectevent.Config
}

func newSettings() *settings {
	return &settings{process: process.Default(), gateway: gateway.Default(), scheduler: scheduler.Default(), mailbox: mailbox.Default(), objectevent: objectevent.Default()}
}

// services is what pkg/process fills beside its own settings.
func (s *settings) services() []any {
	return []any{&s.gateway, &s.objectevent, &s.scheduler, &s.mailbox}
}

// parts is the all-in-one: every service, in the order they start. None needs
// another to start; they meet on NATS, here as on a cluster.
func (s *settings) parts() []process.Part {
	return []process.Part{
		{Name: "gateway", About: "live events to open windows; HTTP in", Topology: gateway.Topology, New: func(e process.Env) (run.Service, error) {
			return gateway.New(gateway.Options{Config: s.gateway, Env: e})
		}},
		{Name: "objectevent", About: "what follows from operations; asks before deletions", Topology: objectevent.Topology, New: func(e process.Env) (run.Service, error) {
			return objectevent.New(objectevent.Options{Config: s.objectevent, Env: e})
		}},
		{Name: "scheduler", About: "time events, and schedules of users", Topology: scheduler.Topology, New: func(e process.Env) (run.Service, error) {
			return scheduler.New(scheduler.Options{Config: s.scheduler, Env: e})
		}},
		{Name: "mailbox", About: "guaranteed delivery to partners who poll", Topology: mailbox.Topology, New: func(e process.Env) (run.Service, error) {
			return mailbox.New(mailbox.Options{Config: s.mailbox, Env: e})
		}},
	}
}

func partNames(parts []process.Part) []string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.Name
	}
	return names
}

// only picks parts by name; no names = all. Code usage, listing the names.
func only(parts []process.Part, names []string) ([]process.Part, error) {
	if len(names) == 0 {
		return parts, nil
	}
	known := partNames(parts)
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fault.New(fault.UsageError, "--only: there is no part %q; the parts are %s", name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(parts, func(p process.Part) bool { return !slices.Contains(names, p.Name) }), nil
}
