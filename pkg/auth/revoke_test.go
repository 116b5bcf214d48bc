package auth_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// follow is a process's revocations, until the test ends or stop is called.
func follow(t testing.TB, js jetstream.JetStream) *auth.Revocations {
	t.Helper()
	r := auth.NewRevocations(js, nil)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-r.Ready()
	return r
}

func revoke(t testing.TB, js jetstream.JetStream, r auth.Revocation) {
	t.Helper()
	if err := auth.Revoke(t.Context(), js, r, time.Hour); err != nil {
		t.Fatal(err)
	}
}

// until waits until a principal is revoked, or not any more.
func until(t testing.TB, r *auth.Revocations, p *auth.Principal, revoked bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		changed := r.Changed()
		err := r.Check(p)
		if (err != nil) == revoked {
			if revoked && fault.CodeOf(err) != fault.TokenRevoked {
				t.Fatalf("code %s", fault.CodeOf(err))
			}
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%+v: %v", p, err)
		}
	}
}

func TestRevocations(t *testing.T) {
	t.Parallel()
	js := bustest.Start(t).Bus().JS
	moment := time.Now()
	old, young := moment.Add(-time.Minute), moment.Add(time.Minute)
	anna := func(issued time.Time, id string, tenants ...string) *auth.Principal {
		return &auth.Principal{Subject: "anna", TokenID: id, Issued: issued, Tenants: tenants}
	}
	a := follow(t, js)
	revoke(t, js, auth.Revocation{TokenID: "a.b c*"})
	revoke(t, js, auth.Revocation{User: "anna", Tenant: "A_", Before: moment})
	revoke(t, js, auth.Revocation{User: "jan@x.cz", Before: moment})
	until(t, a, anna(young, "a.b c*"), true)
	until(t, a, &auth.Principal{Subject: "jan@x.cz"}, true)
	b := follow(t, js) // a process that starts later
	for name, c := range map[string]struct {
		p       *auth.Principal
		revoked bool
	}{
		"the token":                        {anna(young, "a.b c*"), true},
		"another token":                    {anna(young, "a.b"), false},
		"an old token of the tenant":       {anna(old, "x", "BB", "A_"), true},
		"issued the same moment":           {anna(moment, "x", "A_"), false},
		"a young one":                      {anna(young, "x", "A_"), false},
		"one that does not say how old":    {anna(time.Time{}, "", "A_"), true},
		"another tenant":                   {anna(old, "x", "BB"), false},
		"no tenant":                        {anna(old, "x"), false},
		"all of a user":                    {&auth.Principal{Subject: "jan@x.cz", Issued: old, Tenants: []string{"BB"}}, true},
		"all of a user, without a tenant":  {&auth.Principal{Subject: "jan@x.cz", Issued: old}, true},
		"a name that is spelt differently": {&auth.Principal{Subject: "Jan@x.cz", Issued: old}, false},
	} {
		for i, r := range []*auth.Revocations{a, b} {
			if err := r.Check(c.p); (err != nil) != c.revoked {
				t.Errorf("%s, process %d: %v", name, i, err)
			}
		}
	}
	var none *auth.Revocations
	if none.Check(anna(old, "a.b c*")) != nil || none.Changed() != nil {
		t.Error("no revocations revoke")
	}
}

// Of two revocations of a user the later moment counts, however many write at
// once; and who waits hears of each.
func TestRevokeAtOnce(t *testing.T) {
	t.Parallel()
	js := bustest.Start(t).Bus().JS
	moment := time.Now().Truncate(time.Second)
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() {
			revoke(t, js, auth.Revocation{User: "anna", Before: moment.Add(time.Duration(i) * time.Minute)})
		})
	}
	wg.Wait()
	revoke(t, js, auth.Revocation{User: "anna", Before: moment}) // late, and earlier
	r := follow(t, js)
	if err := r.Check(&auth.Principal{Subject: "anna", Issued: moment.Add(4*time.Minute - time.Second)}); fault.CodeOf(err) != fault.TokenRevoked {
		t.Error("a later revocation was undone by an earlier one")
	}
}

