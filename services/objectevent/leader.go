package objectevent

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
)

// leaderMessage is a message of a stream as its leader has it.
type leaderMessage struct {
	Subject string `json:"subject"`
	Seq     uint64 `json:"seq"`
	Header  []byte `json:"hdrs"`
	Data    []byte `json:"data"`
}

// lastMessage is a stream's newest message under a subject, which may be a filter, in
// its leader's word: the client library would ask any replica, where the stream allows
// that. nil: there is none. Code unavailable.
func lastMessage(ctx context.Context, nc *nats.Conn, stream, subj string) (*leaderMessage, error) {
	request, err := json.Marshal(map[string]string{"last_by_subj": subj})
	if err != nil {
		return nil, fmt.Errorf("ask stream %s: %w", stream, err)
	}
	reply, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, request)
	if err != nil {
		return nil, storeDown(err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message leaderMessage       `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("read the answer of stream %s: %w", stream, err)
	}
	switch {
	case answer.Error == nil:
		return &answer.Message, nil
	case answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	}
	return nil, fault.Wrap(fault.Unavailable, answer.Error, "the store refused to answer")
}

// lastHeader is the header of lastMessage; nil: there is none. Code unavailable.
func lastHeader(ctx context.Context, nc *nats.Conn, stream, subj string) (nats.Header, error) {
	m, err := lastMessage(ctx, nc, stream, subj)
	if err != nil || m == nil {
		return nil, err
	}
	return nats.DecodeHeadersMsg(m.Header)
}
