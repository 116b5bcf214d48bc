package topology

import (
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Report is what Ensure found and did. Names are those of streams ("EVENTS";
// bucket b is "KV_b") and of consumers behind their stream ("EVENTS/relay").
type Report struct {
	Created []string          // was missing
	Updated []Change          // differed, and is now as it should be
	Drifted []Change          // differs, and JetStream does not let it be changed
	Newer   []string          // shaped by a newer version; left as it is
	Epochs  map[string]string // stream → epoch, of all streams that are kept on disk
}

// Change is one stream or consumer and the settings that differed, by the names
// they have in JetStream's JSON ("max_age"), sorted.
type Change struct {
	Name   string
	Fields []string
}

// Clean says that everything is as this version wants it.
func (r Report) Clean() bool { return len(r.Drifted) == 0 && len(r.Newer) == 0 }

func (e *ensurer) created(name string) {
	e.report.Created = append(e.report.Created, name)
	e.o.Log.Info("created in jetstream", "name", name)
}

func (e *ensurer) updated(name string, fields []string) {
	if len(fields) > 0 {
		e.report.Updated = append(e.report.Updated, Change{name, fields})
		e.o.Log.Info("updated in jetstream", "name", name, "fields", fields)
	}
}

func (e *ensurer) drifted(name string, fields []string) {
	if len(fields) > 0 {
		e.report.Drifted = append(e.report.Drifted, Change{name, fields})
		e.o.Log.Warn("differs in jetstream and cannot be changed", "name", name, "fields", fields)
	}
}

func (e *ensurer) newer(c jetstream.StreamConfig) {
	e.report.Newer = append(e.report.Newer, c.Name)
	e.o.Log.Warn("a newer version shaped this stream, it is left as it is",
		"name", c.Name, "theirs", version(c.Metadata), "ours", Version)
}

// left says whether a stream belongs to a newer version.
func (e *ensurer) left(stream string) bool { return slices.Contains(e.report.Newer, stream) }
