package api

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// Entry is what the audit log may know of a call. It has no place for a token, a
// payload or a query, so that none can get in.
type Entry struct {
	Who    string     // auth.Principal.Key; "" = nobody we know
	Token  string     // id of the token (jti), which is no secret
	What   string     // route "POST /v1/events", subject "svc.mailbox.Peek", or action "subscribe"
	Tenant string     // "" = none, or all of the token
	Admin  bool       // an administrative call: recorded when it succeeds, too
	Code   fault.Code // how it ended; "" = well
	Remote string     // host that it came from, "" = NATS, which does not tell
}

// Of fills in who calls.
func (c Entry) Of(p *auth.Principal) Entry {
	if p != nil && p.Subject != "" {
		c.Who, c.Token = p.Key(), p.TokenID
		if c.Tenant == "" && len(p.Tenants) == 1 {
			c.Tenant = p.Tenants[0]
		}
	}
	return c
}

// refusal says whether a code means that a caller was turned away: 401, 403, 429.
func refusal(code fault.Code) bool {
	switch code.HTTPStatus() {
	case http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	return code == fault.RateLimited
}

// AuditLog writes refused and administrative calls as JSON, one line each. A nil
// *AuditLog records nothing. Safe for concurrent use.
type AuditLog struct{ log *slog.Logger }

// NewAuditLog writes to w.
func NewAuditLog(w io.Writer) *AuditLog {
	h := slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey && len(groups) == 0 {
			return slog.Attr{} // every line has the same
		}
		if a.Key == slog.TimeKey && len(groups) == 0 {
			a.Value = slog.StringValue(a.Value.Time().UTC().Format(time.RFC3339Nano))
		}
		return a
	}})
	return &AuditLog{log: slog.New(h).With("audit", true)}
}

// Record writes an entry, if it is one of a refused or administrative call.
func (a *AuditLog) Record(ctx context.Context, c Entry) {
	if a == nil || !c.Admin && (c.Code == "" || !refusal(c.Code)) {
		return
	}
	outcome := "ok"
	if c.Code != "" {
		outcome = string(c.Code)
	}
	a.log.InfoContext(ctx, "call", "who", c.Who, "token_id", c.Token, "what", c.What,
		"tenant", c.Tenant, "outcome", outcome, "remote", c.Remote)
}

// pending is the Entry of an HTTP request while it is served. Handlers fill it in
// through the context; Wrap hands it over at the end.
type pending struct {
	who    atomic.Pointer[auth.Principal]
	code   atomic.Pointer[fault.Code]
	tenant atomic.Pointer[string]
	admin  atomic.Bool
}

type pendingKey struct{}

func pendingOf(ctx context.Context) *pending {
	c, _ := ctx.Value(pendingKey{}).(*pending)
	return c
}

// Identify tells the audit log who makes the request of this context. Whoever
// verifies a caller calls it. Without an audit log it does nothing.
func Identify(ctx context.Context, p *auth.Principal) {
	if c := pendingOf(ctx); c != nil {
		c.who.Store(p)
	}
}

// Concerns tells the audit log which tenant the request of this context is about,
// where the token leaves that open.
func Concerns(ctx context.Context, tenant string) {
	if c := pendingOf(ctx); c != nil {
		c.tenant.Store(&tenant)
	}
}

// Administrative marks the request of this context as one that is recorded even
// if it succeeds.
func Administrative(ctx context.Context) {
	if c := pendingOf(ctx); c != nil {
		c.admin.Store(true)
	}
}

// Refused tells the audit log how the request of this context ended. WriteError
// does it; only those who answer otherwise need to.
func Refused(ctx context.Context, code fault.Code) {
	if c := pendingOf(ctx); c != nil {
		c.code.Store(&code)
	}
}

// Audited records what becomes of the requests that next serves. It stands
// outside of the mux: the route is known when next returns.
func Audited(a *AuditLog, next http.Handler) http.Handler {
	if a == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &pending{}
		r = r.WithContext(context.WithValue(r.Context(), pendingKey{}, c))
		defer func() {
			call := Entry{What: r.Pattern, Admin: c.admin.Load(), Remote: host(r.RemoteAddr)}
			if tenant := c.tenant.Load(); tenant != nil {
				call.Tenant = *tenant
			}
			call = call.Of(c.who.Load())
			if call.What == "" {
				call.What = r.Method // an unknown path may hold anything
			}
			if code := c.code.Load(); code != nil {
				call.Code = *code
			}
			a.Record(r.Context(), call)
		}()
		next.ServeHTTP(w, r)
	})
}

// From is Entry with the host that a connection comes from.
func (c Entry) From(remote net.Addr) Entry {
	if remote != nil {
		c.Remote = host(remote.String())
	}
	return c
}

// host is where a connection comes from. Headers that say otherwise are the
// caller's own word.
func host(address string) string {
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return h
}
