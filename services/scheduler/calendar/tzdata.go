package calendar

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// embedded is the release of the time zone data that time/tzdata of this Go
// version holds; a test compares it with the toolchain's own statement.
const embedded = "2025c"

// system are the directories that Go looks into before it takes the embedded
// data, so that an operator can answer a government's decree of next week with
// a package update (and $ZONEINFO before them).
var system = []string{"/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo"}

// ZoneData is the release of the time zone data in use, and where it is from:
// "2025c" and "embedded", or a path. Replicas with different releases may
// disagree about a day on which a rule of the clocks has just been changed.
func ZoneData() (release, source string) {
	places := system
	if own := os.Getenv("ZONEINFO"); own != "" {
		places = append([]string{own}, system...)
	}
	for _, dir := range places {
		if _, err := os.Stat(filepath.Join(dir, "Europe", "Prague")); err == nil {
			return releaseOf(dir), dir
		}
	}
	return embedded, "embedded"
}

// releaseOf reads the release as the distributions leave it behind: the first
// line of tzdata.zi ("# version 2025c"), or a file +VERSION.
func releaseOf(dir string) string {
	for _, name := range []string{"tzdata.zi", "+VERSION"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		line, _ := bufio.NewReader(f).ReadString('\n')
		_ = f.Close()
		if words := strings.Fields(line); len(words) > 0 {
			return words[len(words)-1]
		}
	}
	return "unknown"
}
