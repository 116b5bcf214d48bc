package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// rename gives the documents that lie in these streams the new epochs. A document
// of an epoch that stays is left alone.
func (o Options) rename(ctx context.Context, js jetstream.JetStream, streams []string, epochs map[string]string) error {
	for _, d := range o.Plan.Documents {
		if !slices.Contains(streams, d.Stream) {
			continue
		}
		if err := renameIn(ctx, js, d, epochs); err != nil {
			return fmt.Errorf("renew the epochs in %s of %s: %w", d.Subject, d.Stream, err)
		}
	}
	return nil
}

func renameIn(ctx context.Context, js jetstream.JetStream, d Documents, epochs map[string]string) error {
	stream, err := js.Stream(ctx, d.Stream)
	if err != nil {
		return err
	}
	end := stream.CachedInfo().State.LastSeq // what is behind it, we have written
	for seq := uint64(1); ; {
		m, err := stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(d.Subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence > end {
			return nil
		}
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "read")
		}
		seq = m.Sequence + 1
		body, ok := renamed(m.Data, epochs)
		if !ok {
			continue
		}
		header := nats.Header{}
		if ttl := m.Header.Get(jetstream.MsgTTLHeader); ttl != "" {
			header.Set(jetstream.MsgTTLHeader, ttl)
		}
		if stream.CachedInfo().Config.AllowRollup {
			header.Set(nats.MsgRollup, nats.MsgRollupSubject)
		}
		_, err = js.PublishMsg(ctx, &nats.Msg{Subject: m.Subject, Header: header, Data: body}, jetstream.WithExpectLastSequencePerSubject(m.Sequence))
		if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
			continue // not the last under its subject: nobody reads it any more
		}
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "write")
		}
	}
}

// renamed is a document with the new names of its epochs, wherever they are: in the
// fields "epoch", and in cursors. Not ok if it has none, or only such that stay.
func renamed(doc []byte, epochs map[string]string) ([]byte, bool) {
	var value any
	numbers := json.NewDecoder(bytes.NewReader(doc))
	numbers.UseNumber() // sequences are larger than a float keeps
	if numbers.Decode(&value) != nil {
		return nil, false
	}
	now, changed := walk("", value, epochs)
	if !changed {
		return nil, false
	}
	body, err := json.Marshal(now)
	return body, err == nil
}

func walk(key string, value any, epochs map[string]string) (now any, changed bool) {
	switch v := value.(type) {
	case string:
		if to := epochs[v]; key == "epoch" && to != "" {
			return to, true
		}
		if c, err := event.ParseCursor(v); err == nil && epochs[c.Epoch] != "" {
			c.Epoch = epochs[c.Epoch]
			return c.String(), true
		}
	case map[string]any:
		for k, inner := range v {
			var did bool
			v[k], did = walk(k, inner, epochs)
			changed = changed || did
		}
	case []any:
		for i, inner := range v {
			var did bool
			v[i], did = walk("", inner, epochs)
			changed = changed || did
		}
	}
	return value, changed
}
