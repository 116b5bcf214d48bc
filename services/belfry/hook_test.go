package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/fault"
)

// TestOE4AVetoFromATerminal walks through what "belfry hook --help" shows.
func TestOE4AVetoFromATerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, at := spawn(t, `(http://\S+?)/?(?:\?|#|\s)[\s\S]*(nats://\S+)`, "run", "--http", "127.0.0.1:0", "--admin", "", "--nats", "127.0.0.1:0", "--data-dir", dir)
	call := func(line string, more ...string) (string, error) {
		return belfry(t, "", append(append(strings.Fields(line), more...), "--url", at[1], "--data-dir", dir)...)
	}
	must := func(want, line string, more ...string) string {
		t.Helper()
		out, err := call(line, more...)
		if err != nil || !regexp.MustCompile(want).MatchString(out) {
			t.Fatalf("belfry %s: %v\n%s\nis not like %s", line, err, out, want)
		}
		return out
	}
	must(`hook\.AA\.guard`, "hook add guard")
	must(`guard  sys\.userDelete  unreachable in .*nobody listens\nthe deletion would end here`, "hook test guard")
	if _, err := call("object trash users 42"); fault.CodeOf(err) != fault.DeletionRefused {
		t.Fatalf("while nobody serves the hook: %v", err)
	}
	serve, _ := spawn(t, "serving guard of AA", "hook", "serve", "guard", "--nats-url", at[2], "--exec",
		`grep -q '"admin":true' && { echo is the only administrator; exit 1; }; exit 0`)
	out, err := call("object trash users 42 --actor anna", "--old", `{"admin":true}`)
	if fault.CodeOf(err) != fault.DeletionRefused || !strings.Contains(err.Error(), "guard refused: is the only administrator") || !strings.Contains(out, "users.deleting") {
		t.Fatalf("%v\n%s", err, out)
	}
	must(`users\.deleting\nguard  sys\.userDelete  allowed in .*\n.*raised\n.*users\.deleted`, "object trash users 43", "--old", `{"admin":false}`)
	must(`users 42 to trash  guard  sys\.userDelete  refused in .*: is the only administrator`, "hook verdicts --hook guard")
	must(`guard is disabled`, "hook disable guard")
	must(`guard\s+sys\.userDelete\s+all\s+hook\.AA\.guard\s+2s\s+refuses\s+disabled`, "hook list")
	must(`raised`, "object trash users 42", "--old", `{"admin":true}`)
	must(`guard is gone`, "hook delete guard")
	must(`users\.deleted`, "object trash users 44 --unasked")
	must(`created`, "object insert invoices 4711", "--new", `{"total":12}`)
	if _, err := call("object purge users 99"); err == nil {
		t.Error("a purge of what was never trashed")
	}
	if err := serve.stop(); err != nil {
		t.Errorf("serve: %v", err)
	}
}
