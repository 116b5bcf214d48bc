package topology

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
)

const (
	// ensureTimeout bounds Ensure when its context does not: three nodes that
	// start together need a moment until they have leaders.
	ensureTimeout = 30 * time.Second
	firstTry      = 500 * time.Millisecond // a request from before there was a leader is never answered
	tryTimeout    = 5 * time.Second        // the longest of the tries, each twice the one before
	retryWait     = 100 * time.Millisecond
)

// JetStream error codes, where the client library has no name for them.
const (
	noSuitablePeers      jetstream.ErrorCode = 10005 // also: not all nodes of the cluster are up yet
	replicasNotSupported jetstream.ErrorCode = 10074 // more than one replica on a single server
)

// ErrTooFewServers is inside the fault when a stream shall have more replicas than
// there are servers.
var ErrTooFewServers = errors.New("more replicas than servers")

// ensurer is one run of Ensure.
type ensurer struct {
	js     jetstream.JetStream
	o      Options
	kept   jetstream.KeyValue // which streams have existed
	report Report
}

// Ensure makes what s says: creates what is missing, updates what differs,
// reports what differs and cannot be changed. Any number of processes may call
// it at once; of a stream that several create, one epoch wins. It waits for a
// cluster that is still electing, up to ctx or 30 seconds.
//
// Codes: stream_lost when a remembered stream is missing and RecreateLost is
// not set (nothing after it is touched), invalid_config for more replicas than
// servers, unavailable when JetStream does not answer.
func Ensure(ctx context.Context, js jetstream.JetStream, s Spec, o Options) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	e := &ensurer{js: js, o: o.WithDefaults(), report: Report{Epochs: map[string]string{}}}
	if err := e.openMemory(ctx); err != nil {
		return e.report, err
	}
	streams := s.Streams
	for _, b := range s.Buckets {
		streams = append(slices.Clip(streams), bucket(b))
	}
	for _, c := range streams {
		if err := e.rememberedStream(ctx, c); err != nil {
			return e.report, err
		}
	}
	for _, c := range s.Consumers {
		if err := e.consumer(ctx, c); err != nil {
			return e.report, err
		}
	}
	return e.report, nil
}

// try calls JetStream until it gives an answer that repeating would not change.
func (e *ensurer) try(ctx context.Context, what string, call func(context.Context) error) error {
	var answer error // the latest that the server gave: the last try may be cut off without one
	for wait := firstTry; ; wait = min(2*wait, tryTimeout) {
		once, cancel := context.WithTimeout(ctx, wait)
		err := call(once)
		cancel()
		if !transient(err) {
			return explain(what, err)
		}
		if _, ok := errors.AsType[*jetstream.APIError](err); ok {
			answer = err
		}
		select {
		case <-ctx.Done():
			return outOfTime(what, cmp.Or(answer, err))
		case <-time.After(retryWait):
		}
	}
}

// outOfTime is why there was no answer that counts. No peers means a cluster that is
// still coming up; after all that time, more likely one that is too small.
func outOfTime(what string, err error) error {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == noSuitablePeers {
		return fault.Wrap(fault.Unavailable, errors.Join(ErrTooFewServers, err), "%s: the cluster has fewer servers, or less room, than nats.replicas asks for", what).With("field", "replicas")
	}
	return fault.Wrap(fault.Unavailable, err, "%s: JetStream does not answer", what)
}

func transient(err error) bool {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.Code == 503 || api.ErrorCode == noSuitablePeers
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) ||
		errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrConnectionReconnecting)
}

// explain gives JetStream's refusals their code; an answer a caller branches on
// (not found, already there) passes through inside.
func explain(what string, err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &api) && api.ErrorCode == replicasNotSupported:
		return fault.Wrap(fault.InvalidConfig, errors.Join(ErrTooFewServers, err), "replicas: a single NATS server cannot keep more than one").With("field", "replicas")
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return fault.Wrap(fault.Unavailable, err, "%s: the connection is closed", what)
	}
	return fmt.Errorf("%s: %w", what, err)
}
