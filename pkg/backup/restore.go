package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Read is the manifest of a backup, after every file was compared with its sum.
// Code backup_damaged.
func Read(dir string) (m Manifest, err error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return m, fault.Wrap(fault.BackupDamaged, err, "%s is no backup: %s cannot be read", dir, manifestFile)
	}
	if err := json.Unmarshal(b, &m); err != nil || m.Format != format {
		return m, fault.Wrap(fault.BackupDamaged, err, "%s is not of a format this program knows", manifestFile)
	}
	for _, s := range m.Streams {
		sum, err := sumOf(filepath.Join(dir, snapshotFile(s.Name)))
		if err != nil {
			return m, fault.Wrap(fault.BackupDamaged, err, "%s cannot be read", snapshotFile(s.Name))
		}
		if sum != s.SHA256 {
			return m, fault.New(fault.BackupDamaged, "%s is not as it was written", snapshotFile(s.Name))
		}
	}
	return m, nil
}

func sumOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Restore puts a backup into a server that has none of our streams; no service may
// run. replicas is how many copies of each stream there shall be, 0 = as before. On
// an error what was restored is removed. Codes backup_damaged, store_not_empty,
// unavailable.
func Restore(ctx context.Context, o Options, replicas int) (m Manifest, err error) {
	if m, err = Read(o.Dir); err != nil {
		return m, err
	}
	js, err := jetstream.New(o.NC)
	if err != nil {
		return m, err
	}
	have, err := o.look(ctx)
	if err != nil {
		return m, err
	}
	if names := have.names(); len(names) > 0 {
		return m, fault.New(fault.StoreNotEmpty, "stream %s exists; restore into a server without Belfry's streams, before the services start", names[0])
	}
	var done []string
	defer func() {
		if err == nil {
			return
		}
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), stalledAfter)
		defer cancel()
		for _, name := range slices.Backward(done) {
			if gone := js.DeleteStream(undo, name); gone != nil && !errors.Is(gone, jetstream.ErrStreamNotFound) {
				err = fmt.Errorf("%w (and stream %s is left over: %w)", err, name, gone)
			}
		}
	}()

	epochs := map[string]string{} // old → new
	for _, s := range m.Streams {
		if s.Name == topology.Events || slices.Contains(o.Plan.Renewed, s.Name) {
			epochs[s.Epoch] = topology.NewEpoch()
		}
	}
	streams := inOrder(m.Streams)
	for _, s := range streams {
		if s.Name == topology.Events {
			if err := o.rename(ctx, js, done, epochs); err != nil {
				return m, err
			}
		}
		done = append(done, s.Name)
		if err := o.restore(ctx, js, s, epochs[s.Epoch], replicas); err != nil {
			return m, fmt.Errorf("restore %s: %w", s.Name, err)
		}
	}
	return m, o.rename(ctx, js, []string{topology.Events}, epochs)
}

// inOrder puts the memory of the streams first and EVENTS last: see the package
// comment.
func inOrder(streams []Stream) []Stream {
	rank := func(s Stream) int {
		switch s.Name {
		case topology.Memory:
			return 0
		case topology.Events:
			return 2
		}
		return 1
	}
	streams = slices.Clone(streams)
	slices.SortStableFunc(streams, func(a, b Stream) int { return rank(a) - rank(b) })
	return streams
}

// restore sends one stream to the server, in pieces that are each answered: an
// empty answer is for the next one, a text is a refusal. After an empty piece the
// answer is the stream.
func (o Options) restore(ctx context.Context, js jetstream.JetStream, s Stream, epoch string, replicas int) error {
	config, err := s.reshaped(epoch, replicas)
	if err != nil {
		return err
	}
	var to struct {
		Subject string `json:"deliver_subject"`
	}
	if err := o.call(ctx, api("STREAM.RESTORE.", s.Name), map[string]any{"config": config, "state": s.State}, &to); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(o.Dir, snapshotFile(s.Name)))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := o.send(ctx, to.Subject, f); err != nil {
		return err
	}
	return awaitStream(ctx, js, s)
}

func (o Options) send(ctx context.Context, to string, r io.Reader) error {
	piece := make([]byte, chunkBytes)
	for {
		n, err := io.ReadFull(r, piece)
		if n > 0 {
			if err := o.sendPiece(ctx, to, piece[:n], stalledAfter); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return o.sendPiece(ctx, to, nil, answerWithin)
		case err != nil:
			return err
		}
	}
}

func (o Options) sendPiece(ctx context.Context, to string, piece []byte, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	m, err := o.NC.RequestWithContext(ctx, to, piece)
	switch {
	case err != nil:
		return fault.Wrap(fault.Unavailable, err, "the server does not take the next piece")
	case len(m.Data) == 0:
		return nil
	}
	return answer(m.Data, &struct{}{})
}

// reshaped is the configuration with a new epoch and another number of replicas, all
// else as the server wrote it, also what this program does not know.
func (s *Stream) reshaped(epoch string, replicas int) (map[string]any, error) {
	config := map[string]any{}
	if err := json.Unmarshal(s.Config, &config); err != nil {
		return nil, fault.Wrap(fault.BackupDamaged, err, "the configuration of %s", s.Name)
	}
	if replicas > 0 {
		config["num_replicas"] = replicas
	}
	if metadata, ok := config["metadata"].(map[string]any); ok && epoch != "" {
		metadata[topology.EpochKey] = epoch
	}
	return config, nil
}

// awaitStream waits until a stream serves, and looks whether it is what was saved:
// it may be longer (what was scheduled goes on), never shorter.
func awaitStream(ctx context.Context, js jetstream.JetStream, s Stream) error {
	ctx, cancel := context.WithTimeout(ctx, stalledAfter)
	defer cancel()
	for {
		stream, err := js.Stream(ctx, s.Name)
		switch {
		case err == nil && stream.CachedInfo().State.LastSeq < s.Last:
			return fault.New(fault.BackupDamaged, "it ends at %d instead of %d", stream.CachedInfo().State.LastSeq, s.Last)
		case err == nil:
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(fault.Unavailable, err, "it does not serve")
		case <-time.After(100 * time.Millisecond):
		}
	}
}
