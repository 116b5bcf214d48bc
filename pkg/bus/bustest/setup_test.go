package bustest_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/topology"
)

type natsConn = nats.Conn

const wait = 20 * time.Second

// publish stores one event, however long the stream has no leader, and gives
// where the log stands after it.
func publish(t *testing.T, nc *nats.Conn) (l topology.Log) {
	t.Helper()
	m := &nats.Msg{Subject: "evt.AA.invoices.created", Data: []byte(`{}`), Header: nats.Header{nats.MsgIdHdr: {rand.Text()}}}
	bustest.Eventually(t, wait, "event stored", func() bool {
		_, err := nc.RequestMsg(m, time.Second)
		return err == nil
	})
	bustest.Eventually(t, wait, "log answers", func() (ok bool) {
		var err error
		l, err = topology.EventsState(t.Context(), nc)
		return err == nil
	})
	return l
}
