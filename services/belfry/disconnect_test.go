package main

import (
	"strings"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/fault"
)

// GW5: an operator closes a user's windows from a terminal; they do not come back,
// or do if they were told to.
func TestGW5DisconnectFromATerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, at := spawn(t, `(http://\S+?)/?(?:\?|#|\s)`, "run", "--http", "127.0.0.1:0", "--admin", "", "--nats", "127.0.0.1:0", "--data-dir", dir)
	call := func(args ...string) (string, error) {
		return belfry(t, "", append(args, "--url", at[1], "--data-dir", dir)...)
	}
	token, err := belfry(t, "", "token", "--user", "anna", "--tenant", "AA", "--data-dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := client.Open(t.Context(), strings.Replace(at[1], "http", "ws", 1)+"/v1/ws", client.OpenOptions{
		Token: strings.TrimSpace(token), Subscriptions: []client.Subscription{{}}, BackoffMin: time.Millisecond, BackoffMax: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if out, err := call("disconnect", "anna", "--reconnect"); err != nil || out != "closed 1 connections of anna at 1 gateways\n" {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := w.Subscribe(t.Context(), client.Subscription{Topic: "invoices"}); err != nil { // it has come back
		t.Fatal(err)
	}
	if out, err := call("disconnect", "anna"); err != nil || !strings.HasPrefix(out, "closed 1 ") {
		t.Errorf("%v\n%s", err, out)
	}
	select {
	case <-w.Done():
	case <-time.After(patience):
		t.Fatal("the window has come back")
	}
	if _, err := w.Next(t.Context()); fault.CodeOf(err) != fault.Disconnected {
		t.Errorf("the window ended with %v", err)
	}
	if _, err := call("disconnect", "anna", "--token", strings.TrimSpace(token)); fault.CodeOf(err) != fault.GrantMissing {
		t.Errorf("without the grant: %v", err)
	}
}
