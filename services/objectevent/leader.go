package objectevent

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
)

// lastHeader is the header of a stream's newest message under a subject, in its
// leader's word: the client library would ask any replica, where the stream allows
// that. nil: there is none. Code unavailable.
func lastHeader(ctx context.Context, nc *nats.Conn, stream, subj string) (nats.Header, error) {
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
		Message struct {
			Header []byte `json:"hdrs"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("read the answer of stream %s: %w", stream, err)
	}
	switch {
	case answer.Error == nil:
		return nats.DecodeHeadersMsg(answer.Message.Header)
	case answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	}
	return nil, fault.Wrap(fault.Unavailable, answer.Error, "the store refused to answer")
}
