package bustest_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/topology"
)

const wait = time.Minute

// publish stores one event, however long the stream has no leader, and gives
// where the log stands after it.
func publish(t *testing.T, nc *nats.Conn) (l topology.Log) {
	t.Helper()
	m := &nats.Msg{Subject: "evt.AA.invoices.created", Data: []byte(`{}`), Header: nats.Header{nats.MsgIdHdr: {rand.Text()}}}
	bustest.Eventually(t, wait, "event stored", func() bool {
		_, err := nc.RequestMsg(m, time.Second)
		return err == nil
	})
	return state(t, nc)
}

// state is where the log stands, once the connection leads there again.
func state(t *testing.T, nc *nats.Conn) (l topology.Log) {
	t.Helper()
	bustest.Eventually(t, wait, "log answers", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var err error
		l, err = topology.EventsState(ctx, nc)
		return err == nil
	})
	return l
}
