package calendar

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The release we say is embedded is the one that this Go version embeds.
func TestEmbeddedReleaseIsTheToolchains(t *testing.T) {
	t.Parallel()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "update.bash"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(script), "\nDATA="+embedded+"\n") {
		t.Errorf("this Go version embeds another release than %s", embedded)
	}
}

// What is said to be in use is what a directory says, or the embedded release.
func TestZoneDataNamesItsSource(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "Europe"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct{ name, text string }{{"Europe/Prague", ""}, {"tzdata.zi", "# version 1999z\n# more\n"}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte(f.text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("ZONEINFO", dir)
	if release, source := ZoneData(); release != "1999z" || source != dir {
		t.Errorf("%s from %s", release, source)
	}
}

// In a leap year beyond a zone's table the spans of package time overlap, and a
// walk along them must come through.
func TestWalkThroughTheWholeCalendar(t *testing.T) {
	t.Parallel()
	for _, name := range append([]string{"America/New_York", "Australia/Sydney"}, zones...) {
		l, err := Zone(name)
		if err != nil {
			t.Fatal(err)
		}
		z := zone{l}
		for s := z.at(0); s.to < horizonTo.Unix(); {
			next := z.after(s)
			if next.to <= s.to || s.later != next.offset || z.before(next).from > s.from {
				t.Fatalf("%s: %+v is followed by %+v at %s", name, s, next, time.Unix(s.to, 0).UTC())
			}
			s = next
		}
	}
}
