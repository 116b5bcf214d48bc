package process

import "runtime/debug"

// Version is the version of the build: a tag, "(devel)" plus the commit, or
// "unknown".
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) > 12 {
			return "(devel) " + s.Value[:12]
		}
	}
	return "(devel)"
}
