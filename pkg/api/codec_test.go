package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/fault"
	eventv1 "github.com/belfry-events/belfry/proto/belfry/event/v1"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
	realtimev1 "github.com/belfry-events/belfry/proto/belfry/realtime/v1"
)

// What is written: zeros and empty lists, absent what can be absent, events as
// they came.
func TestJSONWrites(t *testing.T) {
	t.Parallel()
	odd := `{"specversion":"1.0" , "n":12345678901234567890,"html":"<b>","x":1.10}`
	for want, m := range map[string]proto.Message{
		`{"id":"","cursor":"","duplicate":false}`:                                                  &gatewayv1.Receipt{},
		`{"events":[],"cursor":"k-1","more":false}`:                                                &gatewayv1.ReadEventsResponse{Cursor: "k-1"},
		`{"after":"","tenant":"","topic":["a","\u003cb\"\u003e\n"],"verb":[],"name":[],"limit":0}`: &gatewayv1.ReadEventsRequest{Topic: []string{"a", "<b\">\n"}, Limit: proto.Int32(0)},
		`{"after":"","tenant":"","topic":[],"verb":[],"name":[]}`:                                  &gatewayv1.ReadEventsRequest{},
		`{"cursor":"c","event":` + odd + `}`:                                                       &gatewayv1.LogEvent{Cursor: "c", Event: &eventv1.Event{Json: []byte(odd)}},
		`{"code":"x","message":"","details":{"a":"1","b":"2"}}`:                                    &gatewayv1.Error{Code: "x", Details: map[string]string{"b": "2", "a": "1"}},
		`{"connection":"","epoch":"","pingSeconds":25,"maxFrameBytes":0}`:                          &gatewayv1.Welcome{PingSeconds: 25},
	} {
		b, err := api.JSON{}.Marshal(m)
		if err != nil || string(b) != want {
			t.Errorf("%s %v\nwant %s", b, err, want)
		}
	}
	if _, err := (api.JSON{}).Marshal(&eventv1.Event{}); err == nil {
		t.Error("an event without JSON cannot be written")
	}
}

func TestJSONReads(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]proto.Message{
		``: &gatewayv1.ReadEventsRequest{},
		` {"after":"c","topic":["a","b"],"limit":"7","tenant":null} `: &gatewayv1.ReadEventsRequest{After: "c", Topic: []string{"a", "b"}, Limit: proto.Int32(7)},
		`{"limit":1e2}`:                         &gatewayv1.ReadEventsRequest{Limit: proto.Int32(100)},
		`{"pingSeconds":4294967295}`:            &gatewayv1.Welcome{PingSeconds: 1<<32 - 1},
		`{"ping_seconds":1}`:                    &gatewayv1.Welcome{PingSeconds: 1},
		`{"events":[{"a" : 1.0},{}]}`:           &gatewayv1.PublishRequest{Events: []*eventv1.Event{{Json: []byte(`{"a" : 1.0}`)}, {Json: []byte(`{}`)}}},
		`{"details":{"a":"1"},"message":"ü\n"}`: &gatewayv1.Error{Details: map[string]string{"a": "1"}, Message: "ü\n"},
	} {
		got := want.ProtoReflect().New().Interface()
		if err := (api.JSON{}).Unmarshal([]byte(body), got); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

// What is refused names the field and the rule.
func TestJSONRefuses(t *testing.T) {
	t.Parallel()
	for body, c := range map[string]struct {
		into        proto.Message
		field, text string
	}{
		`{"limits":1}`:            {&gatewayv1.ReadEventsRequest{}, "limits", "limits: is not a field of ReadEventsRequest, which has after, tenant, topic, verb, name, limit"},
		`{"AFTER":"x"}`:           {&gatewayv1.ReadEventsRequest{}, "AFTER", ""},
		`{"after":1}`:             {&gatewayv1.ReadEventsRequest{}, "after", "after: must be a string"},
		`{"limit":1.5}`:           {&gatewayv1.ReadEventsRequest{}, "limit", "limit: must be a whole number of 32 bits"},
		`{"limit":2147483648}`:    {&gatewayv1.ReadEventsRequest{}, "limit", ""},
		`{"limit":{}}`:            {&gatewayv1.ReadEventsRequest{}, "limit", ""},
		`{"topic":"a"}`:           {&gatewayv1.ReadEventsRequest{}, "topic", "topic: must be an array"},
		`{"topic":["a",2]}`:       {&gatewayv1.ReadEventsRequest{}, "topic[1]", "topic[1]: must be a string"},
		`{"after":"x","after":1}`: {&gatewayv1.ReadEventsRequest{}, "after", "after: is there twice"},
		`{"events":[1]}`:          {&gatewayv1.PublishRequest{}, "events[0]", "events[0]: must be a JSON object"},
		`{"events":[{"a":1}`:      {&gatewayv1.PublishRequest{}, "body", "body: is not valid JSON"},
		`{}{}`:                    {&gatewayv1.PublishRequest{}, "body", ""},
		`[]`:                      {&gatewayv1.PublishRequest{}, "body", "body: must be a JSON object"},
		"{\"after\":\"\xff\"}":    {&gatewayv1.ReadEventsRequest{}, "body", "body: is not UTF-8"},
		`{"pingSeconds":-1}`:      {&gatewayv1.Welcome{}, "pingSeconds", ""},
		`{"details":[]}`:          {&gatewayv1.Error{}, "details", ""},
		`{"details":{"a":1}}`:     {&gatewayv1.Error{}, "details.a", ""},
		`{"duplicate":"yes"}`:     {&gatewayv1.Receipt{}, "duplicate", "duplicate: must be true or false"},
		`{"ping":{},"resume":{}}`: {&gatewayv1.ClientFrame{}, "resume", "resume: excludes ping; send one of them"},
		`{"startTime":"now"}`:     {&realtimev1.Reminder{}, "startTime", ""},
	} {
		err := (api.JSON{}).Unmarshal([]byte(body), c.into)
		f := fault.From(err)
		if f == nil || f.Code() != fault.InvalidRequest || f.Details()["field"] != c.field || c.text != "" && f.Error() != c.text {
			t.Errorf("%s: %v %v, want field %s: %s", body, err, f.Details(), c.field, c.text)
		}
	}
}

// Whatever is read is written, and read again as the same message.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"after":"c","topic":["a","b"],"limit":7}`))
	f.Add([]byte(`{"id":"1","resume":{"cursor":"c","subscriptions":[{"tenant":"AA"}]}}`))
	f.Add([]byte(`{"events":[{"specversion":"1.0"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, m := range []proto.Message{&gatewayv1.ReadEventsRequest{}, &gatewayv1.ClientFrame{}, &gatewayv1.PublishRequest{}, &gatewayv1.Error{}} {
			if err := (api.JSON{}).Unmarshal(body, m); err != nil {
				if fault.CodeOf(err) != fault.InvalidRequest {
					t.Fatalf("%q: %v", body, err)
				}
				continue
			}
			b, err := api.JSON{}.Marshal(m)
			if err != nil {
				t.Fatalf("%q: %v", body, err)
			}
			again := m.ProtoReflect().New().Interface()
			if err := (api.JSON{}).Unmarshal(b, again); err != nil || !proto.Equal(m, again) {
				t.Fatalf("%q became %q: %v", body, b, err)
			}
		}
	})
}
