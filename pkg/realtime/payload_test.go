package realtime

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
	realtimev1 "github.com/belfry-events/belfry/proto/belfry/realtime/v1"
)

// Codes, payloads, views and the API's request are one list.
func TestRT1EveryCodeHasItsPayload(t *testing.T) {
	t.Parallel()
	var named []string
	for _, v := range event.Views() {
		if v.Form == event.Realtime {
			named = append(named, v.Name)
		}
	}
	if got := strings.Join(Codes(), " "); got != strings.Join(named, " ") || len(Codes()) != len(realtimev1.Code_name)-1 {
		t.Errorf("codes %s; views %v; the contract has %d", got, named, len(realtimev1.Code_name)-1)
	}
	request := (&gatewayv1.NotifyRequest{}).ProtoReflect().Descriptor()
	for _, code := range Codes() {
		payload, err := Payload(strings.ToLower(code))
		if err != nil {
			t.Fatal(err)
		}
		e, err := Event(payload)
		if err != nil || e.Type != code || string(e.Data) != "{}" {
			t.Errorf("%s: %+v, %v", code, e, err)
		}
		f := request.Fields().ByJSONName(code)
		if f == nil || f.ContainingOneof() == nil || f.Message() != payload.ProtoReflect().Descriptor() {
			t.Errorf("NotifyRequest has no payload %s of type %s", code, payload.ProtoReflect().Descriptor().Name())
		}
		if err := Check(code, []byte(`{"nosuchmember":1}`)); fault.CodeOf(err) != fault.InvalidEvent || !strings.Contains(err.Error(), "nosuchmember") {
			t.Errorf("%s: %v", code, err)
		}
	}
	if _, err := Event(durationpb.New(1)); fault.CodeOf(err) != fault.InvalidEvent {
		t.Errorf("a duration is a payload: %v", err)
	}
	if _, err := Code("MALI"); fault.CodeOf(err) != fault.UnknownName || !strings.Contains(err.Error(), "MAIL") {
		t.Errorf("MALI: %v", err)
	}
}

// What build says must agree with what was asked for.
func TestNotifyRefusesAnEventForSomebodyElse(t *testing.T) {
	t.Parallel()
	to := Recipient{"AA", "anna"}
	for field, e := range map[string]event.Event{
		"type": {Type: "NOT"}, "tenant": {Tenant: "BB"}, "recipient": {Recipient: "eva"},
	} {
		if err := address(&e, to, "MAIL"); fault.CodeOf(err) != fault.InvalidEvent || fault.From(err).Details()["field"] != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, e := range []event.Event{{Type: "MAIL", Topic: "x"}, {Type: "MAIL", Data: []byte("{")}, {Type: "MAIL", ID: "a\nb"}} {
		if _, err := message(t.Context(), to, e); fault.CodeOf(err) != fault.InvalidEvent {
			t.Errorf("%+v: %v", e, err)
		}
	}
	m, err := message(t.Context(), to, event.Event{Type: "mail", Data: []byte(`{"from":"Jan"}`)})
	if err != nil || m.Subject != "rt.AA.u.anna" || m.Header.Get(HeaderType) != "MAIL" || m.Header.Get("ce-recipient") != "anna" {
		t.Errorf("%+v, %v", m, err)
	}
}
