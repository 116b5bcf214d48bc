package objectevent

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// deletion notes a verdict as BeforeDelete does.
func (w *opWorld) deletion(id string, d Deletion) {
	w.t.Helper()
	d.Tenant, d.Expires = "AA", time.Now().Add(time.Hour)
	if _, err := w.s.hooks.deletions.put(w.t.Context(), id, d, 0); err != nil {
		w.t.Fatal(err)
	}
}

// What is wrong with an operation is told with the code and the field, whichever way
// it came: over HTTP as the answer, over NATS as dead letter, event and list. Nothing
// of it is done.
func TestOE6WhatIsWrongIsTold(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	w.deletion("refused", Deletion{Topic: "invoices", Object: "d", Mode: ToTrash, Verdict: Refused, By: "books", Reason: "it is booked"})
	w.deletion("asking", Deletion{Topic: "invoices", Object: "d", Mode: ToTrash, Verdict: Asking})
	w.deletion("other", Deletion{Topic: "invoices", Object: "e", Mode: ToTrash, Verdict: Allowed})
	w.op("op.AA.invoices.insert.v", `{}`, "ce-id", "v", "ce-objectversion", "5")
	w.next()
	const change = "urn:belfry:change:v1"
	for _, bad := range []struct {
		name         string
		subject      string
		body         string
		headers      []string
		report       string // the same over HTTP, but for id, topic and object; "" = it cannot be said there
		code, inHTTP fault.Code
		says         string
	}{
		{
			name: "an update without old values where they are needed", subject: "update.a", body: `{"n":1}`, headers: []string{"ce-origin", "user"},
			report: `"op":"update","object":"a","origin":"user","new":{"n":1}`, code: fault.InvalidOperation, says: "old",
		},
		{
			name: "a purge of what was never trashed", subject: "purge.b",
			report: `"op":"purge","object":"b"`, code: fault.NotInTrash, says: `"b"`,
		},
		{
			name: "a version that goes backwards", subject: "update.v", body: `{}`, headers: []string{"ce-objectversion", "4"},
			report: `"op":"update","object":"v","version":4`, code: fault.VersionBackwards, says: "4",
		},
		{
			name: "a version below zero", subject: "update.a", body: `{}`, headers: []string{"ce-objectversion", "-4"},
			report: `"op":"update","object":"a","version":-4`, code: fault.InvalidOperation, says: "objectversion",
		},
		{
			name: "an unknown operation", subject: "explode.a",
			report: `"op":"explode","object":"a"`, code: fault.InvalidOperation, says: "insert, update, trash",
		},
		{
			name: "a tenant that the envelope has otherwise", subject: "insert.a", body: `{}`, headers: []string{"ce-tenant", "BB"},
			code: fault.InvalidOperation, says: "tenant",
		},
		{
			name: "a tenant that is not the token's", report: `"tenant":"BB","op":"insert","object":"a"`, inHTTP: fault.TenantForbidden, says: "BB",
		},
		{
			name: "a refused deletion id", subject: "trash.d", headers: []string{"ce-deletionid", "refused"},
			report: `"op":"trash","object":"d","deletionId":"refused"`, code: fault.DeletionRefused, says: "it is booked",
		},
		{
			name: "an unknown deletion id", subject: "trash.d", headers: []string{"ce-deletionid", "nobody"},
			report: `"op":"trash","object":"d","deletionId":"nobody"`, code: fault.DeletionUnknown, says: "nobody",
		},
		{
			name: "a deletion id that is being asked about", subject: "trash.d", headers: []string{"ce-deletionid", "asking"},
			report: `"op":"trash","object":"d","deletionId":"asking"`, code: fault.DeletionPending, says: "asked",
		},
		{
			name: "a deletion id of another object", subject: "trash.d", headers: []string{"ce-deletionid", "other"},
			report: `"op":"trash","object":"d","deletionId":"other"`, code: fault.InvalidRequest, says: "deletionId",
		},
		{
			name: "a deletion id of another way to delete", subject: "delete.e", headers: []string{"ce-deletionid", "other"},
			report: `"op":"delete","object":"e","deletionId":"other"`, code: fault.InvalidRequest, says: "trash",
		},
		{
			name: "a deletion id where nothing is deleted", subject: "insert.e", body: `{}`, headers: []string{"ce-deletionid", "other"},
			report: `"op":"insert","object":"e","deletionId":"other"`, code: fault.InvalidOperation, says: "deletionid",
		},
		{
			name: "an origin that there is not", subject: "insert.a", body: `{}`, headers: []string{"ce-origin", "robot"},
			report: `"op":"insert","object":"a","origin":"robot"`, code: fault.InvalidOperation, says: "origin",
		},
		{
			name: "values that are no object", subject: "insert.a", body: `[1]`,
			report: `"op":"insert","object":"a","new":[1]`, code: fault.InvalidOperation, inHTTP: fault.InvalidRequest, says: "new",
		},
		{
			name: "a misspelt member of the change", subject: "update.a", body: `{"odl":{"a":1}}`, headers: []string{"ce-dataschema", change},
			report: `"op":"update","object":"a","odl":{"a":1}`, code: fault.InvalidOperation, inHTTP: fault.InvalidRequest, says: "odl",
		},
		{
			name: "a body that is not JSON", subject: "insert.a", body: `{"a":`,
			code: fault.InvalidOperation, says: "JSON",
		},
		{
			name: "another object in the change than in the address", subject: "insert.a", body: `{"resource":{"id":"b"}}`, headers: []string{"ce-dataschema", change},
			code: fault.InvalidOperation, says: "resource.id",
		},
		{
			name: "a status without one", subject: "status.a", body: `{"name":"x"}`,
			code: fault.InvalidOperation, says: "status",
		},
		{
			name: "an object that is escaped in another way", subject: "insert.a_b", body: `{}`,
			code: fault.InvalidOperation, says: "escaped",
		},
		{
			name: "an id of 300 bytes", subject: "insert.a", body: `{}`, headers: []string{"ce-id", strings.Repeat("x", 300)},
			report: `"op":"insert","object":"a","new":{"long":"id"}`, code: fault.InvalidOperation, says: "255",
		},
		{
			name: "10 MB", report: `"op":"insert","object":"a","new":{"a":"` + strings.Repeat("x", 10<<20) + `"}`, inHTTP: fault.EventTooLarge, says: "maximum",
		},
		{
			name: "2 MB", report: `"op":"insert","object":"a","new":{"a":"` + strings.Repeat("x", 2<<20) + `"}`, inHTTP: fault.EventTooLarge, says: "maximum",
		},
	} {
		if bad.subject != "" {
			w.in(t, bad.name+", over NATS", func() { w.refusedOverNATS("op.AA.invoices."+bad.subject, bad.body, bad.headers, bad.code, bad.says) })
		}
		if bad.report == "" {
			continue
		}
		w.in(t, bad.name+", over HTTP", func() {
			want := bad.code
			if bad.inHTTP != "" {
				want = bad.inHTTP
			}
			id := "bad"
			if strings.Contains(bad.report, `"long"`) {
				id = strings.Repeat("x", 300)
			}
			status, answer := w.report(`{"id":"` + id + `","topic":"invoices",` + bad.report + `}`)
			message, _ := answer["message"].(string)
			if status != want.HTTPStatus() || answer["code"] != string(want) || !strings.Contains(message, bad.says) {
				w.t.Errorf("answered %d %.300v, want %s saying %q", status, answer, want, bad.says)
			}
			for _, e := range w.next() {
				if e.Topic != refusedTopic {
					w.t.Errorf("raised %s.%s", e.Topic, e.Verb)
				}
			}
		})
	}
}

