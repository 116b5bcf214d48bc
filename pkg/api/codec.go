package api

import (
	"fmt"
	"mime"
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/belfry-events/belfry/pkg/fault"
)

// codec is a connect.Codec for messages.
type codec interface {
	Name() string
	Marshal(any) ([]byte, error)
	Unmarshal([]byte, any) error
}

// JSON is the JSON of our APIs, a connect.Codec named "json"; a Connect client in
// Go takes it with connect.WithCodec(api.JSON{}). It is protobuf's JSON mapping
// with these rules:
//
//   - Written: every field, zeros, empty lists and false included, under its
//     lower camel case name and in the contract's order. Only a field that can be
//     absent (optional, a message, a oneof) is left out when it is.
//   - A message whose only field is `bytes json = 1`, such as an Event, is that
//     JSON itself, spliced in byte for byte.
//   - Read: a name that the message does not have is refused, naming it; so is a
//     name that comes twice. null is absent. An empty body is an empty message.
//   - int32 is a number, also read from text. There are no 64-bit fields.
//
// Errors of Unmarshal have code invalid_request and name the field by its path,
// events[3].
type JSON struct{ fold bool }

// foldedJSON reads names ignoring case, as plain routes do.
var foldedJSON = JSON{fold: true}

// Name implements connect.Codec.
func (JSON) Name() string { return "json" }

// Marshal implements connect.Codec.
func (JSON) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", v)
	}
	return appendMessage(nil, m.ProtoReflect())
}

// Unmarshal implements connect.Codec.
func (j JSON) Unmarshal(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", v)
	}
	return parseMessage(b, m.ProtoReflect(), j.fold)
}

// binary is protobuf's own encoding.
type binary struct{}

func (binary) Name() string { return "proto" }

func (binary) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", v)
	}
	return proto.Marshal(m)
}

// Unmarshal ignores fields it does not know, as protobuf does: a newer client may
// send them.
func (binary) Unmarshal(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", v)
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return fault.Wrap(fault.InvalidRequest, err, "body: is not a protobuf %s", m.ProtoReflect().Descriptor().Name()).With("field", "body")
	}
	return nil
}

// codecFor is the codec of a media type, JSON if there is none. Code
// unsupported_content_type.
func codecFor(contentType string) (codec, error) {
	if contentType == "" || contentType == "application/json" { // as nearly everybody writes it
		return JSON{}, nil
	}
	t, params, err := mime.ParseMediaType(contentType)
	if charset := params["charset"]; err == nil && (charset == "" || strings.EqualFold(charset, "utf-8")) {
		switch t {
		case "application/json":
			return JSON{}, nil
		case "application/proto", "application/protobuf", "application/x-protobuf":
			return binary{}, nil
		}
	}
	return nil, fault.Field(fault.UnsupportedContentType, "content-type", "%.64q is not application/json or application/proto", contentType)
}

// uncoded refuses a body in a coding, such as gzip: a plain route's are not decoded, so
// that a limit is one of bytes that were sent. Code unsupported_content_type.
func uncoded(h http.Header) error {
	if c := h.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		return fault.Field(fault.UnsupportedContentType, "content-encoding", "%.64q is not taken here; send the body as it is", c)
	}
	return nil
}

// raw is a message of whatever type as Connect sees it: its bytes. Decoding is
// left to the chain, so that its errors are ours.
type raw struct{ data []byte }

// rawCodec is a codec of Connect that takes and gives raw.
type rawCodec struct{ codec }

func (c rawCodec) Unmarshal(b []byte, v any) error {
	r, ok := v.(*raw)
	if !ok {
		return c.codec.Unmarshal(b, v)
	}
	r.data = append([]byte(nil), b...) // Connect's buffer is used again
	return nil
}

func (c rawCodec) Marshal(v any) ([]byte, error) {
	if r, ok := v.(*raw); ok {
		return r.data, nil
	}
	return c.codec.Marshal(v) // the status of a gRPC error
}

// wellKnown says that a message has a JSON of its own in protobuf's mapping:
// timestamps, durations, structs.
func wellKnown(d protoreflect.MessageDescriptor) bool {
	return d.ParentFile().Package() == "google.protobuf"
}

// spliced is the field of a message that is raw JSON, nil if it is none.
func spliced(d protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	if d.Fields().Len() != 1 {
		return nil
	}
	f := d.Fields().Get(0)
	if f.Kind() != protoreflect.BytesKind || f.Name() != "json" || f.Number() != 1 || f.IsList() {
		return nil
	}
	return f
}

// wellKnownJSON writes and reads those.
var (
	writeWellKnown = protojson.MarshalOptions{}
	readWellKnown  = protojson.UnmarshalOptions{}
)
