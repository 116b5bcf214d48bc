package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/fault"
)

// RT3, RT7: who is online is shown in a terminal, and notified from one; nobody
// there is said plainly.
func TestRT3NotifyAndPresenceFromATerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, at := spawn(t, `(http://\S+?)/?(?:\?|#|\s)`, "run", "--http", "127.0.0.1:0", "--admin", "", "--nats", "127.0.0.1:0", "--data-dir", dir)
	call := func(args ...string) (string, error) {
		return belfry(t, "", append(args, "--url", at[1], "--data-dir", dir)...)
	}
	notify := []string{"notify", "not", `{"text":"Can we give 5 % more?"}`, "--to", "anna"}
	if _, err := call(notify...); fault.CodeOf(err) != fault.NobodyThere {
		t.Errorf("nobody there: %v", err)
	}
	if out, err := call("presence", "anna"); err != nil || !strings.HasSuffix(out, "\nanna  offline\n") {
		t.Errorf("%v\n%s", err, out)
	}
	token, err := belfry(t, "", "token", "--user", "anna", "--tenant", "AA", "--data-dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := client.Open(t.Context(), strings.Replace(at[1], "http", "ws", 1)+"/v1/ws", client.OpenOptions{Token: strings.TrimSpace(token)})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if out, err := call(notify...); err != nil || !strings.Contains(out, "reached  1 connections at 1 gateways\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if it, err := w.Next(t.Context()); err != nil || it.Event.Type != "NOT" || !it.Cursor.IsZero() || string(it.Event.Data) != `{"text":"Can we give 5 % more?"}` {
		t.Errorf("%+v, %v", it, err)
	}
	if out, err := call("notify", "SHUTDOWN", "--everybody", "--json"); err != nil || !strings.Contains(out, `"connections":1`) {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := call("presence"); err != nil || !regexp.MustCompile(`(?m)^anna +\d{4}-\S+ \S+ +1 +1$`).MatchString(out) {
		t.Errorf("%v\n%s", err, out)
	}
	for code, args := range map[fault.Code][]string{
		fault.UnknownName:    {"notify", "MALI", "--to", "anna"},
		fault.InvalidRequest: {"notify", "MAIL", `{"form":"Jan"}`, "--to", "anna"},
		fault.UsageError:     {"notify", "MAIL"},
		fault.GrantMissing:   {"notify", "MAIL", "--everybody", "--token", strings.TrimSpace(token)},
	} {
		if _, err := call(args...); fault.CodeOf(err) != code {
			t.Errorf("%v: %v, want %s", args, err, code)
		}
	}
}
