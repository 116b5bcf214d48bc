package gateway

import (
	"bytes"
	"encoding/json"
	"sync"
	"testing"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// paper is a sink that keeps what is written to it.
type paper struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *paper) write(items []*item) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, it := range items {
		p.text.Write(it.body)
	}
	return nil
}

func (p *paper) goodbye(fault.Code) {}
func (p *paper) abort()             {}

// FuzzFrames: whatever a client sends, every frame is answered with frames, and
// nothing breaks.
func FuzzFrames(f *testing.F) {
	for _, seed := range []string{
		`{"id":"1","subscribe":{"topic":"invoices"}}`, `{"subscribe":{"name":"frm.objectInserted"}}`, `{"unsubscribe":{}}`,
		`{"resume":{"cursor":"abcdefgh-0000000000000001","subscriptions":[{}]}}`, `{"ping":{}}` + "\n" + `{"ping":{}}`,
		`{"id":"1","token":{"accessToken":"eyJhbGciOiJub25lIn0.e30."}}`, `{"token":{}}`, `{"token":{},"ping":{}}`,
		`{"resume":{"cursor":"abcdefgh-ffffffffffffffff","subscriptions":[{"topic":"a"},{"name":"frm.objectInserted"}]}}`,
		`{`, `[]`, `null`, `{"id":7}`, `{"subscribe":{"tenant":"_"}}`, "\x00\xff", `{"id":"\ud800","ping":{}}`,
	} {
		f.Add([]byte(seed))
	}
	w := newWorld(f)
	principal := &auth.Principal{Subject: "anna", Tenants: []string{"AA"}, Grants: auth.Everything()}
	f.Fuzz(func(t *testing.T, text []byte) {
		out := &paper{}
		c, err := w.s.newConnection(plain, principal, out, allCodes)
		if err != nil {
			t.Fatal(err)
		}
		defer w.s.endConnection(c)
		n := &session{s: w.s, c: c, ctx: t.Context()}
		n.message(text)
		n.settle()
		c.mu.Lock()
		closing := c.closing
		c.mu.Unlock()
		if closing != "" {
			t.Fatalf("the connection is closing with %s", closing)
		}
		out.mu.Lock()
		defer out.mu.Unlock()
		for line := range bytes.Lines(out.text.Bytes()) {
			if !json.Valid(line) {
				t.Fatalf("answered %q", line)
			}
		}
	})
}

// FuzzParseCursor: an SSE cursor is read or refused, and what is read is a
// position that the stream can be read from.
func FuzzParseCursor(f *testing.F) {
	for _, seed := range []string{"abcdefgh-000000000000000a", "abcdefgh-000000000000000a+02", "", "+", "abcdefgh-000000000000000a+-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, parts, err := parseCursor(text)
		if err == nil && (len(c.Epoch) != 8 || parts < 0) {
			t.Errorf("%q: %+v %d", text, c, parts)
		}
	})
}
