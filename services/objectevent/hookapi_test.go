package objectevent

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

func TestOE4TheLifeOfAHook(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	created := w.register("Guard", object{"events": []string{"SYS.userdelete", "sys.userDelete"}, "topics": []string{"Users", "USERS"}, "timeout": nil})
	k := created.GetHook()
	if created.GetSecret() != "" || k.GetSubject() != "hook.AA.guard" || k.GetRevision() != 1 || k.GetTimeout().AsDuration() != 2*time.Second ||
		k.GetUpdatedBy() != "anna" || k.GetCircuit() != circuitClosed ||
		!cmp.Equal(k.GetEvents(), []string{"sys.userDelete"}) || !cmp.Equal(k.GetTopics(), []string{"users"}) {
		t.Fatalf("%v", created)
	}
	if err := w.call("POST", "/v1/hooks", object{"name": "GUARD", "events": []string{"sys.userDelete"}}, nil); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("the same name in another case: %v", err)
	}
	// It gets a URL, and with it a secret, once.
	update := object{"events": []string{"sys.userDelete"}, "url": "https://example.com/hook", "timeout": "1.5s", "failOpen": true, "revision": 1}
	updated := &objecteventv1.UpdateHookResponse{}
	if err := w.call("PUT", "/v1/hooks/guard", update, updated); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(updated.GetSecret(), "whsec_") || updated.GetHook().GetRevision() != 2 || updated.GetHook().GetSubject() != "" || !updated.GetHook().GetFailOpen() {
		t.Fatalf("%v", updated)
	}
	if err := w.call("PUT", "/v1/hooks/guard", update, nil); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("an update of an old revision: %v", err)
	}
	list := &objecteventv1.ListHooksResponse{}
	if err := w.call("GET", "/v1/hooks", nil, list); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*objecteventv1.Hook{updated.GetHook()}, list.GetHooks(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	rotated := &objecteventv1.RotateHookSecretResponse{}
	if err := w.call("POST", "/v1/hooks/guard/secret", object{"overlap": "60s"}, rotated); err != nil || rotated.GetSecret() == updated.GetSecret() {
		t.Errorf("%v %v", rotated, err)
	}
	if err := w.call("DELETE", "/v1/hooks/guard?revision=1", nil, nil); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("a deletion of an old revision: %v", err)
	}
	if err := w.call("DELETE", "/v1/hooks/guard?revision=3", nil, nil); err != nil {
		t.Error(err)
	}
	for method, path := range map[string]string{"GET": "/v1/hooks/guard", "PUT": "/v1/hooks/guard", "DELETE": "/v1/hooks/guard", "POST": "/v1/hooks/guard/test"} {
		if err := w.call(method, path, object{}, nil); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%s %s: %v", method, path, err)
		}
	}
	if out := w.mustBefore(nil); len(out.GetHooks()) != 0 {
		t.Errorf("a hook that is gone is asked: %v", out)
	}
}

// TestOE4ADisabledHookIsNotAsked, but it can be tried.
func TestOE4ADisabledHookIsNotAsked(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("guard", object{"disabled": true, "url": w.handler(answering(`{"allow":false,"reason":"no"}`))})
	if out := w.mustBefore(nil); !out.GetAllowed() || len(out.GetHooks()) != 0 {
		t.Errorf("%v", out)
	}
	tried := &objecteventv1.TestHookResponse{}
	if err := w.call("POST", "/v1/hooks/guard/test", object{"object": "42", "old": object{"name": "Jan"}}, tried); err != nil {
		t.Fatal(err)
	}
	if tried.GetAllowed() || tried.GetAnswer().GetReason() != "no" {
		t.Errorf("%v", tried)
	}
	if v := w.awaitVerdicts(1, "?hook=GUARD")[0]; !v.GetDryRun() || v.GetObject() != "42" || v.GetDeletionId() != "" {
		t.Errorf("%v", v)
	}
	if n := len(w.stored("users", "deleting")); n != 1 { // of the question, none of the trial
		t.Errorf("%d events", n)
	}
}

