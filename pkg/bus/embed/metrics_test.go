package embed_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/belfry-events/belfry/pkg/bus/embed"
)

func TestCollector(t *testing.T) {
	t.Parallel()
	s := start(t, embed.Options{DataDir: t.TempDir(), Port: -1})
	nc, err := nats.Connect(s.ClientURL(), nats.UserInfo(embed.ServiceUser, s.ServicePassword()))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "THINGS", Subjects: []string{"things"}}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := js.Publish(t.Context(), "things", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	err = testutil.CollectAndCompare(s.Collector(), strings.NewReader(`
# HELP belfry_natsserver_connections Clients that are connected.
# TYPE belfry_natsserver_connections gauge
belfry_natsserver_connections 1
# HELP belfry_natsserver_stream_messages Messages of a stream, told by its leader.
# TYPE belfry_natsserver_stream_messages gauge
belfry_natsserver_stream_messages{stream="THINGS"} 3
# HELP belfry_natsserver_stream_replicas_behind Replicas of a stream that are away or behind, told by its leader.
# TYPE belfry_natsserver_stream_replicas_behind gauge
belfry_natsserver_stream_replicas_behind{stream="THINGS"} 0
`), "belfry_natsserver_connections", "belfry_natsserver_stream_messages", "belfry_natsserver_stream_replicas_behind")
	if err != nil {
		t.Error(err)
	}
}
