// Command mailbox is the mailbox service on its own, on a NATS server elsewhere.
package main

import (
	"os"

	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/run"
	"github.com/belfry-events/belfry/services/mailbox"
)

func main() {
	config := mailbox.Default()
	os.Exit(process.Program{
		Name:     "mailbox",
		About:    "Mailboxes of Belfry: guaranteed delivery for partners who poll.",
		Settings: &config,
		Parts: []process.Part{{Name: "mailbox", Topology: mailbox.Topology, New: func(e process.Env) (run.Service, error) {
			return mailbox.New(mailbox.Options{Config: config, Env: e})
		}}},
	}.Main())
}
