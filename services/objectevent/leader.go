package objectevent

import (
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/stream"
)

// storedIn reads a stream in its leader's word: the client library would ask any
// replica, where the stream allows that. Code unavailable.
func storedIn(nc *nats.Conn, name string) stream.Stream {
	return stream.Stream{Caller: stream.Conn{NC: nc, Within: storeTimeout}, Name: name, Down: func(_ string, err error) error {
		if refused, ok := errors.AsType[*jetstream.APIError](err); ok {
			return fault.Wrap(fault.Unavailable, refused, "the store refused to answer")
		}
		return storeDown(err)
	}}
}
