package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

func TestSignedRequest(t *testing.T) {
	t.Parallel()
	w := newArena(t)
	want := &auth.Principal{
		Issuer: "hmac", Subject: "erp", Tenants: erp.Tenants, Grants: erp.Grants,
		Issued: now.Local(), Expires: now.Add(auth.DefaultWindow).Local(),
	}
	r := w.signed(now, "{}")
	if !auth.Signed(r) || auth.Signed(w.request("")) {
		t.Error("which requests are signed is not told")
	}
	p, err := w.a.HTTP(r, []byte("{}"), false)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, p); d != "" || p.Key() != "hmac erp" {
		t.Error(d)
	}
	m := &nats.Msg{Subject: "svc.gateway.Publish", Data: []byte("{}"), Header: nats.Header{"ce-id": {"17"}}}
	erp.SignNATS(m, now.Add(auth.DefaultWindow))
	if p, err = w.b.NATS(t.Context(), m.Subject, m.Header, m.Data); err != nil || p.Subject != "erp" {
		t.Errorf("on NATS: %+v %v", p, err)
	}
	if _, err = w.a.NATS(t.Context(), m.Subject, m.Header, m.Data); fault.CodeOf(err) != fault.NonceReplayed {
		t.Errorf("replayed on NATS: %v", err)
	}
	for _, off := range []time.Duration{-auth.DefaultWindow, auth.DefaultWindow} {
		if _, err := w.a.HTTP(w.signed(now.Add(off), "{}"), []byte("{}"), false); err != nil {
			t.Errorf("%s away: %v", off, err)
		}
	}
	without := auth.NewGuard(auth.GuardOptions{Tokens: newHS256(t)})
	if _, err := without.HTTP(w.signed(now, "{}"), []byte("{}"), false); fault.CodeOf(err) != fault.SignatureInvalid || !strings.Contains(err.Error(), "show a token") {
		t.Errorf("where nobody may sign: %v", err)
	}
}

// An example with every byte of it fixed, so that clients in other languages can
// be checked against it; the wire book shows the same.
func TestSignatureExample(t *testing.T) {
	t.Parallel()
	const header = "Belfry-HMAC-SHA256 key=erp-1, time=1795262400, nonce=c29tZSByYW5kb20tMQ, signature=" + exampleSignature
	w := newArena(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/events?tenant=AA", nil)
	r.Header = http.Header{
		"Authorization": {header}, "Content-Type": {"application/json"}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"17"},
		"Ce-Source": {"/erp"}, "Ce-Type": {"invoices.created"}, "User-Agent": {"not signed"},
	}
	if _, err := w.a.HTTP(r, []byte(`{"number":"2026-0042"}`), false); err != nil {
		t.Error(err)
	}
}

// exampleSignature was computed by another program (Python).
const exampleSignature = "1huFEHEpRuSYWGOxO59J2BONjNGSJGuuJM_2H9mXFsU"

// Of any number of copies, sent to two replicas at once, one is taken.
func TestReplayAtOnce(t *testing.T) {
	t.Parallel()
	w := newArena(t)
	r := w.signed(now, "{}")
	var taken, replayed atomic.Int32
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			guard := w.a
			if i%2 == 1 {
				guard = w.b
			}
			switch _, err := guard.HTTP(r.Clone(t.Context()), []byte("{}"), false); fault.CodeOf(err) {
			case "":
				taken.Add(1)
			case fault.NonceReplayed:
				replayed.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if taken.Load() != 1 || replayed.Load() != 39 {
		t.Errorf("%d taken, %d replayed", taken.Load(), replayed.Load())
	}
}

// A new leader knows what the old one took.
func TestReplayAfterTheLeaderIsGone(t *testing.T) {
	t.Parallel()
	c := bustest.Cluster(t, 3)
	guard := func() *auth.Guard {
		return auth.NewGuard(auth.GuardOptions{
			Tokens: newHS256(t), Keys: signers{erp.ID: erp}, Nonces: auth.NewNonces(c.Bus().JS), Now: func() time.Time { return now },
		})
	}
	w := &arena{t: t}
	r := w.signed(now, "{}")
	if _, err := guard().HTTP(r, []byte("{}"), false); err != nil {
		t.Fatal(err)
	}
	c.KillNode(c.Leader("KV_" + topology.Nonces))
	c.AwaitLeader("KV_" + topology.Nonces)
	bustest.Eventually(t, time.Minute, "the replay is refused for what it is", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // what is sent to the old leader is never answered
		defer cancel()
		_, err := guard().HTTP(r.WithContext(ctx), []byte("{}"), false)
		if err == nil {
			t.Fatal("taken twice")
		}
		return fault.CodeOf(err) == fault.NonceReplayed
	})
}

