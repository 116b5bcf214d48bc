package bustest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Ports for servers that must be reachable where others expect them, also after a
// restart. They lie below the range from which Linux takes the ports of outgoing
// connections and of listeners that ask for any: one of those could otherwise be
// given to somebody else between choosing and listening.
const (
	lowestPort = 12_000
	ports      = 20_000
)

// FreeAddrs picks n addresses on the loopback where nobody listens now. Until the test
// ends no other test is given one of them, of whatever process: its UDP port is held.
func FreeAddrs(t testing.TB, n int) (addrs []string) {
	t.Helper()
	for len(addrs) < n {
		addr := fmt.Sprintf("127.0.0.1:%d", lowestPort+rand.IntN(ports))
		if claim(t, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// claim holds an address for the test, unless somebody has it.
func claim(t testing.TB, addr string) bool {
	t.Helper()
	var listen net.ListenConfig
	held, err := listen.ListenPacket(t.Context(), "udp", addr)
	if err == nil {
		var l net.Listener
		if l, err = listen.Listen(t.Context(), "tcp", addr); err == nil {
			_ = l.Close() // a server is to listen there
			t.Cleanup(func() { _ = held.Close() })
			return true
		}
		_ = held.Close()
	}
	if t.Context().Err() != nil {
		t.Fatal(err)
	}
	return false
}

// freePorts is FreeAddrs as port numbers.
func freePorts(t testing.TB, n int) (numbers []int) {
	t.Helper()
	for _, addr := range FreeAddrs(t, n) {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, tcp.Port)
	}
	return numbers
}
