package gateway

import (
	"context"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/telemetry"
	"github.com/belfry-events/belfry/services/gateway/internal/roster"
)

// assemble wires what is never stored: signals, the crowd they are for, and the
// roster of who is online.
func (s *Service) assemble() {
	id := event.NewID()
	s.who = roster.New(roster.Options{
		NC: s.nc, Gateway: id, Grace: s.config.PresenceGrace, Log: s.out,
		Changed: func(what string) { s.stats.presence.WithLabelValues(what).Inc() },
		Said:    func(bytes int) { s.stats.roster.Add(float64(bytes)) },
	})
	s.crowd = newCrowd(s.nc, s.feed.signals, s.who, s.out)
	s.interest = &interest{nc: s.nc}
	s.signals = &signals{
		outgoing: outgoing{writers: s.writers},
		id:       id, in: s.feed.signals, crowd: s.crowd, hub: s.hub, who: s.who, out: s.out, stats: s.stats, trace: s.trace,
	}
	s.stats.counts(s.who)
}

// keepRoster runs the roster. Without it real-time events still come; who is online
// elsewhere is not known.
func (s *Service) keepRoster(ctx context.Context) {
	if err := s.who.Run(ctx); err != nil {
		s.out.Error("presence is not known", telemetry.Err(err))
	}
}
