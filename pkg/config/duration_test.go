package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/fault"
)

// A command's own flag takes what a setting takes, and says so.
func TestDurationVar(t *testing.T) {
	t.Parallel()
	var d time.Duration
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.DurationVar(fs, &d, "ttl", time.Hour, "how long")
	if d != time.Hour || !strings.Contains(fs.FlagUsages(), "--ttl duration   how long (default 1h)") {
		t.Errorf("%s:\n%s", d, fs.FlagUsages())
	}
	for text, want := range map[string]time.Duration{"30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "0": 0, "-1s": -time.Second, "250ms": 250 * time.Millisecond} {
		if err := fs.Set("ttl", text); err != nil || d != want {
			t.Errorf("%s: %s, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "5", "soon", "3 weeks", "d"} {
		if err := fs.Set("ttl", text); err == nil || !strings.Contains(err.Error(), "is not a duration such as 30s, 10m, 1h30m or 14d") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestBetween(t *testing.T) {
	t.Parallel()
	if err := config.Between("a", 1, 1, 1); err != nil {
		t.Error(err)
	}
	for want, err := range map[string]error{
		"a.n: 0 is outside 1 to 3":        config.Between("a.n", 0, 1, 3),
		"a.d: 30d is outside 1s to 1h30m": config.Between("a.d", 720*time.Hour, time.Second, 90*time.Minute),
		"a.d: 0s is outside 100ms to 14d": config.Between("a.d", 0, 100*time.Millisecond, 14*24*time.Hour),
	} {
		if fault.CodeOf(err) != fault.InvalidConfig || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
