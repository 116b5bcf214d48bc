package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Defaults and fixed limits of a JWKS.
const (
	DefaultJWKSRefresh = 5 * time.Minute
	// jwksPause is the least time between two requests to the issuer, whatever
	// arrives: tokens with made-up key ids must not become a load on it.
	jwksPause   = 10 * time.Second
	jwksTimeout = 5 * time.Second // of one request
	jwksBytes   = 1 << 20         // of one answer
)

// JWKSOptions configures NewJWKS.
type JWKSOptions struct {
	URL     string            // https, or http on the loopback; required
	Refresh time.Duration     // how often the set is read; default DefaultJWKSRefresh
	HTTP    http.RoundTripper // default one like http.DefaultTransport
	Log     *slog.Logger      // default: discards
}

// JWKS is the public keys of an issuer, kept in memory and read again in the
// background. When the issuer is down, or answers what is no key set, the last
// good set goes on counting; it may be down at the start as well, and tokens are
// then answered unavailable until it is not. A token with a key id that is not
// known has the set read at once, at most every ten seconds.
type JWKS struct {
	o      JWKSOptions
	client *http.Client
	life   context.Context
	end    context.CancelFunc
	wg     sync.WaitGroup

	readings atomic.Uint64 // that brought keys
	mu       sync.Mutex
	keys     keySet
	failed   error         // why the last reading gave nothing
	last     time.Time     // when the last reading began
	reading  chan struct{} // closed when the reading under way is done; nil = none
}

// NewJWKS checks the URL and starts nothing. Code invalid_config.
func NewJWKS(o JWKSOptions) (*JWKS, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || !safeURL(u) {
		return nil, fault.Field(fault.InvalidConfig, "auth.jwks_url", "must be an https URL (http only on this machine): who can change the keys on their way can sign any token")
	}
	if o.Refresh <= 0 {
		o.Refresh = DefaultJWKSRefresh
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if t, ok := http.DefaultTransport.(*http.Transport); ok && o.HTTP == nil {
		o.HTTP = t.Clone() // its own, because Close closes its connections
	}
	j := &JWKS{o: o}
	j.client = &http.Client{Transport: o.HTTP, Timeout: jwksTimeout, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > 3 || !safeURL(r.URL) {
			return errors.New("is sent on to where we do not follow")
		}
		return nil
	}}
	j.life, j.end = context.WithCancel(context.Background())
	return j, nil
}

// safeURL says whether nobody between the issuer and us can change its answer.
func safeURL(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && loopback
}

// Start reads the set now, and again every Refresh, until Close.
func (j *JWKS) Start() {
	j.wg.Go(func() {
		for {
			if done := j.read(); done != nil {
				<-done
			}
			pause := j.o.Refresh
			if j.problem() != nil {
				pause = min(pause, jwksPause)
			}
			select {
			case <-time.After(pause):
			case <-j.life.Done():
				return
			}
		}
	})
}

// Close ends what Start began, and waits for it.
func (j *JWKS) Close(context.Context) error {
	j.end()
	j.wg.Wait()
	j.client.CloseIdleConnections()
	return nil
}

func (j *JWKS) problem() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// find answers the key that a token means, reading the set anew if it is not
// among those known. Code unavailable when only the issuer could say, and does
// not.
func (j *JWKS) find(ctx context.Context, alg, kid string) (material any, ok bool, err error) {
	j.mu.Lock()
	material, ok = j.keys.find(alg, kid)
	j.mu.Unlock()
	if ok {
		return material, true, nil
	}
	if wait := j.read(); wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	material, ok = j.keys.find(alg, kid)
	if !ok && j.failed != nil {
		return nil, false, fault.Wrap(fault.Unavailable, j.failed, "token: the keys of its issuer cannot be had now")
	}
	return material, ok, nil
}

// read has the set read, unless that is under way or was done a moment ago. The
// channel closes when it is done; nil: it is too early.
func (j *JWKS) read() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.reading != nil {
		return j.reading
	}
	if !j.last.IsZero() && time.Since(j.last) < jwksPause || j.life.Err() != nil {
		return nil
	}
	done := make(chan struct{})
	j.reading, j.last = done, time.Now()
	j.wg.Go(func() {
		keys, err := j.fetch()
		j.mu.Lock()
		defer j.mu.Unlock()
		j.tell(err)
		if j.failed = err; err == nil {
			j.keys = keys
			j.readings.Add(1)
		}
		j.reading = nil
		close(done)
	})
	return done
}

// tell logs the changes between well and not well, not every try. Under mu.
func (j *JWKS) tell(err error) {
	switch {
	case err != nil && j.failed == nil && j.life.Err() == nil:
		j.o.Log.Warn("token keys cannot be read, the last ones go on counting", "err", err.Error(), "keys", len(j.keys))
	case err == nil && j.failed != nil:
		j.o.Log.Info("token keys can be read again")
	}
}

func (j *JWKS) fetch() (keySet, error) {
	r, err := http.NewRequestWithContext(j.life, http.MethodGet, j.o.URL, nil)
	if err != nil {
		return nil, err
	}
	resp, err := j.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the issuer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer answers %d", resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, jwksBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the issuer's answer: %w", err)
	}
	if len(b) > jwksBytes {
		return nil, fmt.Errorf("the issuer's answer is above the maximum of %d bytes", jwksBytes)
	}
	return parseJWKS(b)
}