// A store that does not answer lets nobody in.
func TestNoncesAway(t *testing.T) {
	t.Parallel()
	w := newArena(t)
	w.nats.Stop()
	defer w.nats.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := w.a.HTTP(w.signed(now, "{}").WithContext(ctx), []byte("{}"), false); fault.CodeOf(err) != fault.Unavailable {
		t.Error(err)
	}
}

const keyFile = `{"keys":[{"id":"erp-1","secret":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","subject":"erp","tenants":["AA"],"grants":["publish:invoices"]}]}`

func TestHMACKeyFile(t *testing.T) {
	t.Parallel()
	path := write(t, "keys.json", keyFile)
	f, err := auth.OpenHMACKeys(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, ok := f.HMACKey("erp-1")
	if d := cmp.Diff(erp, k); d != "" || !ok {
		t.Error(d)
	}
	change := func(what, text string, has func() bool) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		bustest.Eventually(t, time.Minute, what, has)
	}
	has := func(id string) func() bool { return func() bool { _, ok := f.HMACKey(id); return ok } }
	change("the new key counts", strings.Replace(keyFile, "erp-1", "erp-2", 1), has("erp-2"))
	if has("erp-1")() {
		t.Error("the key that was taken away still counts")
	}
	change("a broken file changes nothing", "{", has("erp-2"))
	change("a good one counts again", keyFile, has("erp-1"))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, time.Minute, "no file changes nothing", has("erp-1"))
	change("it is back", strings.Replace(keyFile, "erp-1", "erp-3", 1), has("erp-3"))
}

func TestHMACKeyFileRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, put, says string }{
		"not JSON":      {keyFile, "keys: []", "not a file of keys"},
		"misspelt":      {`"tenants"`, `"tenant"`, "not a file of keys"},
		"two documents": {"]}]}", "]}]} {}", "not a file of keys"},
		"id":            {"erp-1", "erp 1", "id must be"},
		"no id":         {"erp-1", "", "id must be"},
		"short secret":  {"eeee", "", "below the minimum of 32"},
		"no subject":    {`"subject":"erp"`, `"subject":""`, "subject"},
		"tenant":        {`"AA"`, `"_"`, "tenants"},
		"grant":         {"publish:invoices", "publsh:invoices", "grants"},
		"twice":         {`"keys":[`, `"keys":[{"id":"erp-1","secret":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","subject":"x"},`, "is there twice"},
	} {
		_, err := auth.OpenHMACKeys(write(t, "keys.json", strings.Replace(keyFile, c.old, c.put, 1)), nil)
		if fault.CodeOf(err) != fault.InvalidConfig || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "eeeeeee") {
			t.Errorf("%s: shows a secret", name)
		}
	}
	if _, err := auth.OpenHMACKeys("/no/such", nil); fault.CodeOf(err) != fault.InvalidConfig {
		t.Errorf("no file: %v", err)
	}
}

// Whatever the header says: nobody, with one of two codes. No NATS behind it: who
// has no key must not reach it.
func FuzzSignature(f *testing.F) {
	guard := auth.NewGuard(auth.GuardOptions{
		Tokens: newHS256(f), Keys: signers{erp.ID: erp}, Nonces: auth.NewNonces(nil), Now: func() time.Time { return now },
	})
	f.Add("Belfry-HMAC-SHA256 key=erp-1, time=1795262400, nonce=c29tZSByYW5kb20tMQ, signature=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "{}")
	f.Add("belfry-hmac-sha256 time=1795262400,key=erp-1,nonce==,signature=", "")
	f.Add("Belfry-HMAC-SHA256 ,,,", "")
	f.Add("Bearer x", "")
	f.Fuzz(func(t *testing.T, header, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/events", nil)
		r.Header["Authorization"] = []string{header}
		for _, err := range []error{second(guard.HTTP(r, []byte(body), false)), second(guard.NATS(t.Context(), "svc.x", nats.Header(r.Header), []byte(body)))} {
			switch fault.CodeOf(err) {
			case fault.SignatureInvalid, fault.TokenMissing, fault.TokenInvalid:
			default:
				t.Fatalf("%q: %v (%s)", header, err, fault.CodeOf(err))
			}
		}
	})
}

func second(_ *auth.Principal, err error) error { return err }

func BenchmarkSignature(b *testing.B) {
	w := newArena(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.a.HTTP(w.signed(now, "{}"), []byte("{}"), false); err != nil {
			b.Fatal(err)
		}
	}
}
