package gateway

import (
	"bytes"
	"context"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
)

// session answers the frames of one plain WebSocket connection
// (proto/belfry/gateway/v1/frames.proto). It belongs to the reading goroutine,
// so frames are answered in the order they came.
type session struct {
	s    *Service
	c    *connection
	ctx  context.Context // the gateway's: one for each connection would lie there for as long as that is open
	pace pace
	// resuming is closed when the catch-up in progress has ended; giveUp ends it.
	resuming chan struct{}
	giveUp   context.CancelFunc
}

// end ends what the session still does in the background.
func (n *session) end() {
	if n.resuming != nil {
		n.giveUp()
		n.settle()
	}
}

func (n *session) welcome() {
	n.send(&gatewayv1.ServerFrame{Frame: &gatewayv1.ServerFrame_Welcome{Welcome: &gatewayv1.Welcome{
		Connection:    n.c.id,
		Epoch:         *n.s.feed.epoch.Load(),
		PingSeconds:   uint32(n.s.config.PingEvery / time.Second),
		MaxFrameBytes: uint32(n.s.config.MaxFrameBytes),
	}}})
}

// send queues one frame, waiting while the client reads too slowly: who does not
// read answers is not read from.
func (n *session) send(f *gatewayv1.ServerFrame) {
	if it := n.encode(f); it != nil {
		_ = n.c.push(n.ctx, it) // an error says that the connection is closed: nobody to tell
	}
}

// answer queues one frame without waiting.
func (n *session) answer(f *gatewayv1.ServerFrame) {
	if it := n.encode(f); it != nil {
		n.c.answer(it)
	}
}

func (n *session) encode(f *gatewayv1.ServerFrame) *item {
	b, err := protojson.Marshal(f)
	if err != nil { // every text in it came from JSON or from us, so it is UTF-8
		n.c.shut(fault.Internal)
		return nil
	}
	return &item{body: append(b, '\n')}
}

func (n *session) refuse(id string, err error) {
	e := fault.From(err)
	if e.Code().Kind() == fault.Ours {
		n.s.out.Error("frame failed", "connection", n.c.id, "err", err.Error(), "cause", unwrapText(e))
	}
	n.send(&gatewayv1.ServerFrame{Id: id, Frame: &gatewayv1.ServerFrame_Error{Error: &gatewayv1.Error{
		Code: string(e.Code()), Message: e.Error(), Details: e.Details(),
	}}})
}

func unwrapText(e *fault.Error) string {
	if cause := e.Unwrap(); cause != nil {
		return cause.Error()
	}
	return ""
}

// message handles the frames of one WebSocket message.
func (n *session) message(text []byte) {
	now := time.Now()
	if len(bytes.TrimSpace(text)) == 0 {
		n.count(now)
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if !n.count(now) {
			return
		}
		n.frame(line)
	}
}

// count counts one frame: a line, an empty message, a ping or a pong. A client that
// sends too many is closed.
func (n *session) count(now time.Time) bool {
	if n.pace.allow(now) {
		return true
	}
	if !n.c.isClosing() {
		n.s.stats.limited(limitFrames, n.c.principal)
		n.s.record(n.ctx, n.c, api.Entry{What: "frame", Code: fault.RateLimited})
		n.c.shut(fault.RateLimited)
	}
	return false
}

func (n *session) frame(line []byte) {
	if !utf8.Valid(line) { // RFC 6455 §8.1; the library leaves it to us
		n.refuse("", fault.New(fault.InvalidFrame, "not a client frame: it is not valid UTF-8"))
		return
	}
	var f gatewayv1.ClientFrame
	// Unknown fields are refused: a misspelt filter would subscribe to everything.
	if err := protojson.Unmarshal(line, &f); err != nil {
		n.refuse("", fault.Wrap(fault.InvalidFrame, err, "not a client frame: %s", publicText(err)))
		return
	}
	var reply *gatewayv1.ServerFrame
	var err error
	switch body := f.GetFrame().(type) {
	case *gatewayv1.ClientFrame_Subscribe:
		err = n.subscribe(f.GetId(), body.Subscribe)
	case *gatewayv1.ClientFrame_Unsubscribe:
		reply, err = n.unsubscribe(body.Unsubscribe)
	case *gatewayv1.ClientFrame_Resume:
		err = n.resume(f.GetId(), body.Resume)
	case *gatewayv1.ClientFrame_Token:
		reply, err = n.renew(body.Token)
	case *gatewayv1.ClientFrame_Narrow:
		reply, err = n.narrow(body.Narrow)
	case *gatewayv1.ClientFrame_Ping:
		reply = &gatewayv1.ServerFrame{Frame: &gatewayv1.ServerFrame_Pong{Pong: &gatewayv1.Pong{}}}
	default:
		err = fault.New(fault.InvalidFrame, "a frame needs one of subscribe, unsubscribe, resume, narrow, ping, token")
	}
	switch {
	case err != nil:
		n.refuse(f.GetId(), err)
	case reply != nil:
		reply.Id = f.GetId()
		n.send(reply)
	}
}

