package realtime

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Recipient is whom an event is for: a user of a tenant; User "" is everybody of
// the tenant; both "" is everybody.
type Recipient struct{ Tenant, User string }

// Subject is where events to the recipient go. Code invalid_name.
func (r Recipient) Subject() (string, error) { return subject.Recipient(r).Subject() }

// Probe asks whether anybody would get an event with this code; "" is any code.
// Nobody is a Reach without connections, and no error. It returns with the first
// answer that has a connection, so Connections is not the sum: use it to decide,
// not to count. Codes invalid_name, unknown_name, unavailable.
func Probe(ctx context.Context, nc *nats.Conn, to Recipient, code string) (Reach, error) {
	return probe(ctx, nc, to, code, func(r Reach) bool { return r.Connections > 0 })
}

// Count is Probe that waits for all gateways, at most 100 ms.
func Count(ctx context.Context, nc *nats.Conn, to Recipient, code string) (Reach, error) {
	return probe(ctx, nc, to, code, func(Reach) bool { return false })
}

func probe(ctx context.Context, nc *nats.Conn, to Recipient, code string, enough func(Reach) bool) (Reach, error) {
	subj, err := to.Subject()
	if err != nil {
		return Reach{}, err
	}
	m := nats.NewMsg(subj)
	m.Header[HeaderProbe] = []string{"1"}
	if code != "" {
		if code, err = Code(code); err != nil {
			return Reach{}, err
		}
		m.Header[HeaderType] = []string{code}
	}
	return ask(ctx, nc, m, 1, enough)
}

// Notify sends a real-time event to whoever is there, and says how many
// connections it was queued for. It probes first and calls build only if somebody
// is there who wants the code. build leaves out what Notify knows: type, tenant,
// recipient; id, source and time have the defaults of event.Complete.
//
// Codes: nobody_there (kind not_found) when there is nobody, or nobody any more;
// unknown_name for a code that is not one; invalid_event for an event or a payload
// that breaks a rule, naming it; unavailable when the gateways did not answer, and
// after build has been called the event may still have been delivered. An error of
// build is returned as it is.
func Notify(ctx context.Context, nc *nats.Conn, to Recipient, code string, build func(context.Context) (event.Event, error)) (Reach, error) {
	code, err := Code(code)
	if err != nil {
		return Reach{}, err
	}
	reach, err := Probe(ctx, nc, to, code)
	if err != nil {
		return Reach{}, err
	}
	if reach.Connections == 0 {
		return reach, nobody(reach)
	}
	e, err := build(ctx)
	if err != nil {
		return Reach{}, err
	}
	if err := address(&e, to, code); err != nil {
		return Reach{}, err
	}
	return Send(ctx, nc, to, e, 0)
}

// Send is Notify without asking first: for an event that is there already. Its
// type is its code. expect is how many gateways should answer, as far as the
// caller knows; 0 = the answers say it.
func Send(ctx context.Context, nc *nats.Conn, to Recipient, e event.Event, expect int) (Reach, error) {
	m, err := message(ctx, to, e)
	if err != nil {
		return Reach{}, err
	}
	reach, err := ask(ctx, nc, m, expect, func(Reach) bool { return false })
	if err == nil && reach.Connections == 0 {
		err = nobody(reach)
	}
	return reach, err
}

// nobody is the error of a reach without connections.
func nobody(r Reach) error {
	if !r.Complete {
		return fault.New(fault.Unavailable, "not every gateway answered, and those that did have nobody who wants this")
	}
	return fault.New(fault.NobodyThere, "nobody it is for has a window open that wants it")
}
