// Command stranger publishes one event, reads it back and prints it.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/event"
)

func main() {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string) error {
	c, err := client.Connect(ctx, url, client.Options{Name: "stranger", Source: "/stranger"})
	if err != nil {
		return err
	}
	if _, err := c.Publish(ctx, event.Event{Tenant: "AA", Topic: "invoices", Verb: "created", Data: []byte(`{"n":1}`)}); err != nil {
		return err
	}
	for item, err := range c.Tail(ctx, client.TailOptions{FromStart: true}) {
		if err != nil {
			return err
		}
		fmt.Println(item.Event.Source, item.Event.Type, string(item.Event.Data))
		break
	}
	return c.Close(ctx)
}
