package telemetry

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry is a registry that already measures the Go runtime, the process and
// the build.
func NewRegistry(service, version string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "belfry_build_info", Help: "What runs here; always 1.",
		ConstLabels: prometheus.Labels{"service": service, "version": version},
	})
	info.Set(1)
	r.MustRegister(info, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// AdminHandler serves what operators and probes ask for:
//
//	GET /healthz       200 while the process can answer at all
//	GET /readyz        200 or 503, with State as JSON
//	GET /metrics       Prometheus
//	GET /debug/pprof/  profiles
//
// Among the metrics is what /readyz says, as belfry_ready: an alert has no probe to ask.
//
// It has no access control: its listener is for the machine, or the cluster.
func AdminHandler(reg *prometheus.Registry, health *Health) *http.ServeMux {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "belfry_ready", Help: "1 while /readyz answers 200, else 0.",
	}, func() float64 {
		if health.State(context.Background()).Ready { // bounded by itself
			return 1
		}
		return 0
	}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, struct {
			Alive bool `json:"alive"`
		}{true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		s := health.State(r.Context())
		status := http.StatusOK
		if !s.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, s)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a probe that left is no concern of ours
}