func TestRevokeRefuses(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	for name, c := range map[string]struct {
		r    auth.Revocation
		code fault.Code
	}{
		"nothing":            {auth.Revocation{}, fault.InvalidRequest},
		"both":               {auth.Revocation{TokenID: "x", User: "y"}, fault.InvalidRequest},
		"a token's tenant":   {auth.Revocation{TokenID: "x", Tenant: "AA"}, fault.InvalidRequest},
		"the platform":       {auth.Revocation{User: "x", Tenant: "_"}, fault.InvalidName},
		"a name too long":    {auth.Revocation{User: strings.Repeat("x", 256)}, fault.InvalidName},
		"a token's, as well": {auth.Revocation{TokenID: strings.Repeat("x", 256)}, fault.InvalidName},
	} {
		if err := auth.Revoke(t.Context(), s.Bus().JS, c.r, time.Hour); fault.CodeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger, err := jetstream.New(bustest.Connect(t, s.URL(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := auth.Revoke(ctx, stranger, auth.Revocation{TokenID: "x"}, time.Hour); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("without a service's credentials: %v", err)
	}
}

// What was revoked counts while the store is away, and after it has come back;
// what others revoke then is heard.
func TestRevocationsSurviveTheStore(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	r := follow(t, s.Bus().JS)
	one, two, three := &auth.Principal{TokenID: "1"}, &auth.Principal{TokenID: "2"}, &auth.Principal{TokenID: "3"}
	revoke(t, s.Bus().JS, auth.Revocation{TokenID: "1"})
	until(t, r, one, true)
	s.Stop()
	if r.Check(one) == nil || r.Check(two) != nil {
		t.Error("something else counts while the store is away")
	}
	s.Resume()
	revoke(t, s.Bus().JS, auth.Revocation{TokenID: "2"})
	until(t, r, two, true)
	// An entry written by hand counts, too.
	if _, err := s.Bus().JS.Publish(t.Context(), subject.Key(topology.Revocations, "token.3"), nil); err != nil {
		t.Fatal(err)
	}
	until(t, r, three, true)
	until(t, r, one, true)
	// And one that is taken back by hand does not any more.
	kv, err := s.Bus().JS.KeyValue(t.Context(), topology.Revocations)
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Delete(t.Context(), "token.3"); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, time.Minute, "what is deleted is forgotten", func() bool { return r.Check(three) == nil })
}

// A revocation is forgotten, in the store and in memory, when no token is left
// that it could mean; and so is a nonce when its request would be too old.
func TestEntriesHaveTheirTime(t *testing.T) { //nolint:paralleltest // a server in a bubble runs alone
	bustest.Bubble(t, func(t *testing.T) {
		b := bustest.Start(t, bustest.InProcess()).Bus()
		r := follow(t, b.JS)
		p := &auth.Principal{TokenID: "1", Subject: "anna"}
		revoke(t, b.JS, auth.Revocation{TokenID: "1"})
		revoke(t, b.JS, auth.Revocation{User: "anna"})
		guard := auth.NewGuard(auth.GuardOptions{
			Tokens: newHS256(t), Keys: signers{erp.ID: erp}, Nonces: auth.NewNonces(b.JS),
		})
		w := &arena{t: t}
		request := w.signed(time.Now(), "{}")
		if _, err := guard.HTTP(request, []byte("{}"), false); err != nil {
			t.Fatal(err)
		}
		kept := func(bucket string) string {
			t.Helper()
			s, err := b.JS.Stream(t.Context(), "KV_"+bucket)
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(s.CachedInfo().State.Msgs)
		}
		for _, step := range []struct {
			after       time.Duration
			nonces      string
			revocations string
			revoked     bool
			again       fault.Code
		}{
			{4 * time.Minute, "1", "2", true, fault.NonceReplayed},
			{time.Minute + time.Second, "1", "2", true, fault.SignatureInvalid}, // too old by now
			{6 * time.Minute, "0", "2", true, fault.SignatureInvalid},
			{48 * time.Minute, "0", "2", true, fault.SignatureInvalid},
			{2 * time.Minute, "0", "2", false, fault.SignatureInvalid}, // markers, for those who were away
			{2 * time.Hour, "0", "0", false, fault.SignatureInvalid},
		} {
			time.Sleep(step.after) //nolint:forbidigo // in a bubble
			_, err := guard.HTTP(request, []byte("{}"), false)
			if kept(topology.Nonces) != step.nonces || kept(topology.Revocations) != step.revocations ||
				(r.Check(p) != nil) != step.revoked || fault.CodeOf(err) != step.again {
				t.Errorf("%+v: %s nonces, %s revocations, %v, %v", step, kept(topology.Nonces), kept(topology.Revocations), r.Check(p), err)
			}
		}
	})
}

func BenchmarkRevocationsCheck(b *testing.B) {
	js := bustest.Start(b).Bus().JS
	for i := range 100 {
		revoke(b, js, auth.Revocation{User: fmt.Sprint("user", i)})
	}
	r := follow(b, js)
	p := &auth.Principal{Subject: "anna", TokenID: "x", Tenants: []string{"AA", "BB"}, Issued: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Check(p); err != nil {
			b.Fatal(err)
		}
	}
}
