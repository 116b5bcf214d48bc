package auth_test

import (
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

func TestParseGrant(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"subscribe:*":        "subscribe:*",
		"publish:Invoices":   "publish:invoices",
		"subscribe:a:b":      "subscribe:a:b",
		"publish:objednávky": "publish:objednávky",
		"mailbox":            "mailbox",
		"realtime":           "realtime",
		"admin":              "admin",
	} {
		g, err := auth.ParseGrant(text)
		if err != nil || g.String() != want {
			t.Errorf("ParseGrant(%q) = %q, %v; want %q", text, g, err, want)
		}
	}
	for text, says := range map[string]string{
		"":                                    "unknown action",
		"subscibe:*":                          "the actions are subscribe, publish, mailbox, realtime, admin",
		"clock":                               "unknown action", // nobody needs it
		"subscribe":                           "needs a topic: subscribe:<topic>, or subscribe:* for all",
		"publish:":                            "must not be empty",
		"publish:>":                           "is a wildcard",
		"mailbox:invoices":                    "mailbox takes no topic",
		"admin:":                              "admin takes no topic",
		"SUBSCRIBE:*":                         "unknown action",
		"publish:a\nb":                        "control character",
		"publish:" + strings.Repeat("x", 256): "above the maximum of 255",
	} {
		_, err := auth.ParseGrant(text)
		e := fault.From(err)
		if e == nil || e.Code() != fault.InvalidRequest || e.Details()["field"] != "grant" || !strings.Contains(e.Error(), says) {
			t.Errorf("ParseGrant(%q): %v; want %q", text, err, says)
		}
	}
	if _, err := auth.ParseGrants([]string{"mailbox", "nothing"}); err == nil {
		t.Error("one wrong grant among several was taken")
	}
}

// A grant reads back as itself, and never covers more than its text says.
func FuzzParseGrant(f *testing.F) {
	for _, s := range []string{"subscribe:*", "publish:Invoices", "mailbox", "admin", "subscribe", "publish:a:b", "publish:\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g, err := auth.ParseGrant(s)
		if err != nil {
			if fault.CodeOf(err) != fault.InvalidRequest {
				t.Fatalf("code %s", fault.CodeOf(err))
			}
			return
		}
		again, err := auth.ParseGrant(g.String())
		if err != nil || again != g {
			t.Fatalf("%q -> %q -> %q, %v", s, g, again, err)
		}
		p := &auth.Principal{Tenants: []string{"AA"}, Grants: auth.Grants{g}}
		if g.Action != auth.Admin && p.Decide(auth.Request{Action: auth.Admin}) == nil {
			t.Fatalf("%q gives admin", s)
		}
		if g.Topic != auth.AllTopics && p.Decide(auth.Request{Action: auth.Subscribe, Tenant: "AA"}) == nil {
			t.Fatalf("%q covers all topics", s)
		}
	})
}
