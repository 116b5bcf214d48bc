// Command gateway is the gateway service on its own, on a NATS server elsewhere.
package main

import (
	"os"

	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/run"
	"github.com/belfry-events/belfry/services/gateway"
)

func main() {
	config := gateway.Default()
	os.Exit(process.Program{
		Name:     "gateway",
		About:    "Live events of Belfry to open windows, and HTTP in.",
		Settings: &config,
		Parts: []process.Part{{Name: "gateway", Topology: gateway.Topology, New: func(e process.Env) (run.Service, error) {
			return gateway.New(gateway.Options{Config: config, Env: e})
		}}},
	}.Main())
}
