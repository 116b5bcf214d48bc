package embed_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/fault"
)

// TestHookUsersAnswerForTheirTenant, and nobody else hears its questions: not one
// who answers for another tenant, and not its publishers and readers.
func TestHookUsersAnswerForTheirTenant(t *testing.T) {
	t.Parallel()
	p := plainServer(t)
	ask := func() (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		m, err := p.bus.NC.RequestWithContext(ctx, "hook.AA.check", []byte("may I?"))
		if err != nil {
			return "", err
		}
		return string(m.Data), nil
	}
	if _, err := ask(); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("nobody listens, and that is said by %v", err)
	}
	var overheard atomic.Int32
	for _, name := range []string{"spy", "rival", "billing", "dash", "erp", "audit"} {
		nc := p.as(name)
		for _, subj := range []string{"hook.AA.check", "hook.AA.>", "hook.>", ">"} {
			if _, err := nc.Subscribe(subj, func(*nats.Msg) { overheard.Add(1) }); err != nil {
				t.Fatal(err)
			}
		}
		_ = nc.Flush() // it may have been told off by now
	}
	// Two users answer for AA; either one alone is heard, though the other's account
	// has nobody who listens.
	for _, name := range []string{"guard", "second"} {
		nc := p.as(name)
		sub, err := nc.QueueSubscribe("hook.AA.check", "hook", func(m *nats.Msg) { _ = m.Respond([]byte(name)) })
		if err != nil {
			t.Fatal(err)
		}
		bustest.Eventually(t, timeout, name+" answers", func() bool {
			got, err := ask()
			return err == nil && got == name
		})
		for range 20 {
			if got, err := ask(); err != nil || got != name {
				t.Fatalf("%s: %q %v", name, got, err)
			}
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	spy := bustest.Connect(t, p.url, nats.UserInfo("spy", password("spy")), nats.PermissionErrOnSubscribe(true), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	err := client.ServeHook(ctx, spy, "AA", "check", func(context.Context, client.Before) client.Verdict { return client.Allow() })
	if fault.CodeOf(err) != fault.GrantMissing {
		t.Errorf("our own client is told %v", err)
	}
	if n := overheard.Load(); n != 0 {
		t.Errorf("%d questions were overheard", n)
	}
}
