package process_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
)

type knobs struct {
	Size int `config:"things.max_bytes" flag:"size" usage:"how large a thing may be"`
}

func execute(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err = process.Program{Name: "things", About: "Things, on their own.", Settings: &knobs{Size: 1 << 20}}.
		Execute(t.Context(), args, &stdout, &stderr)
	return stdout.String(), err
}

func TestProgram(t *testing.T) {
	t.Parallel()
	help, err := execute(t, "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Things, on their own.", "--nats-url", "--size", "how large a thing may be (default 1MiB)"} {
		if !strings.Contains(help, want) {
			t.Errorf("--help lacks %q:\n%s", want, help)
		}
	}
	for _, hidden := range []string{"--sync", "--nats string"} {
		if strings.Contains(help, hidden) {
			t.Errorf("--help shows %q, of a server this program has not", hidden)
		}
	}
	if v, err := execute(t, "--version"); err != nil || !strings.HasPrefix(v, "things ") {
		t.Errorf("%q %v", v, err)
	}
	for _, c := range []struct {
		args []string
		code fault.Code
		says string
	}{
		{[]string{"--no-such"}, fault.UsageError, "unknown flag: --no-such; see things --help"},
		{[]string{"run"}, fault.UsageError, `unexpected argument "run"`},
		{nil, fault.InvalidConfig, "nats.url: is needed"},
		{[]string{"--size", "big"}, fault.InvalidConfig, "things.max_bytes"},
		{[]string{"--set", "things.max_byte=1"}, fault.UnknownConfigKey, "did you mean things.max_bytes?"},
		{[]string{"--log-level", "loud"}, fault.InvalidConfig, "log.level"},
	} {
		if _, err := execute(t, c.args...); fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v (%s)", c.args, err, fault.CodeOf(err))
		}
	}
}

// A service on its own carries no NATS server: its binary is a third smaller, and
// nothing in it can open a port that nobody asked for.
func TestNoServerInside(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "nats-server") {
		t.Error("pkg/process links nats-server")
	}
}
