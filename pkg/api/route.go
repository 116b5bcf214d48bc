package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Route is a plain HTTP route in front of a method. Its request is made from
// whatever the pattern says: the wildcards of its path, the query of a GET or a
// DELETE, the JSON body of anything else, names compared ignoring case. The answer
// is the method's as JSON, and errors are ours with the status of their code.
type Route struct {
	Pattern string // as http.ServeMux has it: "POST /Events/Peek", "GET /v1/events"
	Method  string // "Peek"

	// Serve answers in place of the method where the request is more than its
	// message, such as a CloudEvent in headers; nil = the method.
	Serve func(ctx context.Context, h http.Header, body []byte) (proto.Message, error)
	About string // what is different from the method; for the API's description
	// Takes describes the bodies that Serve takes, media types and what they
	// are; only for the API's description.
	Takes []Media
	// MaxBytes bounds the body; nil = the Mux's.
	MaxBytes func(h http.Header) int
}

// Media is a body that a Route takes.
type Media struct {
	Type    string // "application/cloudevents+json"
	About   string
	Example string
}

// mountRoute serves a plain route.
func (m *Mux) mountRoute(s *service, me Method, route Route) {
	m.handle(s, route.Pattern, func(w http.ResponseWriter, r *http.Request) {
		limit := m.o.MaxBytes
		if route.MaxBytes != nil {
			limit = route.MaxBytes(r.Header)
		}
		var body, answer []byte
		failed := m.chain(telemetry.ExtractHTTP(r.Context(), r.Header), &call{service: s.short, method: me.name, way: WayRoute}, m.identify(w, r, int64(limit), &body),
			func(ctx context.Context) (err error) {
				if err := uncoded(r.Header); err != nil {
					return err
				}
				if route.Serve == nil {
					answer, err = me.runRoute(ctx, r, body)
					return err
				}
				out, err := route.Serve(ctx, r.Header, body)
				if err != nil {
					return err
				}
				answer, err = JSON{}.Marshal(out)
				return err
			})
		if failed != nil {
			WriteError(w, r, failed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		_, _ = w.Write(append(answer, '\n')) // a caller who has left is no concern of ours
	})
}

// runRoute makes the message, serves it and encodes the answer.
func (me Method) runRoute(ctx context.Context, r *http.Request, body []byte) ([]byte, error) {
	in := me.newIn()
	if r.Method == http.MethodGet || r.Method == http.MethodDelete {
		q, err := Query(r)
		if err != nil {
			return nil, err
		}
		if err := parseQuery(q, in.ProtoReflect()); err != nil {
			return nil, err
		}
	} else {
		c, err := codecFor(r.Header.Get("Content-Type"))
		if err != nil {
			return nil, err
		}
		if _, isJSON := c.(JSON); isJSON {
			c = foldedJSON
		}
		if err := c.Unmarshal(body, in); err != nil {
			return nil, err
		}
	}
	if err := parsePath(r, in.ProtoReflect()); err != nil {
		return nil, err
	}
	out, err := me.serve(ctx, in)
	if err != nil {
		return nil, err
	}
	return JSON{}.Marshal(out)
}

// Query reads the query of a request, or says that it cannot be read; url.URL.Query
// leaves out what it cannot read. Code invalid_request.
func Query(r *http.Request) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.New(fault.InvalidRequest, "the query cannot be read: between & there are name=value, with %%XX for what has a meaning there")
	}
	return q, nil
}

// parseQuery sets the fields that a query names, and nothing else may stand there: a
// misspelt filter would find everything, a misspelt revision would delete any.
func parseQuery(query map[string][]string, m protoreflect.Message) error {
	fields := m.Descriptor().Fields()
	for name := range query {
		if fields.ByJSONName(name) == nil {
			return wrong(name, "is no parameter of this call")
		}
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		values := query[f.JSONName()]
		if !f.IsList() && len(values) > 1 {
			return wrong(f.JSONName(), "is there twice")
		}
		for _, v := range values {
			if v == "" {
				continue // ?topic= is what an empty form field sends
			}
			if err := setText(m, f, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// parsePath sets the fields that are wildcards of the route, which Mount has
// found; they win over a body's.
func parsePath(r *http.Request, m protoreflect.Message) error {
	fields := m.Descriptor().Fields()
	for _, name := range wildcards(r.Pattern) {
		if err := setText(m, fields.ByJSONName(name), // Mount has looked that it is there
			r.PathValue(name)); err != nil {
			return err
		}
	}
	return nil
}

// textual says that a message is a string in JSON.
func textual(d protoreflect.MessageDescriptor) bool {
	switch d.FullName() {
	case "google.protobuf.Timestamp", "google.protobuf.Duration":
		return true
	}
	return false
}

// setText sets a field from text as a query or a path has it: a scalar, a time, or
// one more of a list of scalars.
func setText(m protoreflect.Message, f protoreflect.FieldDescriptor, s string) error {
	if f.Message() != nil && !textual(f.Message()) {
		return wrong(f.JSONName(), "cannot be given here")
	}
	b := []byte(s)
	switch f.Kind() { //nolint:exhaustive // the others are written as they are
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.EnumKind, protoreflect.MessageKind:
		b = appendString(nil, s)
	}
	v, err := decoder{}.value(f, b, f.JSONName(), func() protoreflect.Value { return m.NewField(f) })
	switch {
	case err != nil:
		return wrong(f.JSONName(), "%.64q: %s", s, strings.TrimPrefix(err.Error(), f.JSONName()+": "))
	case f.IsList():
		m.Mutable(f).List().Append(v)
	default:
		m.Set(f, v)
	}
	return nil
}

// wildcards are the names in a pattern's path.
func wildcards(pattern string) (names []string) {
	for _, part := range strings.Split(pattern, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		if name = strings.TrimSuffix(name, "..."); name != "$" {
			names = append(names, name)
		}
	}
	return names
}
