// Package client is the Go SDK of Belfry: publish events, read the log as it
// grows, and hold a window open the way a browser does.
//
//	Connect ── NATS ──┬─ Publish        one event, acknowledged: it is kept
//	                  ├─ PublishAsync   many events, in order, with back-pressure
//	                  ├─ Tail           every event from a position on, no gap, no duplicate
//	                  ├─ Notify         a real-time event to whoever is there, built only then
//	                  ├─ Presence       who comes and goes
//	                  └─ Hook           answers before something is deleted: may it?
//	Open ──── WebSocket ── Next         the same feed for programs outside NATS; resumes by itself
//
// A whole program:
//
//	c, err := client.Connect(ctx, "nats://127.0.0.1:4222", client.Options{Name: "billing", Source: "/billing"})
//	if err != nil {
//		return err
//	}
//	defer c.Close(ctx)
//
//	e := event.Event{Tenant: "AA", Topic: "invoices", Verb: "created", Subject: "4711", Data: []byte(`{"total":12.5}`)}
//	receipt, err := c.Publish(ctx, e)
//	if err != nil {
//		return err // a *fault.Error: fault.CodeOf(err) is stable
//	}
//	// From just before our own event on, for ever:
//	for item, err := range c.Tail(ctx, client.TailOptions{Tenants: []string{"AA"}, Topics: []string{"invoices"}}) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(item.Cursor, item.Event.Type, item.Event.Subject)
//	}
//
// Errors are *fault.Error. A kind of unavailable means that trying again may
// help. Publishing the same event (tenant, source, id) again within two minutes
// is safe: it is kept once, and the second receipt says Duplicate.
//
// The package never imports a server: what links it carries no nats-server.
package client
