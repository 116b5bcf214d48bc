package realtime

import (
	"bytes"
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	realtimev1 "github.com/belfry-events/belfry/proto/belfry/realtime/v1"
)

// payloads is the one table of codes and the messages that are their payloads, in
// the order of the contract.
var payloads = []struct {
	code  realtimev1.Code
	empty proto.Message
}{
	{realtimev1.Code_CM_REMINDER, &realtimev1.Reminder{}},
	{realtimev1.Code_MAIL, &realtimev1.Mail{}},
	{realtimev1.Code_VOIP, &realtimev1.IncomingCall{}},
	{realtimev1.Code_SHUTDOWN, &realtimev1.Shutdown{}},
	{realtimev1.Code_SYS_MSG, &realtimev1.SystemMessage{}},
	{realtimev1.Code_PERF, &realtimev1.Performance{}},
	{realtimev1.Code_NOT, &realtimev1.SocialNotification{}},
	{realtimev1.Code_WRN, &realtimev1.Warning{}},
}

// Codes are the types of real-time events, in the order of the contract.
func Codes() []string {
	codes := make([]string, len(payloads))
	for i, p := range payloads {
		codes[i] = p.code.String()
	}
	return codes
}

// Code is a code in its own spelling; they are compared ignoring case. Code
// unknown_name, listing them.
func Code(name string) (string, error) {
	for _, p := range payloads {
		if code := p.code.String(); strings.EqualFold(code, name) {
			return code, nil
		}
	}
	return "", fault.Field(fault.UnknownName, "code", "%.64q is not the code of a real-time event; they are %s", name, strings.Join(Codes(), ", "))
}

// Payload is an empty payload of a code. Code unknown_name.
func Payload(code string) (proto.Message, error) {
	code, err := Code(code)
	if err != nil {
		return nil, err
	}
	for _, p := range payloads {
		if p.code.String() == code {
			return p.empty.ProtoReflect().New().Interface(), nil
		}
	}
	return nil, fault.New(fault.Internal, "code %s has no payload", code)
}

// Event is the event with this payload: its type is the payload's code, its data
// the payload as protobuf JSON. Code invalid_event for a message that is no
// payload, or has text that is not UTF-8.
func Event(payload proto.Message) (event.Event, error) {
	for _, p := range payloads {
		if p.empty.ProtoReflect().Descriptor() != payload.ProtoReflect().Descriptor() {
			continue
		}
		loose, err := protojson.Marshal(payload)
		if err != nil {
			return event.Event{}, fault.Wrap(fault.InvalidEvent, err, "data: %s", plain(err))
		}
		var data bytes.Buffer
		if err := json.Compact(&data, loose); err != nil { // protojson varies its spaces on purpose
			return event.Event{}, fault.Wrap(fault.Internal, err, "the payload is not JSON")
		}
		return event.Event{Type: p.code.String(), DataContentType: "application/json", Data: data.Bytes()}, nil
	}
	return event.Event{}, fault.Field(fault.InvalidEvent, "data", "a %s is not the payload of a real-time event", payload.ProtoReflect().Descriptor().Name())
}

// Check holds data against the payload of a code. No data is an empty payload.
// Codes unknown_name; invalid_event, naming the field.
func Check(code string, data []byte) error {
	into, err := Payload(code)
	if err != nil || len(data) == 0 {
		return err
	}
	if err := protojson.Unmarshal(data, into); err != nil {
		return fault.Field(fault.InvalidEvent, "data", "is not a payload of %s, which has %s: %s", code, fields(into), plain(err))
	}
	return nil
}

// fields lists the members a payload may have.
func fields(m proto.Message) string {
	all := m.ProtoReflect().Descriptor().Fields()
	names := make([]string, all.Len())
	for i := range names {
		var f protoreflect.FieldDescriptor = all.Get(i)
		names[i] = f.JSONName()
	}
	return strings.Join(names, ", ")
}

// plain is a parser's complaint without its prefix, which varies on purpose, and
// not longer than a line.
func plain(err error) string {
	text := err.Error()
	for _, prefix := range []string{"proto:\u00a0", "proto: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return strings.ToValidUTF8(text[:min(len(text), 160)], "")
}
