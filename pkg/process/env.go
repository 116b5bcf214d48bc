package process

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/run"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Env is what a service is given. Everything in it is ready, and nil only
// where it says so.
type Env struct {
	Name          string // of the part: "gateway"
	Version       string // of the build
	Log           *slog.Logger
	Bus           *bus.Bus             // connected, topology ensured
	Registry      *prometheus.Registry // of the process
	Tracer        trace.Tracer
	Verifier      auth.Verifier  // the Guard, for those who only take tokens
	Guard         *auth.Guard    // says who is calling
	API           *api.Mux       // for the service's API; mounted in New
	Mux           *http.ServeMux // for routes that are no API; served once all parts are ready
	Limits        *api.Limits    // of calls that do not come through API; nil = none
	Audit         *api.AuditLog  // for refusals inside open connections
	MaxEventBytes int            // largest data of one event
	TokenLife     time.Duration  // the longest; revocations are kept as long
}

// Part is a service in the table of a program. If the service also is a
// run.Checker, /readyz asks it.
type Part struct {
	Name  string
	About string // one line
	// Topology, optional, is what the service keeps in JetStream beyond
	// topology.Platform. It is ensured before New is called.
	Topology func(topology.Options) topology.Spec
	New      func(Env) (run.Service, error)
}

// Expecting is implemented by services that have to answer somebody while they
// stop: a client that polls comes for its goodbye.
type Expecting interface {
	// Expects says whether a request shall be served although the process stops.
	Expects(*http.Request) bool
}

// Embedder starts a NATS server inside the process, as c says.
type Embedder func(ctx context.Context, c Config, log *slog.Logger) (*Embedded, error)

// Embedded is a NATS server that runs inside.
type Embedded struct {
	Bus   bus.Options // how to connect to it with all rights
	URL   string      // where others connect; "" = nowhere
	Check func() error
	Stop  func(context.Context) error // shuts down and waits
	Stats prometheus.Collector        // optional: its numbers
}
