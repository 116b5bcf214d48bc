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

// FreeAddrs picks n addresses on the loopback where nobody listens now.
func FreeAddrs(t testing.TB, n int) (addrs []string) {
	t.Helper()
	for len(addrs) < n {
		addr := fmt.Sprintf("127.0.0.1:%d", lowestPort+rand.IntN(ports))
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
		if err != nil {
			if t.Context().Err() != nil {
				t.Fatal(err)
			}
			continue // taken; there are many
		}
		// Held until all are chosen, so that none is chosen twice.
		defer func() { _ = l.Close() }()
		addrs = append(addrs, addr)
	}
	return addrs
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
