package auth_test

import (
	"testing"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

func grants(t *testing.T, texts ...string) auth.Grants {
	t.Helper()
	gs, err := auth.ParseGrants(texts)
	if err != nil {
		t.Fatal(err)
	}
	return gs
}

// The whole of who may do what: one row per rule.
func TestDecide(t *testing.T) {
	t.Parallel()
	const yes = fault.Code("")
	for _, c := range []struct {
		name    string
		tenants []string
		grants  []string
		ask     auth.Request
		want    fault.Code
	}{
		{"a topic that is granted", []string{"AA"}, []string{"subscribe:invoices"}, auth.Request{auth.Subscribe, "AA", "invoices"}, yes},
		{"another topic", []string{"AA"}, []string{"subscribe:invoices"}, auth.Request{auth.Subscribe, "AA", "orders"}, fault.GrantMissing},
		{"topics ignore case when asked", []string{"AA"}, []string{"subscribe:invoices"}, auth.Request{auth.Subscribe, "AA", "INVOICES"}, yes},
		{"topics ignore case when granted", []string{"AA"}, []string{"publish:INVOICES"}, auth.Request{auth.Publish, "AA", "invoices"}, yes},
		{"a topic is not a prefix", []string{"AA"}, []string{"subscribe:inv"}, auth.Request{auth.Subscribe, "AA", "invoices"}, fault.GrantMissing},
		{"* covers any topic", []string{"AA"}, []string{"subscribe:*"}, auth.Request{auth.Subscribe, "AA", "orders"}, yes},
		{"* covers all topics", []string{"AA"}, []string{"subscribe:*"}, auth.Request{auth.Subscribe, "AA", ""}, yes},
		{"all topics need *", []string{"AA"}, []string{"subscribe:invoices"}, auth.Request{auth.Subscribe, "AA", ""}, fault.GrantMissing},
		{"one of several grants is enough", []string{"AA"}, []string{"mailbox", "subscribe:a", "subscribe:b"}, auth.Request{auth.Subscribe, "AA", "b"}, yes},
		{"subscribe is not publish", []string{"AA"}, []string{"subscribe:*"}, auth.Request{auth.Publish, "AA", "invoices"}, fault.GrantMissing},
		{"publish is not subscribe", []string{"AA"}, []string{"publish:*"}, auth.Request{auth.Subscribe, "AA", "invoices"}, fault.GrantMissing},
		{"admin implies nothing else", []string{"AA"}, []string{"admin"}, auth.Request{auth.Subscribe, "AA", "invoices"}, fault.GrantMissing},
		{"everything is not admin", []string{"AA"}, auth.Everything().Texts(), auth.Request{auth.Admin, "AA", ""}, fault.GrantMissing},
		{"admin", []string{"AA"}, []string{"admin"}, auth.Request{auth.Admin, "", ""}, yes},
		{"mailbox", []string{"AA"}, []string{"mailbox"}, auth.Request{auth.Mailbox, "AA", "invoices"}, yes},
		{"mailbox without a tenant", []string{"AA"}, []string{"mailbox"}, auth.Request{auth.Mailbox, "", ""}, yes},
		{"realtime", []string{"AA"}, []string{"realtime"}, auth.Request{auth.Realtime, "AA", ""}, yes},
		{"realtime is granted, not given", []string{"AA"}, []string{"admin", "mailbox"}, auth.Request{auth.Realtime, "AA", ""}, fault.GrantMissing},

		{"another tenant", []string{"AA"}, []string{"subscribe:*"}, auth.Request{auth.Subscribe, "BB", "invoices"}, fault.TenantForbidden},
		{"tenants do not ignore case", []string{"AA"}, []string{"subscribe:*"}, auth.Request{auth.Subscribe, "aa", "invoices"}, fault.TenantForbidden},
		{"one of several tenants", []string{"AA", "BB"}, []string{"subscribe:*"}, auth.Request{auth.Subscribe, "BB", "invoices"}, yes},
		{"every tenant of the token", []string{"AA", "BB"}, []string{"subscribe:*"}, auth.Request{auth.Subscribe, "", "invoices"}, yes},
		{"every tenant of a token without any", nil, []string{"subscribe:*"}, auth.Request{auth.Subscribe, "", "invoices"}, fault.TenantForbidden},
		{"to publish is to one tenant", []string{"AA"}, []string{"publish:*"}, auth.Request{auth.Publish, "", "invoices"}, fault.TenantForbidden},
		{"to notify is in one tenant", []string{"AA"}, []string{"realtime"}, auth.Request{auth.Realtime, "", ""}, fault.TenantForbidden},
		{"admin does not open a tenant", []string{"AA"}, []string{"admin"}, auth.Request{auth.Admin, "BB", ""}, fault.TenantForbidden},

		{"the platform's clock, without anything", nil, nil, auth.Request{auth.Clock, "", ""}, yes},
		{"a tenant's clock", []string{"AA"}, nil, auth.Request{auth.Clock, "AA", ""}, yes},
		{"another tenant's clock", []string{"AA"}, nil, auth.Request{auth.Clock, "BB", ""}, fault.TenantForbidden},
		{"an action nobody knows", []string{"AA"}, []string{"admin"}, auth.Request{"erase", "AA", ""}, fault.GrantMissing},
		{"no action", []string{"AA"}, auth.Everything().Texts(), auth.Request{"", "AA", ""}, fault.GrantMissing},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := &auth.Principal{Subject: "anna", Tenants: c.tenants, Grants: grants(t, c.grants...)}
			if err := p.Decide(c.ask); fault.CodeOf(err) != c.want {
				t.Errorf("Decide(%+v) with %v = %v, want code %q", c.ask, c.grants, err, c.want)
			}
		})
	}
	var nobody *auth.Principal
	if err := nobody.Decide(auth.Request{Action: auth.Clock}); fault.CodeOf(err) != fault.TokenMissing {
		t.Errorf("no principal: %v", err)
	}
}

func TestDecideSaysWhatWouldBeNeeded(t *testing.T) {
	t.Parallel()
	p := &auth.Principal{Tenants: []string{"AA"}}
	err := p.Decide(auth.Request{auth.Publish, "AA", "Invoices"})
	if e := fault.From(err); e.Details()["grant"] != "publish:invoices" || e.Error() != "the token has no grant for publish:invoices" {
		t.Errorf("%v %v", e, e.Details())
	}
	err = p.Decide(auth.Request{auth.Publish, "BB", "Invoices"})
	if e := fault.From(err); e.Details()["field"] != "tenant" || e.Error() != `tenant: "BB" is not among the token's tenants (AA)` {
		t.Errorf("%v %v", e, e.Details())
	}
}

func TestTenant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tenants []string
		asked   string
		want    string
		code    fault.Code
	}{
		{[]string{"AA"}, "", "AA", ""},
		{[]string{"AA", "BB"}, "BB", "BB", ""},
		{[]string{"AA", "BB"}, "", "", fault.InvalidRequest},
		{nil, "", "", fault.InvalidRequest},
		{[]string{"AA"}, "CC", "CC", ""}, // Decide refuses it
	} {
		got, err := (&auth.Principal{Tenants: c.tenants}).Tenant(c.asked)
		if got != c.want || fault.CodeOf(err) != c.code {
			t.Errorf("Tenant(%q) of %v = %q, %v", c.asked, c.tenants, got, err)
		}
	}
}
