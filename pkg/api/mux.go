package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/belfry-events/belfry/pkg/auth"
)

// MuxOptions configures NewMux.
type MuxOptions struct {
	HTTP     *http.ServeMux // where services and routes are mounted
	Guard    *auth.Guard
	Limiter  Limiter   // nil = no limits
	Audit    *AuditLog // of calls over NATS; those over HTTP are Audited's. nil = none
	Registry prometheus.Registerer
	Tracer   trace.Tracer
	Log      *slog.Logger
	MaxBytes int    // largest request of a method
	Version  string // of the build, for people
}

// Mux is where the APIs of a process come together: each service is mounted
// once, from its contract, and answers in every way that Way lists.
//
//	POST /belfry.gateway.v1.GatewayService/Publish   Connect, gRPC, gRPC-Web ─┐
//	POST /v1/events                                  plain routes            ─┼─▶ chain ─▶ Method
//	svc.gateway.Publish                              NATS request            ─┘
type Mux struct {
	o        MuxOptions
	stats    *calls
	faults   *connect.ErrorWriter
	services []*service
}

// NewMux mounts nothing yet.
func NewMux(o MuxOptions) *Mux {
	return &Mux{o: o, stats: newCalls(o.Registry), faults: connect.NewErrorWriter()}
}

// Service is what Mount takes.
type Service struct {
	Contract protoreflect.ServiceDescriptor
	Methods  []Method // one for each of the contract's
	Routes   []Route  // plain ones in front of methods
	// Wrap stands before everything the service answers over HTTP, such as a check
	// of the origin; nil = nothing.
	Wrap func(http.HandlerFunc) http.HandlerFunc
}

// Method is one method of a service, ready to mount. Made by Unary.
type Method struct {
	name    string
	in, out protoreflect.FullName
	newIn   func() proto.Message
	serve   func(context.Context, proto.Message) (proto.Message, error)
}

// message is a pointer to a generated message struct.
type message[T any] interface {
	*T
	proto.Message
}

// Unary is the method of this name. serve has the caller in its context
// (PrincipalOf), and what it answers must not be changed afterwards; its errors
// are faults, or count as internal.
func Unary[In, Out any, PIn message[In], POut message[Out]](name string, serve func(context.Context, PIn) (POut, error)) Method {
	return Method{
		name: name, in: PIn(new(In)).ProtoReflect().Descriptor().FullName(), out: POut(new(Out)).ProtoReflect().Descriptor().FullName(),
		newIn: func() proto.Message { return PIn(new(In)) },
		serve: func(ctx context.Context, in proto.Message) (proto.Message, error) {
			typed, ok := in.(PIn)
			if !ok {
				return nil, fmt.Errorf("%s takes no %T", name, in)
			}
			out, err := serve(ctx, typed)
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// run decodes, serves and encodes one call.
func (me Method) run(ctx context.Context, c codec, body []byte) ([]byte, error) {
	in := me.newIn()
	if err := c.Unmarshal(body, in); err != nil {
		return nil, err
	}
	out, err := me.serve(ctx, in)
	if err != nil {
		return nil, err
	}
	return c.Marshal(out)
}

// service is a mounted Service.
type service struct {
	Service
	short   string // "gateway"
	methods map[string]Method
}

// Mount adds a service. An error is a defect of the program: a method of the
// contract that is missing or has other messages, a contract that breaks our
// rules, a route to no method.
func (m *Mux) Mount(s Service) error {
	if err := checkContract(s.Contract); err != nil {
		return err
	}
	mounted := &service{Service: s, short: shortName(s.Contract.FullName()), methods: map[string]Method{}}
	for _, me := range s.Methods {
		mounted.methods[me.name] = me
	}
	methods := s.Contract.Methods()
	if len(mounted.methods) != methods.Len() {
		return fmt.Errorf("%s has %d methods, not %d", s.Contract.FullName(), methods.Len(), len(mounted.methods))
	}
	for i := range methods.Len() {
		d := methods.Get(i)
		me, ok := mounted.methods[string(d.Name())]
		if !ok || me.in != d.Input().FullName() || me.out != d.Output().FullName() {
			return fmt.Errorf("%s is not served as its contract says", d.FullName())
		}
		m.mountRPC(mounted, me)
	}
	for _, r := range s.Routes {
		me, ok := mounted.methods[r.Method]
		if !ok {
			return fmt.Errorf("route %s: %s has no method %q", r.Pattern, s.Contract.FullName(), r.Method)
		}
		for _, name := range wildcards(r.Pattern) {
			if methods.ByName(protoreflect.Name(r.Method)).Input().Fields().ByJSONName(name) == nil {
				return fmt.Errorf("route %s: %s has no field %s", r.Pattern, me.in, name)
			}
		}
		m.mountRoute(mounted, me, r)
	}
	m.services = append(m.services, mounted)
	return nil
}

// handle mounts one handler behind what the service wants before all of them.
func (m *Mux) handle(s *service, pattern string, h http.HandlerFunc) {
	if s.Wrap != nil {
		h = s.Wrap(h)
	}
	m.o.HTTP.HandleFunc(pattern, h)
}

// shortName is the service as subjects have it: the name of its package without
// ours before and the version after, belfry.gateway.v1.GatewayService → gateway.
func shortName(name protoreflect.FullName) string {
	parts := strings.Split(string(name), ".")
	if len(parts) < 3 {
		return string(name)
	}
	return parts[1]
}

// checkContract refuses what the codec does not promise to carry: JSON has no
// 64-bit numbers that every client can read, and no call of ours is a stream.
func checkContract(s protoreflect.ServiceDescriptor) error {
	seen := map[protoreflect.FullName]bool{}
	for i := range s.Methods().Len() {
		d := s.Methods().Get(i)
		if d.IsStreamingClient() || d.IsStreamingServer() {
			return fmt.Errorf("%s is a stream", d.FullName())
		}
		for _, msg := range []protoreflect.MessageDescriptor{d.Input(), d.Output()} {
			if err := checkMessage(msg, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkMessage(msg protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) error {
	if seen[msg.FullName()] || wellKnown(msg) {
		return nil
	}
	seen[msg.FullName()] = true
	for i := range msg.Fields().Len() {
		f := msg.Fields().Get(i)
		switch f.Kind() { //nolint:exhaustive // the others are fine
		case protoreflect.Int64Kind, protoreflect.Uint64Kind, protoreflect.Sint64Kind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
			return fmt.Errorf("%s has 64 bits: counts and seconds are int32, ids and cursors strings", f.FullName())
		case protoreflect.MessageKind, protoreflect.GroupKind:
			if err := checkMessage(f.Message(), seen); err != nil {
				return err
			}
		}
	}
	return nil
}
