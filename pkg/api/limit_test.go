package api_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// clock is a time that the test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time       { return c.at }
func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }
func caller(name string, tenants ...string) *auth.Principal {
	return &auth.Principal{Issuer: "idp", Subject: name, Tenants: tenants}
}

func limits(t *testing.T, c api.LimitConfig) (*api.Limits, *clock, *prometheus.Registry) {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	at, registry := &clock{time.Unix(1_800_000_000, 0)}, prometheus.NewRegistry()
	return api.NewLimits(c, registry, at.now), at, registry
}

// allowed is how many calls in a row are let through.
func allowed(l *api.Limits, p *auth.Principal, most int) int {
	for n := range most {
		if l.Allow(p, 1) != nil {
			return n
		}
	}
	return most
}

func TestLimitOfACaller(t *testing.T) {
	t.Parallel()
	l, at, _ := limits(t, api.LimitConfig{PrincipalRate: 0.5, PrincipalBurst: 3})
	anna, bert := caller("anna", "AA"), caller("bert", "AA")
	if n := allowed(l, anna, 10); n != 3 {
		t.Errorf("%d calls at once, want 3", n)
	}
	err := l.Allow(anna, 1)
	e := fault.From(err)
	if e.Code() != fault.RateLimited || e.Details()["retry_after"] != "2" || e.Details()["limit"] != "principal" {
		t.Errorf("%v %v", err, e.Details())
	}
	at.pass(500 * time.Millisecond)
	if got := fault.From(l.Allow(anna, 1)).Details()["retry_after"]; got != "2" { // 1.5, rounded up
		t.Errorf("retry after %s s, want 2", got)
	}
	if n := allowed(l, bert, 10); n != 3 {
		t.Errorf("another caller of the tenant has %d calls, want 3", n)
	}
	at.pass(1500 * time.Millisecond) // what was promised
	if n := allowed(l, anna, 10); n != 1 {
		t.Errorf("%d calls after two seconds, want 1", n)
	}
	at.pass(time.Hour)
	if n := allowed(l, anna, 10); n != 3 {
		t.Errorf("%d calls after a pause, want the burst and no more", n)
	}
	at.pass(time.Hour)
	if err := l.Allow(anna, 100); err != nil {
		t.Errorf("a call that costs more than the bucket holds must be possible: %v", err)
	}
	at.pass(198 * time.Second)
	if n := allowed(l, anna, 10); n != 2 {
		t.Errorf("and is paid for afterwards: %d", n)
	}
}

func TestLimitOfATenant(t *testing.T) {
	t.Parallel()
	l, at, _ := limits(t, api.LimitConfig{TenantRate: 1, TenantBurst: 2, PrincipalRate: 1, PrincipalBurst: 5})
	anna, bert, both := caller("anna", "AA"), caller("bert", "AA"), caller("carl", "AA", "BB")
	if n := allowed(l, anna, 10); n != 2 {
		t.Errorf("%d", n)
	}
	if got := fault.From(l.Allow(bert, 1)).Details()["limit"]; got != "tenant" {
		t.Errorf("bert is limited by %q", got)
	}
	at.pass(time.Second)
	if n := allowed(l, bert, 10); n != 1 {
		t.Errorf("%d calls of the tenant after a second", n)
	}
	// What the tenant refused has not been taken from the caller: 4 of 5 are left.
	at.pass(time.Hour)
	if n := allowed(l, bert, 10); n != 2 {
		t.Errorf("%d", n)
	}
	// A token of several tenants is counted where it acts.
	if n := allowed(l, both, 10); n != 5 {
		t.Errorf("%d", n)
	}
	if err := l.AllowTenant(both, "AA", 1); fault.CodeOf(err) != fault.RateLimited {
		t.Errorf("AA is exhausted: %v", err)
	}
	if err := l.AllowTenant(both, "BB", 1); err != nil {
		t.Error(err)
	}
	if err := l.AllowTenant(anna, "AA", 1); err != nil {
		t.Errorf("counted by Allow already: %v", err)
	}
	if err := l.AllowTenant(both, "CC", 1); err != nil {
		t.Errorf("a tenant it may not act in is no bucket of its: %v", err)
	}
}

func TestNoLimits(t *testing.T) {
	t.Parallel()
	l, _, _ := limits(t, api.LimitConfig{})
	if l != nil || l.Allow(caller("anna", "AA"), 1) != nil || l.AllowTenant(caller("anna", "AA", "BB"), "AA", 1) != nil {
		t.Error("no limits refuse")
	}
	for key, c := range map[string]api.LimitConfig{
		"limits.principal_requests_per_second": {PrincipalRate: -1},
		"limits.tenant_requests_per_second":    {TenantRate: 1e9},
		"limits.tenant_burst":                  {TenantBurst: -1},
	} {
		if e := fault.From(c.Validate()); e == nil || e.Code() != fault.InvalidConfig || e.Details()["field"] != key {
			t.Errorf("%s: %v", key, e)
		}
	}
}

// Many callers fill neither the memory nor the metrics, and one that is over its
// limit is not forgotten for those who are not.
func TestLimitsAreBounded(t *testing.T) {
	t.Parallel()
	l, at, registry := limits(t, api.LimitConfig{PrincipalRate: 1, PrincipalBurst: 1})
	for i := range 150_000 {
		if i%1000 == 0 {
			at.pass(10 * time.Second) // those before are full again
		}
		p := caller(fmt.Sprint(i), fmt.Sprintf("T%d", i))
		if err := l.Allow(p, 1); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if i%100 == 0 {
			_ = l.Allow(p, 1) // refused, and counted
		}
	}
	if n := l.Remembered(); n > 100_000 {
		t.Errorf("%d callers are remembered", n)
	}
	busy := caller("149999", "T149999")
	if err := l.Allow(busy, 1); err == nil {
		t.Error("a busy caller was forgotten")
	}
	for i := range 150_000 { // all busy at once
		_ = l.Allow(caller(fmt.Sprint("x", i)), 1)
	}
	if n := l.Remembered(); n > 100_000 {
		t.Errorf("%d busy callers are remembered", n)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series, total := 0, 0.0
	for _, m := range families[0].GetMetric() {
		series++
		total += m.GetCounter().GetValue()
	}
	if series > 101 || total < 1501 {
		t.Errorf("%d series, %v refusals", series, total)
	}
}

// The header is that of the detail, whoever answers.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	l, _, _ := limits(t, api.LimitConfig{PrincipalRate: 0.1})
	anna := caller("anna", "AA")
	_ = l.Allow(anna, 1)
	w := httptest.NewRecorder()
	api.WriteError(w, httptest.NewRequest("GET", "/", nil), l.Allow(anna, 1))
	if w.Code != 429 || w.Header().Get("Retry-After") != "10" || !strings.Contains(w.Body.String(), `"retry_after":"10"`) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func BenchmarkAllow(b *testing.B) {
	l := api.NewLimits(api.LimitConfig{PrincipalRate: 1e6, TenantRate: 1e6}, nil, nil)
	anna := caller("anna", "AA")
	b.ReportAllocs()
	for b.Loop() {
		_ = l.Allow(anna, 1)
	}
}
