//nolint:testableexamples // they need a running Belfry; the tests prove the calls
package client_test

import (
	"context"
	"fmt"

	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

func ExampleConnect() {
	ctx := context.Background()
	c, err := client.Connect(ctx, "nats://127.0.0.1:4222", client.Options{Name: "billing", Source: "/billing"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() {
		if err := c.Close(ctx); err != nil {
			fmt.Println(err)
		}
	}()

	receipt, err := c.Publish(ctx, event.Event{
		Tenant: "AA", Topic: "invoices", Verb: "created", Subject: "4711", Data: []byte(`{"total":12.5}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("kept at", receipt.Cursor)
}

func ExampleClient_PublishAsync() {
	ctx := context.Background()
	c, err := client.Connect(ctx, "nats://127.0.0.1:4222", client.Options{Source: "/import"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for n := range 100_000 {
		// Waits only while too much is unacknowledged.
		if _, err := c.PublishAsync(ctx, event.Event{
			ID: fmt.Sprint(n), Tenant: "AA", Topic: "devices", Verb: "updated", Data: []byte(`{"on":true}`),
		}); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := c.Close(ctx); err != nil { // waits for the acknowledgements
		fmt.Println(err)
		return
	}
}

func ExampleClient_Tail() {
	ctx := context.Background()
	c, err := client.Connect(ctx, "nats://127.0.0.1:4222", client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	last, err := event.ParseCursor("k2r9x0aa-000000000000002a") // kept from the last run
	if err != nil {
		fmt.Println(err)
		return
	}
	for item, err := range c.Tail(ctx, client.TailOptions{After: last, Tenants: []string{"AA"}, Topics: []string{"invoices"}}) {
		if fault.CodeOf(err) == fault.CursorGone {
			fmt.Println("away for longer than the log keeps: load everything anew")
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(item.Cursor, item.Event.Type, item.Event.Subject)
	}
}

func ExampleOpen() {
	ctx := context.Background()
	w, err := client.Open(ctx, "ws://127.0.0.1:8080/v1/ws", client.OpenOptions{
		Token:         "…",
		Subscriptions: []client.Subscription{{Tenant: "AA", Topic: "invoices"}, {Name: "frm.objectDeleted"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()
	for item, err := range w.Events(ctx) {
		if err != nil {
			fmt.Println(err) // cursor_gone: something was missed; the window goes on
			continue
		}
		fmt.Println(item.Event.Type, string(item.Event.Data))
	}
}
