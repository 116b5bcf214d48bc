package event

import (
	"encoding/json"
	"net/http"

	"github.com/nats-io/nats.go"
)

func (e *Event) Validate() error { return nil }
func (e *Event) Msg() (*nats.Msg, error) { return nil, nil }
func Decode(subj string, h nats.Header, data []byte, at Stored) Event { return Event{} }
func ParseJSON(b []byte) (Event, error) { return Event{}, nil }
func (e *Event) AppendJSON(dst []byte) []byte { return dst }
func FromHTTP(h http.Header, body []byte) ([]Event, bool, error) { return nil, false, nil }

func Views() []View { return nil }
func LookupView(name string) (View, bool) { return View{}, false }
func (v View) Payload(e *Event) (json.RawMessage, bool) { return nil, false }
func (v View) AppendJSON(dst []byte, e *Event) ([]byte, bool) { return dst, false }
func (v View) Notification(e *Event) ([]byte, bool) { return nil, false }