func TestHooksRefuseBadInput(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t, hookConfigured(func(c *HookConfig) { c.MaxHooks = 2 }))
	for _, c := range []struct {
		more  object
		code  fault.Code
		field string
	}{
		{object{"name": ""}, fault.InvalidName, "name"},
		{object{"name": "a.b"}, fault.InvalidName, "name"},
		{object{"name": strings.Repeat("x", 64)}, fault.InvalidName, "name"},
		{object{"events": nil}, fault.InvalidRequest, "events"},
		{object{"events": []string{"sys.userDeleted"}}, fault.UnknownName, "events"},
		{object{"topics": []string{"*"}}, fault.InvalidTopic, "topic"},
		{object{"topics": make([]string, 65)}, fault.InvalidRequest, "topics"},
		{object{"timeout": "0.01s"}, fault.InvalidRequest, "timeout"},
		{object{"timeout": "31s"}, fault.InvalidRequest, "timeout"},
		{object{"timeout": "-1s"}, fault.InvalidRequest, "timeout"},
		{object{"tenant": "BB"}, fault.TenantForbidden, "tenant"},
		{object{"failopen": true, "failOpen": true}, fault.InvalidRequest, "failOpen"},
	} {
		in := object{"name": "x", "events": []string{"sys.userDelete"}}
		maps.Copy(in, c.more)
		err := w.call("POST", "/v1/hooks", in, nil)
		if fault.CodeOf(err) != c.code || !strings.EqualFold(fault.From(err).Details()["field"], c.field) {
			t.Errorf("%.60v: %v, not %s of %s", c.more, err, c.code, c.field)
		}
	}
	w.register("a", nil)
	w.register("b", nil)
	if err := w.call("POST", "/v1/hooks", object{"name": "c", "events": []string{"sys.userDelete"}}, nil); fault.CodeOf(err) != fault.TooManyHooks {
		t.Errorf("one too many: %v", err)
	}
	for _, query := range []string{"?after=x", "?limit=0", "?limit=501"} {
		if err := w.call("GET", "/v1/verdicts"+query, nil, nil); err == nil || fault.CodeOf(err).Kind() != fault.Invalid {
			t.Errorf("%s: %v", query, err)
		}
	}
	for change, bad := range map[string]func(*HookConfig){
		"hook_networks": func(c *HookConfig) { c.Networks = []string{"10.0.0.1"} }, "hook_budget": func(c *HookConfig) { c.Budget = time.Minute },
		"deletion_ttl": func(c *HookConfig) { c.DeletionTTL = 0 }, "max_hooks": func(c *HookConfig) { c.MaxHooks = 0 },
		"hook_failures": func(c *HookConfig) { c.Failures = 0 }, "hook_pause": func(c *HookConfig) { c.Pause = 0 },
	} {
		c := DefaultHooks()
		bad(&c)
		if err := c.Validate(); fault.CodeOf(err) != fault.InvalidConfig || fault.From(err).Details()["field"] != "objectevent."+change {
			t.Errorf("%s: %v", change, err)
		}
	}
}

// TestOE4HooksBelongToTheirTenant: nobody else's are seen, changed, or asked.
func TestOE4HooksBelongToTheirTenant(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("guard", object{"url": w.handler(answering(`{"allow":false}`))})
	other := w.sign([]string{"BB"}, append(auth.Everything(), auth.Grant{Action: auth.Admin})...)
	for _, c := range [][2]string{{"GET", "/v1/hooks/guard"}, {"PUT", "/v1/hooks/guard"}, {"DELETE", "/v1/hooks/guard"}, {"POST", "/v1/hooks/guard/test"}} {
		if err := w.callAs(other, c[0], c[1], object{}, nil); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%s %s: %v", c[0], c[1], err)
		}
		if err := w.callAs(other, c[0], c[1]+"?tenant=AA", object{"tenant": "AA"}, nil); fault.CodeOf(err) != fault.TenantForbidden {
			t.Errorf("%s %s of AA: %v", c[0], c[1], err)
		}
	}
	out := &objecteventv1.BeforeDeleteResponse{}
	if err := w.callAs(other, "POST", "/v1/deletions", object{"topic": "users", "object": "42", "mode": "trash"}, out); err != nil || !out.GetAllowed() {
		t.Errorf("the hook of another tenant: %v %v", out, err)
	}
	if err := w.call("GET", "/v1/deletions/"+out.GetDeletionId(), nil, nil); fault.CodeOf(err) != fault.DeletionUnknown {
		t.Errorf("the deletion of another tenant: %v", err)
	}
	if _, err := w.before(object{"within": out.GetDeletionId()}); fault.CodeOf(err) != fault.DeletionUnknown {
		t.Errorf("within the deletion of another tenant: %v", err)
	}
	anna := w.sign([]string{"AA"}, auth.Everything()...)
	if err := w.callAs(anna, "GET", "/v1/hooks", nil, nil); fault.CodeOf(err) != fault.GrantMissing {
		t.Errorf("without the grant admin: %v", err)
	}
	if err := w.callAs(anna, "GET", "/v1/verdicts", nil, nil); fault.CodeOf(err) != fault.GrantMissing {
		t.Errorf("without the grant admin: %v", err)
	}
}

