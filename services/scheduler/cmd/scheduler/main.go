// Command scheduler is the scheduler service on its own, on a NATS server elsewhere.
package main

import (
	"os"

	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/run"
	"github.com/belfry-events/belfry/services/scheduler"
)

func main() {
	config := scheduler.Default()
	os.Exit(process.Program{
		Name:     "scheduler",
		About:    "The business clock of Belfry, and schedules of its users.",
		Settings: &config,
		Parts: []process.Part{{
			Name: "scheduler", Topology: scheduler.Topology,
			New: func(e process.Env) (run.Service, error) {
				return scheduler.New(scheduler.Options{Config: config, Env: e})
			},
		}},
	}.Main())
}
