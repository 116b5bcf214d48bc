package objectevent

import (
	"context"
	"encoding/binary"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/belfry-events/belfry/pkg/fault"
)

func TestOE4PrivateAddressesAreRefused(t *testing.T) {
	t.Parallel()
	var none targets
	for _, a := range []string{
		"127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
		"100.64.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "192.0.0.8",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1",
		"fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2001:db8::1",
	} {
		if err := none.check(netip.MustParseAddr(a), true); fault.CodeOf(err) != fault.TargetForbidden {
			t.Errorf("%s may be called", a)
		}
	}
	for _, a := range []string{"8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111", "::ffff:8.8.8.8"} {
		if err := none.check(netip.MustParseAddr(a), true); err != nil {
			t.Errorf("%s: %v", a, err)
		}
		if err := none.check(netip.MustParseAddr(a), false); fault.CodeOf(err) != fault.TargetForbidden {
			t.Errorf("%s may be called without TLS", a)
		}
	}
	some := targets{allowed: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	if err := some.check(netip.MustParseAddr("::ffff:10.1.2.3"), false); err != nil {
		t.Errorf("allowed: %v", err)
	}
	if err := some.check(netip.MustParseAddr("127.0.0.1"), true); err == nil {
		t.Error("another network is allowed with it")
	}
}

func TestURLsThatCannotBeHooks(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t, hookConfigured(func(c *HookConfig) { c.Networks = nil }))
	for url, code := range map[string]fault.Code{
		"ftp://example.com/":                                fault.InvalidRequest,
		"example.com/hook":                                  fault.InvalidRequest,
		"https:///hook":                                     fault.InvalidRequest,
		"https://:443/hook":                                 fault.InvalidRequest,
		"https:example.com":                                 fault.InvalidRequest,
		"https://user:pw@example.com/":                      fault.InvalidRequest,
		"https://example.com/#top":                          fault.InvalidRequest,
		"https://example.com/" + string(make([]byte, 2048)): fault.InvalidRequest,
		"http://example.com/":                               fault.TargetForbidden,
		"https://127.0.0.1/":                                fault.TargetForbidden,
		"https://[::1]:8443/":                               fault.TargetForbidden,
		"https://[::ffff:10.0.0.1]/":                        fault.TargetForbidden,
		"https://169.254.169.254/latest/meta-data/":         fault.TargetForbidden,
	} {
		err := w.call("POST", "/v1/hooks", object{"name": "x", "events": []string{"sys.userDelete"}, "url": url}, nil)
		if fault.CodeOf(err) != code || fault.From(err).Details()["field"] != "url" {
			t.Errorf("%.60q: %v", url, err)
		}
	}
}

// TestOE4ANameIsCheckedWhenItIsDialled: it pointed to a public address, and points
// to our own network when the hook is called (DNS rebinding). The server there, which
// would have said yes, is never connected to.
func TestOE4ANameIsCheckedWhenItIsDialled(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	inside := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, `{"allow":true}`) }))
	inside.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	inside.StartTLS()
	t.Cleanup(inside.Close)
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var address atomic.Value
	address.Store("127.0.0.1")
	open := func(networks ...string) *hookWorld {
		return newHookWorld(t, hookConfigured(func(c *HookConfig) { c.Networks, c.CA = networks, certificate(t, inside) }),
			func(s *hookSetup) { s.resolve = pretendDNS(func(string) string { return address.Load().(string) }) })
	}
	w := open()
	w.register("rebound", object{"url": "https://example.com:" + port + "/hook"})
	out := w.mustBefore(nil)
	if out.GetAllowed() || out.GetHooks()[0].GetOutcome() != string(NotAllowed) || !strings.Contains(out.GetReason(), "127.0.0.1 is not a public address") {
		t.Fatalf("%v", out)
	}
	if n := connections.Load(); n != 0 {
		t.Fatalf("%d connections were made", n)
	}
	// The same name and server where the operator allows the network.
	w = open("127.0.0.0/8")
	w.register("inside", object{"url": "https://example.com:" + port + "/hook"})
	if out := w.mustBefore(nil); !out.GetAllowed() || connections.Load() == 0 {
		t.Fatalf("%v", out)
	}
}

// certificate is the file with the authority of a test's TLS server.
func certificate(t *testing.T, s *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// pretendDNS is a resolver that asks a server of the test's own (RFC 1035, over a
// stream): it answers every A question with one address, and others with none.
func pretendDNS(address func(name string) string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer func() { _ = server.Close() }()
			for {
				var length [2]byte
				if _, err := io.ReadFull(server, length[:]); err != nil {
					return
				}
				q := make([]byte, binary.BigEndian.Uint16(length[:]))
				if _, err := io.ReadFull(server, q); err != nil {
					return
				}
				end, name := 12, ""
				for q[end] != 0 {
					name += string(q[end+1:end+1+int(q[end])]) + "."
					end += 1 + int(q[end])
				}
				end += 5 // the root, type, class
				answer := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
				if q[end-3] == 1 { // A
					answer[7] = 1
					ip := netip.MustParseAddr(address(name)).As4()
					answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
					answer = append(answer, ip[:]...)
				}
				binary.BigEndian.PutUint16(length[:], uint16(len(answer)))
				if _, err := server.Write(append(length[:], answer...)); err != nil {
					return
				}
			}
		}()
		return client, nil
	}}
}

// TestOE4AnswersThatAreNone: whatever a server sends, it is no permission.
func TestOE4AnswersThatAreNone(t *testing.T) {
	t.Parallel()
	elsewhere := atomic.Int32{}
	w := newHookWorld(t)
	other := w.handler(func(rw http.ResponseWriter, r *http.Request, b []byte) {
		elsewhere.Add(1)
		answering(`{"allow":true}`)(rw, r, b)
	})
	status := func(code int) func(http.ResponseWriter, *http.Request, []byte) {
		return func(rw http.ResponseWriter, _ *http.Request, _ []byte) {
			rw.Header().Set("Location", other)
			rw.WriteHeader(code)
			_, _ = io.WriteString(rw, `{"allow":true}`)
		}
	}
	for name, handler := range map[string]func(http.ResponseWriter, *http.Request, []byte){
		"empty": answering(""), "null": answering("null"), "text": answering("yes"), "number": answering("1"),
		"truth-as-text": answering(`{"allow":"true"}`), "other-case": answering(`{"Allow":true}`), "no-allow": answering(`{"reason":"x"}`),
		"twice": answering(`{"allow":false,"allow":true}`), "more": answering(`{"allow":true} {}`), "unknown": answering(`{"allow":true,"ok":true}`),
		"not-utf8": answering("{\"allow\":true,\"reason\":\"\xff\"}"), "huge": answering(`{"allow":true,"reason":"` + strings.Repeat("x", 1<<20) + `"}`),
		"redirect": status(307), "found": status(302), "created": status(201), "forbidden": status(403), "broken": status(500),
	} {
		w.register(name, object{"url": w.handler(handler), "topics": []string{"users"}})
		out := w.mustBefore(object{"object": name})
		if out.GetAllowed() || out.GetHooks()[0].GetOutcome() != string(Garbage) {
			t.Errorf("%s: %v", name, out)
		}
		if err := w.call("DELETE", "/v1/hooks/"+name, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
	w.register("nobody", object{"url": "http://127.0.0.1:1/"})
	if out := w.mustBefore(nil); out.GetAllowed() || out.GetHooks()[0].GetOutcome() != string(Absent) {
		t.Errorf("%v", out)
	}
}
