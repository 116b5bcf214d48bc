package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Revocation takes tokens back before their time: one by its id, or all of a
// user that were issued before a moment. It is kept as JSON in the bucket
// belfry_revocations, under token.<id> or user.<tenant>.<user>, "_" for every
// tenant, each part escaped as in subjects.
type Revocation struct {
	TokenID string    `json:"tokenId,omitempty"` // claim jti; excludes User
	User    string    `json:"user,omitempty"`    // claim sub, of any issuer
	Tenant  string    `json:"tenant,omitempty"`  // only tokens that may act here; "" = all of the user's
	Before  time.Time `json:"before"`            // of a user: what was issued earlier is void; of a token: when it was revoked
}

// key is the entry's place in the bucket. Codes invalid_request, invalid_name.
func (r Revocation) key() (string, error) {
	switch {
	case (r.TokenID == "") == (r.User == ""):
		return "", fault.New(fault.InvalidRequest, "revoke either a token by its id, or a user's tokens")
	case r.TokenID != "" && r.Tenant != "":
		return "", fault.Field(fault.InvalidRequest, "tenant", "goes with a user; a token is revoked as a whole")
	case r.TokenID != "":
		id, err := subject.Escape("token id", r.TokenID)
		return "token." + id, err
	}
	tenant := subject.Platform
	if r.Tenant != "" {
		if err := subject.CheckTenant(r.Tenant); err != nil {
			return "", err
		}
		var err error
		if tenant, err = subject.Escape("tenant", r.Tenant); err != nil {
			return "", err
		}
	}
	user, err := subject.Escape("user", r.User)
	return "user." + tenant + "." + user, err
}

// Revoke writes r where every process sees it, and returns when it is stored. It
// is forgotten after life, which must be the longest that a token lives: then
// there is none left that it could mean. A zero Before is now. Of two
// revocations of a user the later moment counts, in whatever order they come.
// Codes invalid_request, invalid_name, unavailable.
func Revoke(ctx context.Context, js jetstream.JetStream, r Revocation, life time.Duration) error {
	if r.Before.IsZero() {
		r.Before = time.Now()
	}
	key, err := r.key()
	if err != nil {
		return err
	}
	subj := subject.Key(topology.Revocations, key)
	stream, err := js.Stream(ctx, "KV_"+topology.Revocations)
	if err != nil {
		return notRevoked(err)
	}
	const tries = 10 // each lost to somebody who revoked the same at the same moment
	for range tries {
		var last uint64
		before, err := stream.GetLastMsgForSubject(ctx, subj)
		switch {
		case err == nil:
			last = before.Sequence
			var had Revocation
			if json.Unmarshal(before.Data, &had) == nil && had.Before.After(r.Before) {
				r.Before = had.Before
			}
		case !errors.Is(err, jetstream.ErrMsgNotFound):
			return notRevoked(err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode a revocation: %w", err)
		}
		_, err = js.PublishMsg(ctx, &nats.Msg{Subject: subj, Data: b},
			jetstream.WithExpectLastSequencePerSubject(last), jetstream.WithMsgTTL(max(life.Round(time.Second), time.Second)))
		if !taken(err) {
			return notRevoked(err)
		}
	}
	return fault.New(fault.Unavailable, "not revoked: too many others revoke the same; try again")
}

func notRevoked(err error) error {
	if err == nil {
		return nil
	}
	return fault.Wrap(fault.Unavailable, err, "not known to be revoked, because the store does not answer; revoke again (is Belfry running, and are these a service's credentials?)")
}

// Error codes of JetStream for an expected sequence that is not the last one; the
// second is how replicated streams say it.
const (
	wrongLastSequence           jetstream.ErrorCode = 10071
	wrongLastSequenceReplicated jetstream.ErrorCode = 10164
)

// taken says that somebody else has written under the subject.
func taken(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == wrongLastSequence || api.ErrorCode == wrongLastSequenceReplicated)
}

// Revocations are the tokens that were taken back before their time, the same in
// every process: a copy in memory that follows the bucket. A nil *Revocations
// holds none. Safe for concurrent use.
//
// While the bucket cannot be followed, what was known last counts: a platform
// that refused everybody then would be easier to stop than to enter.
type Revocations struct {
	js    jetstream.JetStream
	log   *slog.Logger
	ready chan struct{}
	tells func(Revocation)

	mu      sync.RWMutex
	tokens  map[string]struct{}
	users   map[tenantUser]time.Time
	changed chan struct{}
}

type tenantUser struct{ tenant, user string }

// NewRevocations starts nothing; see Run. A nil log discards.
func NewRevocations(js jetstream.JetStream, log *slog.Logger) *Revocations {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Revocations{
		js: js, log: log, ready: make(chan struct{}), changed: make(chan struct{}),
		tokens: map[string]struct{}{}, users: map[tenantUser]time.Time{},
	}
}

// OnRevoked has f called for every revocation that comes while Run follows them,
// not for those that were there before. f must not block. Call it before Run.
func (r *Revocations) OnRevoked(f func(Revocation)) { r.tells = f }

// Check is nil for a principal whose token still holds; code token_revoked. It
// does not block.
func (r *Revocations) Check(p *Principal) error {
	if r == nil {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if p.TokenID != "" {
		if _, ok := r.tokens[p.TokenID]; ok {
			return fault.New(fault.TokenRevoked, "token: has been revoked")
		}
	}
	if len(r.users) == 0 {
		return nil
	}
	void := r.void(p, "")
	for i := 0; i < len(p.Tenants) && !void; i++ {
		void = r.void(p, p.Tenants[i])
	}
	if void {
		return fault.New(fault.TokenRevoked, "token: those of this user issued so far have been revoked")
	}
	return nil
}

// void says whether the user's tokens of the tenant are void. A token that does
// not say when it was issued is: it cannot be known to be newer. Under mu.
func (r *Revocations) void(p *Principal, tenant string) bool {
	before, ok := r.users[tenantUser{tenant, p.Subject}]
	return ok && p.Issued.Before(before)
}

// Changed is closed when something is revoked after the call. Who keeps
// connections open calls it, then checks them all, then waits for it.
func (r *Revocations) Changed() <-chan struct{} {
	if r == nil {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.changed
}