// publicText is a parser's complaint without its prefix, which varies on purpose.
func publicText(err error) string {
	text := err.Error()
	for _, prefix := range []string{"proto:\u00a0", "proto: "} {
		if len(text) > len(prefix) && text[:len(prefix)] == prefix {
			text = text[len(prefix):]
		}
	}
	return text
}

func (n *session) filter(sub *gatewayv1.Subscription) (filter, []key, error) {
	f, err := newFilter(sub.GetTenant(), sub.GetTopic(), sub.GetVerb(), sub.GetName())
	if err != nil {
		return f, nil, err
	}
	keys, err := f.keys(n.c.principal)
	if err != nil {
		n.s.record(n.ctx, n.c, api.Entry{What: "subscribe", Tenant: sub.GetTenant(), Code: fault.CodeOf(err)})
	}
	return f, keys, err
}

func (n *session) subscribe(id string, sub *gatewayv1.Subscription) error {
	n.settle()
	f, keys, err := n.filter(sub)
	if err != nil {
		return err
	}
	return n.s.subscribe(n.ctx, n.c, map[filter][]key{f: keys}, func(from event.Cursor) {
		n.answer(&gatewayv1.ServerFrame{Id: id, Frame: &gatewayv1.ServerFrame_Subscribed{
			Subscribed: &gatewayv1.Subscribed{Cursor: from.String()},
		}})
	})
}

func (n *session) unsubscribe(sub *gatewayv1.Subscription) (*gatewayv1.ServerFrame, error) {
	n.settle()
	f, err := newFilter(sub.GetTenant(), sub.GetTopic(), sub.GetVerb(), sub.GetName())
	if err != nil {
		return nil, err
	}
	n.s.feed.release(n.s.hub.unsubscribe(n.c, f)...)
	return &gatewayv1.ServerFrame{Frame: &gatewayv1.ServerFrame_Unsubscribed{Unsubscribed: &gatewayv1.Unsubscribed{}}}, nil
}

// resume checks everything before it changes anything: a refused resume leaves
// the subscriptions as they were. The answer comes first, then what was missed;
// reading the log goes on in the background, so that pings are answered.
func (n *session) resume(id string, r *gatewayv1.Resume) error {
	n.settle()
	cursor, err := event.ParseCursor(r.GetCursor())
	if err != nil {
		return err
	}
	if len(r.GetSubscriptions()) == 0 {
		return fault.Field(fault.InvalidRequest, "subscriptions", "must not be empty")
	}
	want := map[filter][]key{}
	for _, sub := range r.GetSubscriptions() {
		f, keys, err := n.filter(sub)
		if err != nil {
			return err
		}
		want[f] = keys
	}
	ctx, giveUp := context.WithCancel(n.ctx)
	n.resuming, err = n.s.startResume(ctx, n.c, resumption{cursor: cursor, want: want}, func() {
		n.send(&gatewayv1.ServerFrame{Id: id, Frame: &gatewayv1.ServerFrame_Resumed{Resumed: &gatewayv1.Resumed{Cursor: cursor.String()}}})
	})
	if n.giveUp = giveUp; n.resuming == nil {
		giveUp()
	}
	return err
}

// settle waits for a catch-up in progress: changing subscriptions in its middle
// would leave no position that the answer could name.
func (n *session) settle() {
	if n.resuming == nil {
		return
	}
	<-n.resuming // ends with the connection, too
	n.giveUp()
	n.resuming, n.giveUp = nil, nil
}
