package bustest

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Option changes how servers start.
type Option func(*settings)

type settings struct {
	embed    embed.Options
	topology topology.Options
	spec     func(*topology.Spec)
	registry prometheus.Registerer
	bare     bool
}

// Embed changes the server's options.
func Embed(change func(*embed.Options)) Option {
	return func(s *settings) { change(&s.embed) }
}

// Topology changes the topology's options.
func Topology(change func(*topology.Options)) Option {
	return func(s *settings) { change(&s.topology) }
}

// Spec adds to what is ensured beside topology.Platform.
func Spec(change func(*topology.Spec)) Option {
	return func(s *settings) { s.spec = change }
}

// Registry collects the service connection's metrics.
func Registry(r prometheus.Registerer) Option {
	return func(s *settings) { s.registry = r }
}

// Bare leaves JetStream empty: no topology.
func Bare() Option { return func(s *settings) { s.bare = true } }

// InProcess starts without a socket: the server fits into a Bubble.
func InProcess() Option {
	return Embed(func(o *embed.Options) { o.NoListen = true })
}