// refusedOverNATS reports, is confirmed by the queue, and finds the refusal in
// metric, event, dead letter and list.
func (w *opWorld) refusedOverNATS(subj, body string, headers []string, code fault.Code, says string) {
	w.t.Helper()
	before := w.count("belfry_objectevent_operations_total", "refused", string(code))
	w.op(subj, body, headers...)
	got := w.next()
	if len(got) != 1 || got[0].Topic != refusedTopic || got[0].Verb != refusedVerb || member(string(got[0].Data), "code") != string(code) ||
		!strings.Contains(member(string(got[0].Data), "message"), says) {
		w.t.Fatalf("stored %+v", got)
	}
	if n := w.count("belfry_objectevent_operations_total", "refused", string(code)) - before; n != 1 {
		w.t.Errorf("counted %v times", n)
	}
	s, err := w.nats.Bus().JS.Stream(w.t.Context(), topology.DeadLetters)
	if err != nil {
		w.t.Fatal(err)
	}
	letter, err := s.GetMsg(w.t.Context(), s.CachedInfo().State.LastSeq)
	if err != nil || !strings.HasPrefix(letter.Header.Get("Belfry-Reason"), string(code)+": ") || string(letter.Data) != body {
		w.t.Errorf("dead letter %+v, %v", letter, err)
	}
	if status, all := w.call(http.MethodGet, "/v1/operations/refused?limit=500", w.token(), ""); status != http.StatusOK || !strings.Contains(all, got[0].ID) && !strings.Contains(all, member(string(got[0].Data), "id")) {
		w.t.Errorf("ListRefused: %d %s", status, all)
	}
}

