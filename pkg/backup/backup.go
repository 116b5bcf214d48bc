package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Plan is what the services keep, as far as it matters here.
type Plan struct {
	// Shared are streams that others than services write to, beside EVENTS: sources
	// of relays, and what stands alone. They may change during a backup.
	Shared []string
	// Renewed are streams whose positions leave the platform, beside EVENTS.
	Renewed []string
	// Documents are JSON in which the epoch of a stream stands: in fields "epoch", or
	// in cursors.
	Documents []Documents
}

// Documents are the last messages under a pattern of subjects.
type Documents struct{ Stream, Subject string }

// Options are for Take and Restore.
type Options struct {
	NC   *nats.Conn // with a service's rights
	Dir  string     // of the backup
	Plan Plan
	Wait time.Duration // how long Take tries again while services work
}

// Manifest is backup.json, written last.
type Manifest struct {
	Format  int       `json:"format"`
	Began   time.Time `json:"began"` // the backup is of this moment, or a little later
	Ended   time.Time `json:"ended"`
	Streams []Stream  `json:"streams"` // in the order of their names
}

// Stream is one stream of a backup.
type Stream struct {
	Name     string          `json:"name"`
	Epoch    string          `json:"epoch"`
	Messages uint64          `json:"messages"`
	Last     uint64          `json:"last"`   // sequence of the last message
	Bytes    int64           `json:"bytes"`  // of the file
	SHA256   string          `json:"sha256"` // of the file
	Config   json.RawMessage `json:"config"` // as the server has it
	State    json.RawMessage `json:"state"`
}

const (
	format       = 1
	manifestFile = "backup.json"
	partial      = ".partial" // of the directory, until all of it is there

	tryAgain = 200 * time.Millisecond
)

func snapshotFile(stream string) string { return stream + ".snapshot" }

// Take writes a backup into a directory that does not exist yet. Services that work
// only now and then are waited for. On an error nothing is left of it. Codes backup_unsteady when services worked meanwhile,
// store_not_empty when the directory exists, stream_lost when there is nothing of
// ours, unavailable.
func Take(ctx context.Context, o Options) (m Manifest, err error) {
	for end := time.Now().Add(o.Wait); ; {
		if m, err = o.take(ctx); fault.CodeOf(err) != fault.BackupUnsteady || time.Now().After(end) {
			return m, err
		}
		select {
		case <-ctx.Done():
			return m, err
		case <-time.After(tryAgain):
		}
	}
}

func (o Options) take(ctx context.Context) (m Manifest, err error) {
	if _, err := os.Stat(o.Dir); err == nil {
		return m, fault.New(fault.StoreNotEmpty, "%s exists; a backup is a directory of its own", o.Dir)
	}
	dir := o.Dir + partial
	if err := os.RemoveAll(dir); err != nil {
		return m, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return m, fault.Wrap(fault.DataDirUnwritable, err, "%s cannot be written", dir)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	m = Manifest{Format: format, Began: time.Now().UTC()}
	before, err := o.look(ctx)
	if err != nil {
		return m, err
	}
	if _, ok := before[topology.Events]; !ok {
		return m, fault.New(fault.StreamLost, "there is no stream %s to back up", topology.Events)
	}
	for _, name := range before.names() {
		s, err := o.snapshot(ctx, name, filepath.Join(dir, snapshotFile(name)))
		if err != nil {
			return m, fmt.Errorf("back up %s: %w", name, err)
		}
		m.Streams = append(m.Streams, s)
	}
	after, err := o.look(ctx)
	if err != nil {
		return m, err
	}
	if moved := before.moved(after); len(moved) > 0 {
		return m, fault.New(fault.BackupUnsteady, "services worked meanwhile: %s changed; stop mailbox, objectevent and scheduler and try again (gateways and publishers may go on)", strings.Join(moved, ", "))
	}
	m.Ended = time.Now().UTC()
	if err := writeManifest(dir, m); err != nil {
		return m, err
	}
	return m, os.Rename(dir, o.Dir)
}

// sight is what a backup looks at, by the names of our streams.
type sight map[string]string

func (o Options) look(ctx context.Context) (sight, error) {
	js, err := jetstream.New(o.NC)
	if err != nil {
		return nil, err
	}
	seen, answered := sight{}, map[string]bool{}
	list := js.ListStreams(ctx)
	for info := range list.Info() {
		c, s := info.Config, info.State
		answered[c.Name] = true
		switch {
		case c.Metadata[topology.EpochKey] == "" || c.Storage == jetstream.MemoryStorage:
		case c.Name == topology.Events:
			seen[c.Name] = c.Metadata[topology.EpochKey]
		case slices.Contains(o.Plan.Shared, c.Name):
			seen[c.Name] = c.Metadata[topology.EpochKey]
		default:
			seen[c.Name] = fmt.Sprint(c.Metadata[topology.EpochKey], s.Msgs, s.FirstSeq, s.LastSeq, s.NumDeleted)
		}
	}
	if err := list.Err(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "list the streams")
	}
	// A stream without a leader is left out of the list, and only the names tell.
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		if !answered[name] {
			return nil, fault.New(fault.Unavailable, "stream %s does not answer", name)
		}
	}
	if err := names.Err(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "list the names of the streams")
	}
	if _, ok := seen[topology.Events]; !ok {
		return seen, nil
	}
	last, err := o.lastControl(ctx)
	seen[topology.Events] += fmt.Sprint(" ", last)
	return seen, err
}

func (s sight) names() (names []string) {
	for name := range s {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// moved are the streams that are not as they were.
func (s sight) moved(now sight) (names []string) {
	for _, name := range s.names() {
		if now[name] != s[name] {
			names = append(names, name)
		}
	}
	for _, name := range now.names() {
		if _, ok := s[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

func writeManifest(dir string, m Manifest) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, manifestFile), append(b, '\n'), 0o600)
}
