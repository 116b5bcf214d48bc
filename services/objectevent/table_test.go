package objectevent

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/fault"
)

// did is an operation of a test: what, by whom, on what.
type did struct {
	op, topic, origin string
	raise             bool // the back-end asks for the event
	asked             bool // BeforeDelete was asked first
}

// seed is the decision table as the seed tells it: a row per sentence. Each begins
// with an object of its own, in the state that the operations before bring about,
// and wants the events of the last one: "verb: the names they are seen under".
var seed = []struct {
	sentence string
	before   []did
	does     did
	want     []string
	refused  fault.Code
}{
	// Object insert - AFTER
	{
		sentence: "Event raised after save new object: saved by user",
		does:     did{op: "insert", topic: "invoices", origin: "user"},
		want:     []string{"created: frm.objectInserted portos.resources.changed"},
	},
	{
		sentence: "Event raised after save new object: internally created by back-end functions",
		does:     did{op: "insert", topic: "invoices", origin: "backend"},
		want:     []string{"created: frm.objectInserted portos.resources.changed"},
	},
	// Object update - AFTER
	{
		sentence: "Raised for all updates managed by user",
		does:     did{op: "update", topic: "invoices", origin: "user"},
		want:     []string{"updated: frm.objectUpdate portos.resources.changed"},
	},
	{
		sentence: "For updates processed by back-end processes event is raised only if the process raises it: it raises it",
		does:     did{op: "update", topic: "invoices", origin: "backend", raise: true},
		want:     []string{"updated: frm.objectUpdate portos.resources.changed"},
	},
	{
		sentence: "For updates processed by back-end processes event is raised only if the process raises it (not automatically)",
		does:     did{op: "update", topic: "invoices", origin: "backend"},
		want:     []string{"updated: portos.resources.changed"},
	},
	{
		sentence: "Raised for all updates managed by user: also of what lies in the trash",
		before:   []did{{op: "trash", topic: "invoices"}},
		does:     did{op: "update", topic: "invoices", origin: "user"},
		want:     []string{"updated: frm.objectUpdate portos.resources.changed"},
	},
	// Object delete - BEFORE and AFTER
	{
		sentence: "Event is raised for objects deleted to the trash asynchronously so that they do not block delete operation",
		does:     did{op: "trash", topic: "invoices", origin: "user"},
		want:     []string{"deleting: frm.objectToDelete", "deleted: frm.objectDeleted portos.resources.changed"},
	},
	{
		sentence: "Event is raised for objects deleted to the trash: by the back-end too",
		does:     did{op: "trash", topic: "invoices", origin: "backend"},
		want:     []string{"deleting: frm.objectToDelete", "deleted: frm.objectDeleted portos.resources.changed"},
	},
	{
		sentence: "Event is raised BEFORE user deletes object: to the trash, asked beforehand",
		does:     did{op: "trash", topic: "invoices", asked: true},
		want:     []string{"deleting: frm.objectToDelete", "deleted: frm.objectDeleted portos.resources.changed"},
	},
	{
		sentence: "For objects deleted without using trash, event is raised synchronously so that is it processed before object disappear",
		does:     did{op: "delete", topic: "invoices", asked: true},
		want:     []string{"deleting: frm.objectToDelete", "deleted: frm.objectDeleted portos.resources.changed"},
	},
	{
		sentence: "For objects deleted without using trash: only seen afterwards, it says that nobody was asked",
		does:     did{op: "delete", topic: "invoices"},
		want:     []string{"deleted (unannounced): frm.objectDeleted portos.resources.changed"},
	},
	{
		sentence: "For object that is in the trash and permanently deleted, event is not raised",
		before:   []did{{op: "trash", topic: "invoices"}},
		does:     did{op: "purge", topic: "invoices"},
	},
	{
		sentence: "For object that is in the trash and permanently deleted, event is not raised: however the source calls it",
		before:   []did{{op: "trash", topic: "invoices"}},
		does:     did{op: "delete", topic: "invoices"},
	},
	{
		sentence: "it was already raised when deleted to the trash. So that is it not raised twice: the purge of what was never trashed is a mistake",
		does:     did{op: "purge", topic: "invoices"},
		refused:  fault.NotInTrash,
	},
	{
		sentence: "it was already raised when deleted to the trash. So that is it not raised twice: to the trash twice is a mistake",
		before:   []did{{op: "trash", topic: "invoices"}},
		does:     did{op: "trash", topic: "invoices"},
		refused:  fault.InTrash,
	},
	{
		sentence: "it was already raised when deleted to the trash: and again after it was restored",
		before:   []did{{op: "trash", topic: "invoices"}, {op: "restore", topic: "invoices"}},
		does:     did{op: "trash", topic: "invoices"},
		want:     []string{"deleting: frm.objectToDelete", "deleted: frm.objectDeleted portos.resources.changed"},
	},
	{
		sentence: "it was already raised when deleted to the trash: and again for a new object of the same id",
		before:   []did{{op: "trash", topic: "invoices"}, {op: "insert", topic: "invoices"}},
		does:     did{op: "trash", topic: "invoices"},
		want:     []string{"deleting: frm.objectToDelete", "deleted: frm.objectDeleted portos.resources.changed"},
	},
	{
		sentence: "(restore: the seed is silent) windows see it created, handlers are not told",
		before:   []did{{op: "trash", topic: "invoices"}},
		does:     did{op: "restore", topic: "invoices"},
		want:     []string{"created: portos.resources.changed"},
	},
	{
		sentence: "(restore: the seed is silent) of what is not in the trash is a mistake",
		does:     did{op: "restore", topic: "invoices"},
		refused:  fault.NotInTrash,
	},
	// New user
	{
		sentence: "When new user inserted regardless if his account has been actiated or not",
		does:     did{op: "insert", topic: "users"},
		want:     []string{"created: frm.objectInserted portos.resources.changed sys.newUser"},
	},
	{
		sentence: "When new user inserted: not when one comes back from the trash",
		before:   []did{{op: "trash", topic: "Users"}},
		does:     did{op: "restore", topic: "Users"},
		want:     []string{"created: portos.resources.changed"},
	},
	// User status changed
	{
		sentence: "When status of the system user is changed. Called asynchronously after the status change",
		does:     did{op: "status", topic: "users"},
		want:     []string{"status: sys.userChangeStatus"},
	},
	{
		sentence: "It is not raised when user is deleted to the trash",
		before:   []did{{op: "trash", topic: "users"}},
		does:     did{op: "status", topic: "users"},
		want:     []string{"status:"},
	},
	{
		sentence: "When status of the system user is changed: nothing else has a status",
		does:     did{op: "status", topic: "invoices"},
		refused:  fault.InvalidOperation,
	},
	// User is going to be deleted
	{
		sentence: "When user is going to be deleted to the trash. Event is raised before delete synchronously",
		does:     did{op: "trash", topic: "users", asked: true},
		want: []string{
			"deleting: frm.objectToDelete sys.userDelete",
			"deleted: frm.objectDeleted portos.resources.changed",
		},
	},
	{
		sentence: "Event is raised before delete synchronously: only seen afterwards, it is not raised, and the events say so",
		does:     did{op: "trash", topic: "users"},
		want: []string{
			"deleting (unannounced): frm.objectToDelete",
			"deleted (unannounced): frm.objectDeleted portos.resources.changed",
		},
	},
	{
		sentence: "Event is not raised when user account from trash is permanently deleted; Raises when user account was permanently deleted (from trash)",
		before:   []did{{op: "trash", topic: "users"}},
		does:     did{op: "purge", topic: "users"},
		want:     []string{"purged: sys.userDeleted"},
	},
	{
		sentence: "Event is not raised when user account from trash is forgotten according to the GDPR rules; sys.userDeleted is",
		before:   []did{{op: "trash", topic: "users"}},
		does:     did{op: "forget", topic: "users"},
		want:     []string{"purged: sys.userDeleted"},
	},
	{
		sentence: "forgotten according to the GDPR rules: what was not in the trash is deleted now, and nobody is asked",
		does:     did{op: "forget", topic: "users"},
		want:     []string{"deleted (unannounced): frm.objectDeleted portos.resources.changed"},
	},
	{
		sentence: "forgotten according to the GDPR rules: of an object from the trash nothing is told",
		before:   []did{{op: "trash", topic: "customers"}},
		does:     did{op: "forget", topic: "customers"},
	},
	// PORTOS
	{
		sentence: "Raised when Portos license is activated",
		does:     did{op: "activate", topic: "licence"},
		want:     []string{"activated: portos.licence.activated"},
	},
	{
		sentence: "Raised when Portos license is activated: nothing else is activated",
		does:     did{op: "activate", topic: "invoices"},
		refused:  fault.InvalidOperation,
	},
}

