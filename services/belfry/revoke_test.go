package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
)

// A token and a user's tokens are taken back from a platform that runs, by
// nothing but its data directory.
func TestRevoke(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := runAll(t, dir)
	at := []string{"--nats", strings.TrimPrefix(p.nats, "nats://"), "--data-dir", dir}
	token := func(user string) (text, id string) {
		t.Helper()
		out, err := belfry(t, "", "token", "--user", user, "--tenant", "AA", "--data-dir", dir)
		if err != nil {
			t.Fatal(err)
		}
		c := process.Default()
		c.DataDir = dir
		tokens, err := c.Tokens()
		if err != nil {
			t.Fatal(err)
		}
		who, err := tokens.Verify(t.Context(), strings.TrimSpace(out))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out), who.TokenID
	}
	status := func(token string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.web+"/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	one, id := token("anna")
	other, _ := token("anna")
	bert, _ := token("bert")

	out, err := belfry(t, "", append([]string{"revoke", "--token-id", id}, at...)...)
	if err != nil || out != "revoked token "+id+"\n" {
		t.Fatalf("%q %v", out, err)
	}
	bustest.Eventually(t, patience, "the token is refused", func() bool { return status(one) == http.StatusUnauthorized })
	if got := status(other); got != http.StatusOK {
		t.Errorf("another token of the user: %d", got)
	}
	out, err = belfry(t, "", append([]string{"revoke", "--user", "anna", "--tenant", "AA"}, at...)...)
	if err != nil || !strings.HasPrefix(out, "revoked the tokens of anna for AA issued before 20") {
		t.Fatalf("%q %v", out, err)
	}
	bustest.Eventually(t, patience, "the user's tokens are refused", func() bool { return status(other) == http.StatusUnauthorized })
	if got := status(bert); got != http.StatusOK {
		t.Errorf("another user: %d", got)
	}

	for _, c := range []struct {
		args []string
		code fault.Code
		says string
	}{
		{[]string{"--token-id", "x", "--user", "y"}, fault.UsageError, "one of --token-id and --user"},
		{nil, fault.UsageError, "one of --token-id and --user"},
		{[]string{"--token-id", "x", "--before", "2026-11-21T08:00:00Z"}, fault.UsageError, "--before goes with --user"},
		{[]string{"--user", "x", "--before", "yesterday"}, fault.UsageError, "is not like 2026"},
		{[]string{"--token-id", "x", "--tenant", "AA"}, fault.InvalidRequest, "goes with a user"},
		{[]string{"--user", "x", "--tenant", "_"}, fault.InvalidName, "tenant"},
		{[]string{"--user", "x", "--data-dir", t.TempDir()}, fault.InvalidConfig, "nats-service.password"},
		{[]string{"--user", "x", "--nats-url", p.nats}, fault.Unavailable, "a service's credentials"}, // as a stranger
	} {
		if _, err := belfry(t, "", append(append([]string{"revoke"}, at...), c.args...)...); fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v (%s), want %s: %s", c.args, err, fault.CodeOf(err), c.code, c.says)
		}
	}
}
