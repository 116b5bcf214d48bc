package gateway

import (
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// SR1: two replicas share the key, and know of each other's connections.
func TestSR1TwoGateways(t *testing.T) {
	t.Parallel()
	a := newWorld(t)
	b := newWorld(t, beside(a))
	token := a.token()
	query := a.hubNegotiate(token)
	if status, body := b.call("GET", query, token, ""); status != 200 || body != "" {
		t.Fatalf("first poll at the other: %d %s", status, body)
	}
	for method, query := range map[string]string{"GET": query, "POST": query, "DELETE": query} {
		if status, body := a.call(method, query, token, ""); status != 404 || !strings.Contains(body, `"connection_elsewhere"`) || !strings.Contains(body, b.s.signals.id) {
			t.Errorf("%s: %d %s", method, status, body)
		}
	}
	if status, _ := b.call("DELETE", query, token, ""); status != 202 {
		t.Errorf("delete: %d", status)
	}
	bustest.Eventually(t, patience, "nobody has it", func() bool {
		_, body := a.call("POST", query, token, "")
		return strings.Contains(body, "connection_unknown")
	})
}
