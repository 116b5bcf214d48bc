package gateway

import (
	"context"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/fault"
)

// closeRevoked ends connections whose token is taken back, as soon as this
// process hears of it. Revocations are rare, so each looks at every connection;
// those that come while it looks are one more look.
func (s *Service) closeRevoked(ctx context.Context) {
	for {
		changed := s.guard.Changed() // before looking, so that nothing falls between
		for _, c := range s.hub.all() {
			if !c.isClosing() && s.guard.Revoked(c.who()) != nil {
				c.shut(fault.TokenRevoked)
				s.record(ctx, c, api.Entry{What: "connection", Code: fault.TokenRevoked})
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
