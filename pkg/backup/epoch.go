package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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

// renamed is a document with the new name of its epoch; not ok if it has none, or
// one that stays.
func renamed(doc []byte, epochs map[string]string) ([]byte, bool) {
	fields := map[string]json.RawMessage{}
	var epoch string
	if json.Unmarshal(doc, &fields) != nil || json.Unmarshal(fields["epoch"], &epoch) != nil || epochs[epoch] == "" {
		return nil, false
	}
	fields["epoch"], _ = json.Marshal(epochs[epoch]) //nolint:errchkjson // a string
	body, err := json.Marshal(fields)
	return body, err == nil
}
