package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/fault"
)

// The file and the passwords are there, for their owner only; adding a user
// keeps those of the others.
func TestPermissionsInFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "nats")
	file := filepath.Join(dir, "server.conf")
	args := []string{"doctor", "nats-permissions", "--out", file, "--publisher", "billing:AA,BB"}
	if out, err := belfry(t, "", args...); err != nil || !strings.Contains(out, file) {
		t.Fatalf("%q, %v", out, err)
	}
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		return strings.TrimSpace(string(b))
	}
	first := read("billing.password")
	if text := read("server.conf"); strings.Contains(text, first) || !strings.Contains(text, `"evt.BB.>"`) || len(first) < 26 {
		t.Errorf("%q is no secret of:\n%s", first, text)
	}
	if _, err := belfry(t, "", append(args, "--reader", "dash:AA")...); err != nil {
		t.Fatal(err)
	}
	if again := read("billing.password"); again != first || read("dash.password") == first || read("service.password") == first {
		t.Error("passwords are not kept, or not one's own")
	}
	if text := read("server.conf"); !strings.Contains(text, "APP_dash") {
		t.Errorf("no new user in:\n%s", text)
	}

	foreign := filepath.Join(dir, "foreign.conf")
	if err := os.WriteFile(foreign, []byte("port: 4222\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := belfry(t, "", "doctor", "nats-permissions", "--out", foreign); fault.CodeOf(err) != fault.UsageError {
		t.Errorf("somebody's own file was overwritten: %v", err)
	}
}

func TestPermissionsAsText(t *testing.T) {
	t.Parallel()
	const key = "UABC5B6MZI7ZEEVYZ2GYDEONUI3SMGZVTICPBOTPEVSQXPGVLQBPHVIB"
	for name, c := range map[string]struct {
		args []string
		code fault.Code
		says string
	}{
		"no tenant":        {[]string{"--publisher", "billing"}, fault.UsageError, "<name>:<tenant>"},
		"twice":            {[]string{"--publisher", "x:AA", "--reader", "x:AA"}, fault.UsageError, "another user of this name"},
		"a name of ours":   {[]string{"--reader", "app:AA"}, fault.InvalidConfig, "a name of our own"},
		"a path":           {[]string{"--reader", "../x:AA"}, fault.InvalidConfig, "letters, digits"},
		"key of nobody":    {[]string{"--nkey", "x=" + key}, fault.UsageError, "the name being that of"},
		"key of a service": {[]string{"--nkey", "service=" + key}, fault.UsageError, "the name being that of"},
		"no key":           {[]string{"--reader", "x:AA", "--nkey", "x=SUAB"}, fault.InvalidConfig, "no public nkey"},
		"no address":       {[]string{"--nats", ""}, fault.InvalidConfig, "nats.addr"},
		"any port":         {[]string{"--nats", "127.0.0.1:0"}, fault.InvalidConfig, "nats.addr"},
	} {
		if _, err := belfry(t, "", append([]string{"doctor", "nats-permissions"}, c.args...)...); fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v (%s)", name, err, fault.CodeOf(err))
		}
	}
	out, err := belfry(t, "", "doctor", "nats-permissions", "--reader", "audit:*", "--nats", ":4333")
	if err != nil || !strings.Contains(out, `"listen": "0.0.0.0:4333"`) || !strings.Contains(out, `"live.>"`) {
		t.Errorf("%v\n%s", err, out)
	}
}
