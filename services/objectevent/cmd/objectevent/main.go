// Command objectevent is the object-event service on its own, on a NATS server
// elsewhere.
package main

import (
	"os"

	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/run"
	"github.com/belfry-events/belfry/services/objectevent"
)

func main() {
	config := objectevent.Default()
	os.Exit(process.Program{
		Name:     "objectevent",
		About:    "Object events of Belfry: what follows from operations, and who may object.",
		Settings: &config,
		Parts: []process.Part{{Name: "objectevent", Topology: objectevent.Topology, New: func(e process.Env) (run.Service, error) {
			return objectevent.New(objectevent.Options{Config: config, Env: e})
		}}},
	}.Main())
}
