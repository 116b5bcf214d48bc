package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/telemetry"
	faultv1 "github.com/belfry-events/belfry/proto/belfry/fault/v1"
)

// outcome is what became of a call inside Connect, which itself answers.
type outcome struct {
	reached bool
	err     error
}

type outcomeKey struct{}

// mountRPC serves a method for Connect, gRPC and gRPC-Web. Connect does the
// framing; everything else, the messages' encoding included, is the chain's.
func (m *Mux) mountRPC(s *service, me Method) {
	procedure := "/" + string(s.Contract.FullName()) + "/" + me.name
	rpc := connect.NewUnaryHandler(procedure, func(ctx context.Context, r *connect.Request[raw]) (*connect.Response[raw], error) {
		var out *outcome
		out, _ = ctx.Value(outcomeKey{}).(*outcome)
		out.reached = true
		var c codec = binary{}
		if strings.HasSuffix(r.Header().Get("Content-Type"), "json") {
			c = JSON{}
		}
		data, err := me.run(ctx, c, r.Msg.data)
		if err != nil {
			out.err = err
			return nil, connectError(fault.From(err))
		}
		return connect.NewResponse(&raw{data}), nil
	},
		connect.WithCodec(rawCodec{JSON{}}),
		connect.WithCodec(rawCodec{binary{}}),
		connect.WithReadMaxBytes(m.o.MaxBytes), // after decompression
	)
	m.handle(s, "POST "+procedure, func(w http.ResponseWriter, r *http.Request) {
		way, err := wayOf(r)
		if err != nil {
			WriteError(w, r, err)
			return
		}
		var body []byte
		answered := false
		failed := m.chain(telemetry.ExtractHTTP(r.Context(), r.Header), &call{service: s.short, method: me.name, way: way}, m.identify(w, r, int64(m.o.MaxBytes), &body),
			func(ctx context.Context) error {
				out := &outcome{}
				r := r.WithContext(context.WithValue(ctx, outcomeKey{}, out))
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
				answered = true
				rpc.ServeHTTP(w, r)
				if !out.reached {
					return fault.New(fault.InvalidRequest, "body: breaks the framing of its protocol")
				}
				return out.err
			})
		if failed != nil && !answered {
			_ = m.faults.Write(w, r, connectError(failed)) // a caller who has left is no concern of ours
		}
	})
}

// wayOf is the protocol of a request. Code unsupported_content_type.
func wayOf(r *http.Request) (Way, error) {
	t, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := params["charset"]
	switch {
	case charset != "" && !strings.EqualFold(charset, "utf-8"):
	case t == "application/grpc", t == "application/grpc+proto", t == "application/grpc+json":
		return WayGRPC, nil
	case strings.HasPrefix(t, "application/grpc-web"):
		return WayGRPCWeb, nil
	case t == "application/json", t == "application/proto":
		r.Header.Set("Content-Type", t) // Connect knows few spellings of the rest
		return WayConnect, nil
	}
	return "", fault.Field(fault.UnsupportedContentType, "content-type", "%.64q is not application/json, application/proto, application/grpc or application/grpc-web", r.Header.Get("Content-Type"))
}

// identify says who sends an HTTP request, and reads its body: of strangers
// nothing is read, unless the body is what proves who they are.
func (m *Mux) identify(w http.ResponseWriter, r *http.Request, limit int64, body *[]byte) func(context.Context) (*auth.Principal, error) {
	return func(ctx context.Context) (p *auth.Principal, err error) {
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		signed := scheme != "" && !strings.EqualFold(scheme, "Bearer")
		if !signed {
			if p, err = m.o.Guard.HTTP(r.WithContext(ctx), nil, false); err != nil {
				return nil, err
			}
		}
		if *body, err = ReadBody(w, r, limit); err != nil || !signed {
			return p, err
		}
		return m.o.Guard.HTTP(r.WithContext(ctx), *body, false)
	}
}

// connectError is a fault as Connect and gRPC tell it: the kind as code, the
// fault itself as detail, and its code as header (gRPC: trailer) Belfry-Fault.
func connectError(e *fault.Error) *connect.Error {
	err := connect.NewError(e.Code().ConnectCode(), e)
	if d, failed := connect.NewErrorDetail(&faultv1.Fault{Code: string(e.Code()), Message: e.Error(), Details: e.Details()}); failed == nil {
		err.AddDetail(d)
	}
	h := err.Meta()
	h.Set(fault.HeaderFault, string(e.Code()))
	if seconds := retryIn(e); seconds != "" {
		h.Set("Retry-After", seconds)
	}
	return err
}

// retryIn is the value of Retry-After, "" where trying again does not help.
func retryIn(e *fault.Error) string {
	if s := e.Details()[retryAfter]; s != "" {
		return s
	}
	if e.Code().Kind() == fault.Down {
		return "1" // seconds
	}
	return ""
}

// FaultOf finds the fault in an error of a Connect or gRPC client of ours; nil if
// it tells none, as when the connection failed.
func FaultOf(err error) *fault.Error {
	var e *connect.Error
	if !errors.As(err, &e) {
		return nil
	}
	for _, d := range e.Details() {
		v, err := d.Value()
		if f, ok := v.(*faultv1.Fault); ok && err == nil {
			return restore(f)
		}
	}
	return nil
}

func restore(f *faultv1.Fault) *fault.Error {
	e := fault.New(fault.Code(f.GetCode()), "%s", f.GetMessage())
	for k, v := range f.GetDetails() {
		e = e.With(k, v)
	}
	return e
}