// TestOE1OE2OE3TheTableReadsLikeTheSeed goes through all rows on the real streams.
func TestOE1OE2OE3TheTableReadsLikeTheSeed(t *testing.T) {
	t.Parallel()
	w := newOpWorld(t)
	n := 0
	for i, row := range seed {
		w.in(t, row.sentence, func() {
			t := w.t
			object := "o" + string(rune('A'+i/26)) + string(rune('a'+i%26))
			for _, d := range row.before {
				n++
				w.does(d, object, n)
			}
			w.next()
			n++
			status, answer := w.does(row.does, object, n)
			if row.refused != "" {
				if status != row.refused.HTTPStatus() || answer["code"] != string(row.refused) {
					t.Errorf("answered %d %v, want %s", status, answer, row.refused)
				}
				if list := w.next(); len(list) != 0 && (list[0].Topic != refusedTopic || len(list) > 1) {
					t.Errorf("stored %v", list)
				}
				return
			}
			if status != http.StatusOK {
				t.Fatalf("answered %d %v", status, answer)
			}
			var got []string
			for _, e := range w.next() {
				line := e.Verb
				if e.Unannounced {
					line += " (unannounced)"
				}
				got = append(got, strings.TrimSpace(line+": "+strings.Join(views(e), " ")))
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("events (-want +got):\n%s", d)
			}
		})
	}
}

