package api

import (
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// LimitConfig is how often callers may call; an operator's settings. 0 calls per
// second is no limit, which is the default: nobody but the operator knows which
// callers are people and which are servers that bring a day's events at night.
type LimitConfig struct {
	PrincipalRate  float64 `config:"limits.principal_requests_per_second" usage:"calls per second of one caller (issuer and subject of its token); 0 = no limit"`
	PrincipalBurst int     `config:"limits.principal_burst" usage:"calls a caller may make at once after a pause; 0 = one second's"`
	TenantRate     float64 `config:"limits.tenant_requests_per_second" usage:"calls per second of all callers of one tenant; 0 = no limit"`
	TenantBurst    int     `config:"limits.tenant_burst" usage:"calls a tenant may make at once after a pause; 0 = one second's"`
}

// Validate names the first key whose value is impossible; code invalid_config.
func (c LimitConfig) Validate() error {
	const most = 1e6 // a call per microsecond: more is no limit
	for _, v := range []struct {
		key   string
		value float64
	}{
		{"limits.principal_requests_per_second", c.PrincipalRate},
		{"limits.principal_burst", float64(c.PrincipalBurst)},
		{"limits.tenant_requests_per_second", c.TenantRate},
		{"limits.tenant_burst", float64(c.TenantBurst)},
	} {
		if !(v.value >= 0 && v.value <= most) { // NaN too
			return fault.Field(fault.InvalidConfig, v.key, "%v is outside 0 to %v", v.value, most)
		}
	}
	return nil
}

// Limits counts calls per caller and per tenant, in this process: behind two
// replicas a caller may make up to twice as many. A nil *Limits allows
// everything. Safe for concurrent use.
type Limits struct {
	principals, tenants *buckets
	now                 func() time.Time
	refused             *prometheus.CounterVec

	mu     sync.Mutex
	labels map[string]bool // tenants that have a series of their own
}

// What memory and metrics may grow to, however many callers there are.
const (
	maxBuckets      = 100_000 // about 10 MB of names and times
	maxTenantLabels = 100     // later ones are counted as "other"
)

// NewLimits makes limits from valid settings; nil if there are none. now is the
// clock, nil = time.Now.
func NewLimits(c LimitConfig, registry prometheus.Registerer, now func() time.Time) *Limits {
	if c.PrincipalRate == 0 && c.TenantRate == 0 {
		return nil
	}
	if now == nil {
		now = time.Now
	}
	l := &Limits{
		principals: newBuckets(c.PrincipalRate, c.PrincipalBurst), tenants: newBuckets(c.TenantRate, c.TenantBurst),
		now: now, labels: map[string]bool{},
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "belfry_rate_limited_total",
			Help: "Calls refused with rate_limited, by the limit that was reached and the tenant (the first 100; the rest is \"other\", a token of several is \"several\").",
		}, []string{"limit", "tenant"}),
	}
	if registry != nil {
		registry.MustRegister(l.refused)
	}
	return l
}

// Allow counts a call of cost against the caller and, if its token has one
// tenant only, against that tenant. A call that names one of several is counted
// by AllowTenant once the tenant is known. What is refused is not counted. Code
// rate_limited, with details["retry_after"] in seconds, rounded up.
func (l *Limits) Allow(p *auth.Principal, cost int) error {
	if l == nil || p == nil {
		return nil
	}
	now, key := l.now(), p.Key()
	if wait := l.principals.take(key, cost, now); wait > 0 {
		return l.refuse("principal", tenantLabel(p), wait)
	}
	if len(p.Tenants) != 1 {
		return nil
	}
	if wait := l.tenants.take(p.Tenants[0], cost, now); wait > 0 {
		l.principals.giveBack(key, cost)
		return l.refuse("tenant", p.Tenants[0], wait)
	}
	return nil
}

// AllowTenant counts a call against a tenant that the caller may act in, unless
// Allow already has.
func (l *Limits) AllowTenant(p *auth.Principal, tenant string, cost int) error {
	if l == nil || p == nil || len(p.Tenants) == 1 || !slices.Contains(p.Tenants, tenant) {
		return nil
	}
	if wait := l.tenants.take(tenant, cost, l.now()); wait > 0 {
		return l.refuse("tenant", tenant, wait)
	}
	return nil
}

func tenantLabel(p *auth.Principal) string {
	switch len(p.Tenants) {
	case 0:
		return "none"
	case 1:
		return p.Tenants[0]
	}
	return "several"
}

func (l *Limits) refuse(limit, tenant string, wait time.Duration) error {
	l.mu.Lock()
	switch {
	case l.labels[tenant]:
	case len(l.labels) < maxTenantLabels:
		l.labels[tenant] = true
	default:
		tenant = "other"
	}
	l.mu.Unlock()
	l.refused.WithLabelValues(limit, tenant).Inc()
	seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
	return fault.New(fault.RateLimited, "too many calls of this %s; try again in %s s", limit, seconds).
		With(retryAfter, seconds).With("limit", limit)
}

// retryAfter is the detail that becomes the header Retry-After.
const retryAfter = "retry_after"

// buckets are token buckets, one per key, in the form of the generic cell rate
// algorithm (ITU-T I.371): per key only the time at which its bucket will be
// full again. A bucket whose time has passed is full and therefore need not be
// kept, which is why this is not golang.org/x/time/rate: that one has a mutex
// and six words per key, and cannot say which keys may be forgotten.
type buckets struct {
	each time.Duration // that one call takes to come back; 0 = no limit
	room time.Duration // that may be taken in advance

	mu   sync.Mutex
	full map[string]time.Time
	most int
}

func newBuckets(rate float64, burst int) *buckets {
	b := &buckets{full: map[string]time.Time{}, most: maxBuckets}
	if rate == 0 {
		return b
	}
	if burst == 0 {
		burst = int(math.Ceil(rate))
	}
	b.each = time.Duration(float64(time.Second) / rate)
	b.room = time.Duration(burst) * b.each
	return b
}

// take takes cost calls out of key's bucket, or says how long until it may. More
// than the bucket holds is taken when it is full, and paid for afterwards.
func (b *buckets) take(key string, cost int, now time.Time) (wait time.Duration) {
	if b.each == 0 || cost <= 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	full, known := b.full[key]
	if full.Before(now) {
		full = now
	}
	price := time.Duration(cost) * b.each
	if wait = full.Add(min(price, b.room)).Sub(now) - b.room; wait > 0 {
		return wait
	}
	if !known && len(b.full) >= b.most {
		b.forget(now)
	}
	b.full[key] = full.Add(price)
	return 0
}

// giveBack undoes a take.
func (b *buckets) giveBack(key string, cost int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if full, ok := b.full[key]; ok {
		b.full[key] = full.Add(-time.Duration(cost) * b.each)
	}
}

// forget makes room: of the buckets that are full nothing is lost. If none is,
// more callers are busy than are remembered, and an arbitrary tenth starts anew:
// memory stays bounded, and those callers get one burst more.
func (b *buckets) forget(now time.Time) {
	for key, full := range b.full {
		if !full.After(now) {
			delete(b.full, key)
		}
	}
	for key := range b.full {
		if len(b.full) <= b.most-b.most/10 {
			return
		}
		delete(b.full, key)
	}
}
