package objectevent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

// targets is where hooks may be called over HTTP. A tenant's administrator chooses
// the address, and we stand inside the operator's network: without a fence a hook
// would be a way to its other servers.
//
//	registered   the URL's form; an address written as a number
//	dialled      the address that the name has at this moment, after it is resolved
//	             and before a packet is sent: a name that pointed elsewhere when it
//	             was registered (DNS rebinding) is refused here
//	answered     redirects are not followed, proxies of the environment not used
type targets struct{ allowed []netip.Prefix }

// refused are networks that are no part of the public internet (IANA special-purpose
// registries), and those that carry an IPv4 address inside, so that none of them is
// a disguise for another.
var refused = func() (all []netip.Prefix) {
	for _, p := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
		"3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	} {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}()

// check says whether an address may be called. Code target_forbidden.
func (t *targets) check(addr netip.Addr, encrypted bool) error {
	addr = addr.Unmap().WithZone("")
	inside := func(p netip.Prefix) bool { return p.Contains(addr) }
	switch {
	case slices.ContainsFunc(t.allowed, inside):
		return nil
	case !addr.IsValid() || slices.ContainsFunc(refused, inside):
		return fault.Field(fault.TargetForbidden, "url", "%s is not a public address; an operator may allow its network by objectevent.hook_networks", addr)
	case !encrypted:
		return fault.Field(fault.TargetForbidden, "url", "must begin with https://: plain http goes to the networks of objectevent.hook_networks only")
	}
	return nil
}

// checkHost is check of a URL whose host is a number, and of one that no address
// could make right.
func (t *targets) checkHost(u *url.URL) error {
	encrypted := u.Scheme == "https"
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		return t.check(addr, encrypted)
	}
	if !encrypted && len(t.allowed) == 0 {
		return fault.Field(fault.TargetForbidden, "url", "must begin with https://")
	}
	return nil
}

// control is called for every connection with the address it is about to be made
// to.
func (t *targets) control(encrypted bool) func(ctx context.Context, network, address string, _ syscall.RawConn) error {
	return func(_ context.Context, _, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return fault.Wrap(fault.TargetForbidden, err, "url: %q is no address", address)
		}
		return t.check(a.Addr(), encrypted)
	}
}

const (
	// connectionsPerHook bounds what one slow host can take of us; a call that
	// finds none free waits, and its time runs.
	connectionsPerHook = 64
	maxAnswerHeaders   = 16 << 10
	dialWithin         = 5 * time.Second
)

// errRedirected ends a call that is answered with a redirect: it would lead the
// signed body to where nobody registered it.
var errRedirected = errors.New("answered with a redirect, which is not followed")

// client makes the client of all calls over HTTP. resolve is how names become
// addresses, nil = the system's way.
func (t *targets) client(ca string, resolve *net.Resolver) (*http.Client, error) {
	roots, err := authorities(ca)
	if err != nil {
		return nil, err
	}
	dial := func(encrypted bool) func(context.Context, string, string) (net.Conn, error) {
		d := &net.Dialer{Timeout: dialWithin, Resolver: resolve, ControlContext: t.control(encrypted)}
		return d.DialContext
	}
	tlsConfig := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	encrypted := dial(true)
	transport := &http.Transport{
		DialContext: dial(false),
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			raw, err := encrypted(ctx, network, address)
			if err != nil {
				return nil, err
			}
			c := tlsConfig.Clone()
			if c.ServerName, _, err = net.SplitHostPort(address); err != nil {
				_ = raw.Close()
				return nil, err
			}
			conn := tls.Client(raw, c)
			if err := conn.HandshakeContext(ctx); err != nil {
				_ = raw.Close()
				return nil, err
			}
			return conn, nil
		},
		MaxConnsPerHost: connectionsPerHook, MaxIdleConnsPerHost: 4, MaxIdleConns: 256, IdleConnTimeout: time.Minute,
		MaxResponseHeaderBytes: maxAnswerHeaders, DisableCompression: true,
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirected },
	}, nil
}

// authorities reads a PEM file; "" = the system's. Code invalid_config.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	const key = "objectevent.hook_ca"
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidConfig, err, "%s: %s", key, err).With("field", key)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fault.Wrap(fault.InvalidConfig, fmt.Errorf("no certificate in %s", file), "%s: %s holds no certificate", key, file).With("field", key)
	}
	return pool, nil
}
