package event

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/subject"
)

// Msg is the event as a NATS message in binary mode: subject evt.…, every
// attribute in a ce-* header, data as body, and the message id by which
// JetStream drops a repetition. It refuses what Validate refuses.
func (e *Event) Msg() (*nats.Msg, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	subj, err := subject.Event(subject.Address{Tenant: e.Tenant, Topic: e.Topic, Verb: e.Verb})
	if err != nil {
		return nil, err
	}
	h := e.Header()
	h[nats.MsgIdHdr] = []string{e.messageID()}
	return &nats.Msg{Subject: subj, Header: h, Data: e.Data}, nil
}

// messageID is <tenant>/<source>/<id>. A slash inside tenant or id is encoded,
// so that source "/a" with id "b/c" is not taken for source "/a/b" with id "c".
func (e *Event) messageID() string {
	return subject.MessageID(encodeValue(e.Tenant, '/'), encodeValue(e.Source, 0), encodeValue(e.ID, '/'))
}

// Header is the event's attributes as ce-* headers of NATS (binding 1.0.3-wip,
// binary mode), percent-encoded. It checks nothing.
func (e *Event) Header() nats.Header {
	h := make(nats.Header, 12+len(e.Extensions))
	// One array behind all values instead of one each.
	values := make([]string, 0, 2+len(attributes)+len(e.Extensions))
	put := func(key, value string) {
		values = append(values, value)
		h[key] = values[len(values)-1 : len(values) : len(values)]
	}
	put(versionHeader, specVersion)
	for i := range attributes {
		if s, ok := attributes[i].canonical(e); ok {
			put(attributes[i].header, encodeValue(s, 0))
		}
	}
	for ext, value := range e.Extensions {
		if s, ok := extensionText(value); ok {
			put(headerPrefix+ext, encodeValue(s, 0))
		}
	}
	return h
}

// extensionText is the canonical text of an extension's value; headers carry no types.
func extensionText(value any) (s string, ok bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int32:
		return strconv.Itoa(int(v)), true
	}
	return "", false
}

// StoredOf reads the position that the server writes into a republished or
// directly read message (Nats-Sequence, Nats-Time-Stamp); zero if there is
// none. A publisher may have sent such headers itself, and the server's come
// behind them, so the last value counts.
func StoredOf(h nats.Header, epoch string) Stored {
	seq, err := strconv.ParseUint(Last(h, "Nats-Sequence"), 10, 64)
	if err != nil {
		return Stored{}
	}
	at, err := time.Parse(time.RFC3339Nano, Last(h, "Nats-Time-Stamp"))
	if err != nil {
		return Stored{}
	}
	return Stored{Cursor: Cursor{Epoch: epoch, Seq: seq}, Time: at}
}

// Last is the value of a header that counts where there are several: the server
// adds its own behind those of a publisher, who may have sent the same name.
func Last(h nats.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}
