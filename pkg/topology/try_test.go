package topology

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// What the server said counts, even if the last try ran out of time before an answer.
func TestTheServersAnswerOutlivesTheLastTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := true
		err := new(ensurer).try(ctx, "create stream X", func(ctx context.Context) error {
			if first {
				first = false
				return &jetstream.APIError{Code: 400, ErrorCode: noSuitablePeers, Description: "no suitable peers for placement"}
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, ErrTooFewServers) {
			t.Errorf("%v", err)
		}
	})
}
