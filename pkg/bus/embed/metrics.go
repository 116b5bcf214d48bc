package embed

import (
	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
)

// What a NATS server of ours tells Prometheus, named belfry_natsserver_…. It is read
// when it is asked for; between two scrapes it costs nothing.
var (
	connectionsDesc = desc("connections", "Clients that are connected.")
	slowDesc        = desc("slow_consumers_total", "Clients that were cut because they read too slowly.")
	messagesDesc    = desc("messages_total", "Messages, by direction.", "direction")
	bytesDesc       = desc("bytes_total", "Bytes of messages, by direction.", "direction")
	storedDesc      = desc("jetstream_bytes", "Bytes that JetStream keeps on this node.")
	apiDesc         = desc("jetstream_api_total", "Calls of JetStream's API that this node answered.")
	apiErrorsDesc   = desc("jetstream_api_errors_total", "Those that it answered with an error.")
	leaderlessDesc  = desc("jetstream_leaderless", "1 while this node knows no leader of the cluster; 0 also without a cluster.")

	streamMessagesDesc = desc("stream_messages", "Messages of a stream, told by its leader.", "stream")
	streamBytesDesc    = desc("stream_bytes", "Bytes of a stream, told by its leader.", "stream")
	streamLastDesc     = desc("stream_last_sequence", "Sequence of a stream's newest message, told by its leader.", "stream")
	streamBehindDesc   = desc("stream_replicas_behind", "Replicas of a stream that are away or behind, told by its leader.", "stream")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("belfry_natsserver_"+name, help, labels, nil)
}

// Collector reads a server's numbers for Prometheus.
func (s *Server) Collector() prometheus.Collector { return collector{s.ns} }

type collector struct{ ns *server.Server }

// Describe sends nothing: the streams are not known beforehand.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the server. What it does not tell is left out.
func (c collector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	if v, err := c.ns.Varz(nil); err == nil {
		gauge(connectionsDesc, float64(v.Connections))
		count(slowDesc, float64(v.SlowConsumers))
		count(messagesDesc, float64(v.InMsgs), "in")
		count(messagesDesc, float64(v.OutMsgs), "out")
		count(bytesDesc, float64(v.InBytes), "in")
		count(bytesDesc, float64(v.OutBytes), "out")
	}
	js, err := c.ns.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return
	}
	gauge(storedDesc, float64(js.Store))
	count(apiDesc, float64(js.API.Total))
	count(apiErrorsDesc, float64(js.API.Errors))
	leaderless := 0.0
	if js.Meta != nil && js.Meta.Leader == "" {
		leaderless = 1
	}
	gauge(leaderlessDesc, leaderless)
	for _, account := range js.AccountDetails {
		if account.Name != Account {
			continue
		}
		for _, stream := range account.Streams {
			c.stream(stream, gauge)
		}
	}
}

// stream tells of a stream on its leader only, so that a sum over the nodes is true.
func (c collector) stream(d server.StreamDetail, gauge func(*prometheus.Desc, float64, ...string)) {
	behind := 0
	if d.Cluster != nil {
		if d.Cluster.Leader != c.ns.Name() {
			return
		}
		for _, r := range d.Cluster.Replicas {
			if r.Offline || !r.Current {
				behind++
			}
		}
	}
	gauge(streamMessagesDesc, float64(d.State.Msgs), d.Name)
	gauge(streamBytesDesc, float64(d.State.Bytes), d.Name)
	gauge(streamLastDesc, float64(d.State.LastSeq), d.Name)
	gauge(streamBehindDesc, float64(behind), d.Name)
}
