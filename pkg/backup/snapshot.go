package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// How a snapshot travels (nats-server, jetstream_api.go):
//
//	request $JS.API.STREAM.SNAPSHOT.<stream>  {deliver_subject, chunk_size, window_size, jsck}
//	answer  {config, state}, once all messages are checked
//	chunk … each to be acknowledged by an empty answer; its reply subject ends in <bytes>.<number>
//	chunk   the last may have no reply subject
//	end     an empty message; its status is 204 or absent if all was sent
const (
	chunkBytes  = 256 << 10
	windowBytes = 8 << 20
)

// snapshot writes one stream, with its consumers, into a file.
func (o Options) snapshot(ctx context.Context, name, file string) (Stream, error) {
	chunks, err := o.NC.SubscribeSync(o.NC.NewInbox())
	if err != nil {
		return Stream{}, err
	}
	defer func() { _ = chunks.Unsubscribe() }()
	if err := chunks.SetPendingLimits(-1, -1); err != nil { // the window bounds it
		return Stream{}, err
	}
	s := Stream{Name: name}
	if err := o.call(ctx, api("STREAM.SNAPSHOT.", name), map[string]any{
		"deliver_subject": chunks.Subject, "chunk_size": chunkBytes, "window_size": windowBytes, "jsck": true,
	}, &s); err != nil {
		return s, err
	}
	if err := s.describe(); err != nil {
		return s, err
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return s, err
	}
	sum := sha256.New()
	s.Bytes, err = receive(ctx, chunks, io.MultiWriter(out, sum))
	s.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if err == nil {
		err = out.Sync()
	}
	return s, errors.Join(err, out.Close())
}

// describe fills what a person looks for from the server's own words.
func (s *Stream) describe() error {
	var config struct {
		Metadata map[string]string `json:"metadata"`
	}
	var state jetstream.StreamState
	if err := errors.Join(json.Unmarshal(s.Config, &config), json.Unmarshal(s.State, &state)); err != nil {
		return err
	}
	s.Epoch, s.Messages, s.Last = config.Metadata[topology.EpochKey], state.Msgs, state.LastSeq
	return nil
}

// receive writes the chunks in their order; one that is missing is an error.
func receive(ctx context.Context, chunks *nats.Subscription, w io.Writer) (total int64, err error) {
	for number := 1; ; number++ {
		m, err := next(ctx, chunks)
		if err != nil {
			return total, err
		}
		if len(m.Data) == 0 {
			if status := m.Header.Get("Status"); status != "" && status != "204" {
				return total, fault.New(fault.Unavailable, "the server broke off: %s %s", status, m.Header.Get("Description"))
			}
			return total, nil
		}
		if m.Reply != "" {
			at := strings.LastIndexByte(m.Reply, '.')
			if n, err := strconv.Atoi(m.Reply[at+1:]); err != nil || n != number {
				return total, fault.New(fault.Unavailable, "piece %d of the stream is missing", number)
			}
		}
		n, err := w.Write(m.Data)
		total += int64(n)
		if err != nil {
			return total, err
		}
		if m.Reply == "" {
			continue
		}
		if err := m.Respond(nil); err != nil {
			return total, fault.Wrap(fault.Unavailable, err, "acknowledge a piece of the stream")
		}
	}
}

func next(ctx context.Context, chunks *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, stalledAfter)
	defer cancel()
	m, err := chunks.NextMsgWithContext(ctx)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the stream stalls")
	}
	return m, nil
}