// What NATS itself refuses never comes into the queue, and the reporter is told.
func TestOE6WhatNATSRefuses(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	nc, err := nats.Connect(w.nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request("op.AA.invoices.insert.1", make([]byte, 10<<20), opPatience); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("10 MB: %v", err)
	}
	for _, subj := range []string{"op.AA.invoices.insert", "op.3.AA.invoices.insert.17", "op.AA.invoices.insert.1.7"} {
		if _, err := nc.Request(subj, nil, opPatience); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: %v", subj, err)
		}
	}
}

// A refused list shows a caller its own tenant, its own topics, page by page.
func TestOE6RefusedAreListed(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	for _, subj := range []string{"op.AA.invoices.purge.1", "op.AA.orders.purge.2", "op.BB.invoices.purge.3", "op.AA.invoices.purge.4"} {
		w.op(subj, "", "ce-id", subj[len(subj)-1:])
		w.settled() // the partitions have no order among them
	}
	_, body := w.call(http.MethodGet, "/v1/operations/refused?limit=1", w.token("publish:invoices"), "")
	if !strings.Contains(body, `"id":"1"`) || !strings.Contains(body, `"more":true`) {
		t.Fatalf("first page: %s", body)
	}
	_, body = w.call(http.MethodGet, "/v1/operations/refused?limit=5&after="+member(body, "cursor"), w.token("publish:invoices"), "")
	if !strings.Contains(body, `"id":"4"`) || strings.Contains(body, `"id":"2"`) || strings.Contains(body, `"id":"3"`) || !strings.Contains(body, `"more":false`) {
		t.Errorf("second page: %s", body)
	}
	for path, want := range map[string]fault.Code{
		"?limit=0": fault.InvalidRequest, "?limit=501": fault.InvalidRequest, "?after=x": fault.InvalidCursor,
		"?topic=orders": fault.GrantMissing, "?tenant=BB": fault.TenantForbidden,
	} {
		if status, body := w.call(http.MethodGet, "/v1/operations/refused"+path, w.token("publish:invoices"), ""); status != want.HTTPStatus() || member(body, "code") != string(want) {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
}

// Of several operations one that only the queue can refuse refuses itself alone.
func TestOE6OneOfSeveralIsRefused(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	status, body := w.call(http.MethodPost, "/v1/operations", w.token(), `{"operations":[
		{"id":"1","op":"insert","topic":"invoices","object":"1"},
		{"id":"2","op":"purge","topic":"invoices","object":"2"},
		{"id":"3","op":"trash","topic":"invoices","object":"1"},
		{"id":"4","op":"purge","topic":"invoices","object":"1"}]}`)
	if status != http.StatusOK || strings.Count(body, `"raised"`) != 2 || strings.Count(body, `"not_in_trash"`) != 1 || strings.Count(body, `"nothing"`) != 1 {
		t.Errorf("%d %s", status, body)
	}
	// What can be known beforehand refuses all, and says which.
	status, body = w.call(http.MethodPost, "/v1/operations", w.token(), `{"operations":[
		{"id":"5","op":"insert","topic":"invoices","object":"5"},
		{"id":"6","op":"explode","topic":"invoices","object":"6"}]}`)
	if status != http.StatusBadRequest || !strings.Contains(body, `"index":"1"`) {
		t.Errorf("%d %s", status, body)
	}
	w.next()
	if status, _ := w.call(http.MethodGet, "/v1/operations/5", w.token(), ""); status != http.StatusNotFound {
		t.Error("the first one was taken")
	}
}

// TestOE4AnAnswerAllowsOneDeletion: what comes back from the trash and goes there again
// needs another answer; the operation that used the first one, reported again, does not.
func TestOE4AnAnswerAllowsOneDeletion(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	for _, id := range []string{"first", "second"} {
		w.deletion(id, Deletion{Topic: "users", Object: "9", Mode: ToTrash, Verdict: Allowed})
	}
	for i, step := range []struct{ id, op, deletion, want string }{
		{"a", "trash", "first", "raised"},
		{"a", "trash", "first", "duplicate"},
		{"b", "restore", "", "raised"},
		{"a", "trash", "first", "duplicate"},
		{"c", "trash", "first", "deletion_expired"},
		{"d", "trash", "second", "raised"},
		{"e", "purge", "", "raised"},
		{"f", "insert", "", "raised"},
		{"g", "trash", "second", "deletion_expired"},
		{"h", "trash", "", "raised"},
	} {
		_, answer := w.report(fmt.Sprintf(`{"id":%q,"topic":"users","object":"9","op":%q,"deletionId":%q,"actor":{"user":"anna"}}`, step.id, step.op, step.deletion))
		if got := cmp.Or(answer["state"], answer["code"]); got != step.want {
			t.Errorf("%d, %s %s: %v", i, step.op, step.deletion, answer)
		}
		if details, _ := answer["details"].(map[string]any); answer["code"] != "" && answer["code"] != nil && details["field"] != "deletionId" {
			t.Errorf("%d: no field in %v", i, answer)
		}
	}
}