// does reports over HTTP, with values before and after.
func (w *opWorld) does(d did, object string, n int) (int, map[string]any) {
	w.t.Helper()
	about := `"topic":"` + d.topic + `","object":"` + object + `"`
	more := ""
	if d.asked {
		mode := map[string]string{"trash": "trash", "delete": "delete"}[d.op]
		status, body := w.call(http.MethodPost, "/belfry.objectevent.v1.HookService/BeforeDelete", w.token(), `{`+about+`,"mode":"`+mode+`"}`)
		id := member(body, "deletionId")
		if status != http.StatusOK || id == "" {
			w.t.Fatalf("BeforeDelete: %d %s", status, body)
		}
		more += `,"deletionId":"` + id + `"`
	}
	if d.raise {
		more += `,"raise":true`
	}
	if d.origin != "" {
		more += `,"origin":"` + d.origin + `"`
	}
	return w.report(`{"id":"` + strings.Repeat("i", n) + `","op":"` + d.op + `",` + about + more + `,"old":{"status":"a"},"new":{"status":"b"}}`)
}

// Every row of the table is one that some operation comes to, and every operation
// has at least one: a row that is shadowed says nothing.
func TestOE1NoRowIsShadowed(t *testing.T) {
	t.Parallel()
	reached := map[int]bool{}
	for _, op := range []operationName{opInsert, opUpdate, opTrash, opRestore, opDelete, opPurge, opForget, opStatus, opActivate} {
		for _, topic := range []string{"invoices", "Users", "licence"} {
			for _, by := range []doer{aUser, theBackend, backendRaising} {
				for _, from := range []whereabouts{inUse, inTrash} {
					for _, asked := range []bool{false, true} {
						r, ok := circumstances{op, topic, by, from, asked}.find()
						if !ok {
							continue
						}
						for i := range table {
							if cmp.Equal(table[i], r, cmp.AllowUnexported(rule{}, what{})) {
								reached[i] = true
							}
						}
					}
				}
			}
		}
	}
	for i, r := range table {
		if !reached[i] {
			t.Errorf("row %d is never reached: %+v", i, r)
		}
	}
}