func TestVerdictsArePaged(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("guard", object{"url": w.handler(answering(`{"allow":true}`))})
	for range 5 {
		w.mustBefore(nil)
	}
	all := w.awaitVerdicts(5, "?since=2020-01-01T00:00:00Z")
	var paged []*objecteventv1.HookVerdict
	after := ""
	for {
		out := &objecteventv1.ListVerdictsResponse{}
		if err := w.call("GET", "/v1/verdicts?limit=2&hook=guard&after="+after, nil, out); err != nil {
			t.Fatal(err)
		}
		paged = append(paged, out.GetVerdicts()...)
		if after = out.GetCursor(); !out.GetMore() {
			break
		}
	}
	if diff := cmp.Diff(all, paged, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if w.awaitVerdicts(0, "?since=2999-01-01T00:00:00Z") != nil {
		t.Error("verdicts of the future")
	}
}

// TestOE4RegistrationsAtOnce: none of them is lost.
func TestOE4RegistrationsAtOnce(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	var all sync.WaitGroup
	var made atomic.Int32
	for i := range 8 {
		all.Go(func() {
			name := string(rune('a' + i))
			err := w.call("POST", "/v1/hooks", object{"name": name, "events": []string{"sys.userDelete"}}, nil)
			switch fault.CodeOf(err) {
			case "":
				made.Add(1)
			case fault.Conflict: // too many others; it says so
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, err := w.h.store.list(t.Context(), "AA")
	if err != nil || len(list) != int(made.Load()) {
		t.Fatalf("%d hooks, %d were answered: %v", len(list), made.Load(), err)
	}
}

// TestOE4BeforeDeleteOverNATS: svc.objectevent.BeforeDelete, by a stranger with a
// token.
func TestOE4BeforeDeleteOverNATS(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("guard", object{"url": w.handler(answering(`{"allow":false,"reason":"no"}`))})
	calls := w.api.NATS(w.nats.Bus().NC)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- calls.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	<-calls.Ready()
	nc := bustest.Connect(t, w.nats.URL())
	reply, err := nc.RequestMsg(&nats.Msg{
		Subject: "svc.objectevent.BeforeDelete", Data: []byte(`{"topic":"users","object":"42","mode":"trash"}`),
		Header: nats.Header{"Authorization": {"Bearer " + w.token}},
	}, hookPatience)
	if err != nil {
		t.Fatal(err)
	}
	out := &objecteventv1.BeforeDeleteResponse{}
	if err := (api.JSON{}).Unmarshal(reply.Data, out); err != nil || out.GetAllowed() || out.GetReason() != "no" {
		t.Fatalf("%s: %v", reply.Data, err)
	}
}

// TestSecretsAreNotShown in anything but the answer that makes them.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("guard", object{"url": "https://example.com/"})
	all, err := w.h.store.list(t.Context(), "AA")
	if err != nil {
		t.Fatal(err)
	}
	shown, err := json.Marshal(w.h.show("AA", all[0]))
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimPrefix(all[0].Secrets[0].String(), secretPrefix)
	if strings.Contains(string(shown), key) {
		t.Fatal("a hook shows its secret")
	}
}
