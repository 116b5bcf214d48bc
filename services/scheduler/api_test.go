package scheduler

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

const event1 = `"action":{"publish":{"topic":"ledger","verb":"close"}}`

// TestTM8BadInput: everything that is wrong is refused with a code and the field,
// and leaves nothing behind.
func TestTM8BadInput(t *testing.T) {
	t.Parallel()
	srv := bustest.Start(t, bustest.Spec(streams))
	r := makeReplica(t, srv.Bus(), configure(func(c *Config) { c.MaxPerTenant = 2 }))
	for _, c := range []struct{ body, code, field string }{
		{`{`, "invalid_request", "body"},
		{`{"rulez":{}}`, "invalid_request", "rulez"},
		{`{` + event1 + `}`, "invalid_schedule", "cron"},
		{`{"rule":{"cron":"* * * *"},` + event1 + `}`, "invalid_schedule", "cron"},
		{`{"rule":{"cron":"0 0 0 1 1 * 2027"},` + event1 + `}`, "invalid_schedule", "cron"},
		{`{"rule":{"cron":"0 24 * * *"},` + event1 + `}`, "invalid_schedule", "cron"},
		{`{"rule":{"cron":"0 0 30 2 *"},` + event1 + `}`, "invalid_schedule", "cron"},
		{`{"rule":{"cron":"0 7 * * *","zone":"Europe/Praha"},` + event1 + `}`, "invalid_schedule", "zone"},
		{`{"rule":{"cron":"0 7 * * *","zone":"Local"},` + event1 + `}`, "invalid_schedule", "zone"},
		{`{"rule":{"cron":"0 7 * * *","every":"1h"},` + event1 + `}`, "invalid_schedule", "every"},
		{`{"rule":{"every":"500ms"},` + event1 + `}`, "invalid_schedule", "every"},
		{`{"rule":{"every":"soon"},` + event1 + `}`, "invalid_schedule", "every"},
		{`{"rule":{"at":"2027-02-30"},` + event1 + `}`, "invalid_schedule", "at"},
		{`{"rule":{"at":"1969-12-31"},` + event1 + `}`, "invalid_schedule", "at"},
		{`{"rule":{"at":"2200-01-01"},` + event1 + `}`, "invalid_schedule", "at"},
		{`{"rule":{"at":"2027-03-28 02:30","zone":"Europe/Prague","gap":"skip"},` + event1 + `}`, "invalid_schedule", "at"},
		{`{"rule":{"at":"tomorrow"},` + event1 + `}`, "invalid_schedule", "at"},
		{`{"rule":{"cron":"0 7 * * *","start":"2030-01-02","end":"2030-01-01"},` + event1 + `}`, "invalid_schedule", "end"},
		{`{"rule":{"cron":"0 7 * * *","end":"2020-01-01"},` + event1 + `}`, "invalid_schedule", "end"},
		{`{"paused":true,"rule":{"every":"1h","end":"2020-01-01"},` + event1 + `}`, "invalid_schedule", "end"},
		{`{"rule":{"cron":"0 7 * * *","exclude":["1970-01-01..2199-12-31"]},` + event1 + `}`, "invalid_schedule", "exclude"},
		{`{"rule":{"cron":"0 7 * * *","exclude":["2000-01-01..2199-12-31"]},` + event1 + `}`, "invalid_schedule", "exclude"},
		{`{"rule":{"cron":"0 7 * * *","exclude":["mon-sun"]},` + event1 + `}`, "invalid_schedule", "exclude"},
		{`{"rule":{"cron":"0 7 * * *","exclude":["someday"]},` + event1 + `}`, "invalid_schedule", "exclude"},
		{`{"rule":{"cron":"0 7 * * *","jitter":"25h"},` + event1 + `}`, "invalid_schedule", "jitter"},
		{`{"rule":{"cron":"0 7 * * *","gap":"jump"},` + event1 + `}`, "invalid_schedule", "gap"},
		{`{"rule":{"cron":"0 7 * * *","overlap":"never"},` + event1 + `}`, "invalid_schedule", "overlap"},
		{`{"rule":{"cron":"0 7 * * *"},"catchUp":{"policy":"most"},` + event1 + `}`, "invalid_schedule", "catchUp.policy"},
		{`{"rule":{"cron":"0 7 * * *"},"catchUp":{"window":"-1h"},` + event1 + `}`, "invalid_schedule", "catchUp.window"},
		{`{"rule":{"cron":"0 7 * * *"},"catchUp":{"limit":5},` + event1 + `}`, "invalid_schedule", "catchUp.limit"},
		{`{"rule":{"cron":"0 7 * * *"},"catchUp":{"policy":"all","limit":1001},` + event1 + `}`, "invalid_schedule", "catchUp.limit"},
		{`{"rule":{"cron":"0 7 * * *"}}`, "invalid_request", "action"},
		{`{"rule":{"cron":"0 7 * * *"},"action":{}}`, "invalid_request", "action"},
		{`{"rule":{"cron":"0 7 * * *"},"action":{"publish":{"topic":"","verb":"x"}}}`, "invalid_topic", "topic"},
		{`{"rule":{"cron":"0 7 * * *"},"action":{"publish":{"topic":"x","verb":"*"}}}`, "invalid_verb", "verb"},
		{`{"rule":{"cron":"0 7 * * *"},"action":{"publish":{"topic":"x","verb":"y","data":7}}}`, "invalid_request", "action.publish.data"},
		{`{"rule":{"cron":"0 7 * * *"},"action":{"publish":{"topic":"x","verb":"y"},"notify":{}}}`, "invalid_request", "action.notify"},
		{`{"rule":{"cron":"0 7 * * *"},"action":{"publish":{"topic":"x","verb":"y","data":{"a":"` + strings.Repeat("b", maxData) + `"}}}}`, "event_too_large", "action.publish.data"},
		{`{"rule":{"cron":"0 7 * * *"},"action":{"notify":{"code":"HELLO"}}}`, "unknown_name", "code"},
		{`{"rule":{"cron":"0 7 * * *"},"action":{"notify":{"user":"anna","data":{"colour":"red"}}}}`, "invalid_event", "data"},
		{`{"id":"` + strings.Repeat("i", 129) + `","rule":{"cron":"0 7 * * *"},` + event1 + `}`, "invalid_name", "id"},
		{`{"id":"*","rule":{"cron":"0 7 * * *"},` + event1 + `}`, "invalid_name", "id"},
		{`{"tenant":"_","rule":{"cron":"0 7 * * *"},` + event1 + `}`, "tenant_forbidden", "tenant"},
		{`{"tenant":"BB","rule":{"cron":"0 7 * * *"},` + event1 + `}`, "tenant_forbidden", "tenant"},
		{`{"description":"` + strings.Repeat("d", 1025) + `","rule":{"cron":"0 7 * * *"},` + event1 + `}`, "invalid_request", "description"},
	} {
		status, body := r.call("POST", "/v1/schedules", r.token(), c.body)
		if status < 400 || status >= 500 || !strings.Contains(body, `"code":"`+c.code+`"`) || !strings.Contains(body, c.field) {
			t.Errorf("%.120s: %d %.300s, not %s of %s", c.body, status, body, c.code, c.field)
		}
	}
	if n, err := r.s.store.count(t.Context(), ">"); n != 0 || err != nil {
		t.Errorf("%d messages are left, %v", n, err)
	}
	for _, c := range []struct{ method, path, body, code string }{
		{"GET", "/v1/schedules/none", "", "schedule_unknown"},
		{"PUT", "/v1/schedules/none", `{"revision":1}`, "schedule_unknown"},
		{"PUT", "/v1/schedules/none", `{}`, "invalid_request"},
		{"POST", "/v1/schedules/none/pause", "", "schedule_unknown"},
		{"POST", "/v1/schedules/none/resume", "", "schedule_unknown"},
		{"POST", "/v1/schedules/none/run", "", "schedule_unknown"},
		{"GET", "/v1/schedules/none/history", "", "schedule_unknown"},
		{"GET", "/v1/schedules?after=x", "", "invalid_cursor"},
		{"GET", "/v1/schedules?limit=0", "", "invalid_request"},
		{"GET", "/v1/schedules?limit=1001", "", "invalid_request"},
		{"GET", "/v1/schedules?state=asleep", "", "invalid_request"},
		{"POST", "/v1/schedules/preview", `{}`, "invalid_request"},
		{"POST", "/v1/schedules/preview", `{"rule":{"cron":"0 7 * * *"},"from":"now"}`, "invalid_schedule"},
		{"POST", "/v1/schedules/preview", `{"rule":{"cron":"0 7 * * *"},"id":"x"}`, "invalid_request"},
		{"POST", "/v1/schedules/preview", `{"rule":{"cron":"0 7 * * *"},"count":1001}`, "invalid_request"},
	} {
		if status, body := r.call(c.method, c.path, r.token(), c.body); status < 400 || !strings.Contains(body, `"`+c.code+`"`) {
			t.Errorf("%s %s %s: %d %s, not %s", c.method, c.path, c.body, status, body, c.code)
		}
	}
	r.must("DELETE", "/v1/schedules/none", r.token(), "")
	for i := range 3 {
		status, body := r.call("POST", "/v1/schedules", r.token(), `{"rule":{"cron":"0 7 * * *"},`+event1+`}`)
		if refused := strings.Contains(body, "too_many_schedules"); refused != (i == 2) || refused != (status == 429) {
			t.Errorf("schedule %d: %d %s", i, status, body)
		}
	}
}

// TestTM8Quota: whoever is at the limit makes room by deleting, at once, and what
// remains of deleted schedules does not add up; another tenant has a limit of its own.
func TestTM8Quota(t *testing.T) {
	t.Parallel()
	srv := bustest.Start(t, bustest.Spec(streams))
	r := makeReplica(t, srv.Bus(), configure(func(c *Config) { c.MaxPerTenant = 3 }))
	make1 := func(token string, i int) int {
		status, _ := r.call("POST", "/v1/schedules", token, fmt.Sprintf(`{"id":"s%d","rule":{"every":"1h"},%s}`, i, event1))
		return status
	}
	for i := range 10 {
		if i >= 3 {
			if status := make1(r.token(), i); status != 429 {
				t.Fatalf("schedule %d above the limit: %d", i, status)
			}
			r.must("DELETE", fmt.Sprintf("/v1/schedules/s%d", i-3), r.token(), "")
		}
		if status := make1(r.token(), i); status != 200 {
			t.Fatalf("schedule %d: %d", i, status)
		}
	}
	other := r.sign(auth.Claims{Subject: "bob", Tenants: []string{"BB"}, Grants: auth.Everything(), TTL: time.Hour})
	if status := make1(other, 0); status != 200 {
		t.Errorf("the other tenant: %d", status)
	}
}

// TestTM8Isolation: who may not do what a schedule does, does not learn of it.
func TestTM8Isolation(t *testing.T) {
	t.Parallel()
	srv := bustest.Start(t, bustest.Spec(streams))
	r := makeReplica(t, srv.Bus())
	grants, err := auth.ParseGrants([]string{"publish:ledger"})
	if err != nil {
		t.Fatal(err)
	}
	anna := r.token("publish:ledger")
	stranger := r.sign(auth.Claims{Subject: "bob", Tenants: []string{"BB"}, Grants: grants, TTL: time.Hour})
	clerk := r.token("publish:invoices", "realtime")
	r.must("POST", "/v1/schedules", anna, `{"id":"close","rule":{"cron":"0 7 * * *"},`+event1+`}`)
	if status, body := r.call("POST", "/v1/schedules", clerk, `{"rule":{"cron":"0 7 * * *"},`+event1+`}`); status != 403 {
		t.Error(status, body)
	}
	for name, token := range map[string]string{"stranger": stranger, "clerk": clerk} {
		for _, c := range [][2]string{
			{"GET", "/v1/schedules/close"},
			{"POST", "/v1/schedules/close/pause"},
			{"POST", "/v1/schedules/close/run"},
			{"GET", "/v1/schedules/close/history"},
		} {
			if status, body := r.call(c[0], c[1], token, ""); status != 404 {
				t.Errorf("%s %v: %d %s", name, c, status, body)
			}
		}
		r.must("DELETE", "/v1/schedules/close", token, "")
		if list := r.must("GET", "/v1/schedules", token, ""); !strings.Contains(list, `"schedules":[]`) {
			t.Errorf("%s sees %s", name, list)
		}
	}
	if status, body := r.call("GET", "/v1/schedules/close?tenant=AA", stranger, ""); status != 403 {
		t.Error(status, body)
	}
	r.must("GET", "/v1/schedules/close", anna, "") // it is still there
	if status, body := r.call("GET", "/v1/schedules", "", ""); status != 401 {
		t.Error(status, body)
	}
}

// TestTM8CreateIsRepeatable, and what is not a repetition is refused; an update
// needs the newest revision.
func TestTM8CreateIsRepeatable(t *testing.T) {
	t.Parallel()
	srv := bustest.Start(t, bustest.Spec(streams))
	r := makeReplica(t, srv.Bus())
	body := `{"id":"close","rule":{"cron":"0 7 * * *","zone":"Europe/Prague"},` + event1 + `}`
	first := r.must("POST", "/v1/schedules", r.token(), body)
	if again := r.must("POST", "/v1/schedules", r.token(), body); again != first {
		t.Errorf("%s\n%s", first, again)
	}
	if status, answer := r.call("POST", "/v1/schedules", r.token(), strings.Replace(body, "0 7", "0 8", 1)); status != 409 {
		t.Error(status, answer)
	}
	update := `{"revision":1,"rule":{"cron":"0 9 * * *","zone":"Europe/Prague"},` + event1 + `}`
	if got := decode[scheduleJSON](t, r.must("PUT", "/v1/schedules/close", r.token(), update)).Schedule; got.Revision != 2 {
		t.Errorf("%+v", got)
	}
	if status, answer := r.call("PUT", "/v1/schedules/close", r.token(), update); status != 409 {
		t.Error(status, answer)
	}
	over := `{"revision":2,"rule":{"cron":"0 9 * * *","end":"2020-01-01"},` + event1 + `}`
	if status, answer := r.call("PUT", "/v1/schedules/close", r.token(), over); status != 400 || !strings.Contains(answer, `"field":"end"`) {
		t.Error(status, answer)
	}
	r.must("DELETE", "/v1/schedules/close", r.token(), "")
	if got := decode[scheduleJSON](t, r.must("POST", "/v1/schedules", r.token(), body)).Schedule; got.Revision != 1 || got.State != "armed" {
		t.Errorf("made again after it was deleted: %+v", got)
	}
}

// TestTM8NamesOfAnyKind: an id is any name, and reaches its own schedule only.
func TestTM8NamesOfAnyKind(t *testing.T) {
	t.Parallel()
	srv := bustest.Start(t, bustest.Spec(streams))
	r := makeReplica(t, srv.Bus())
	other := r.sign(auth.Claims{Subject: "bob", Tenants: []string{"BB"}, Grants: auth.Everything(), TTL: time.Hour})
	names := []string{"a", "A", "a.b", "a*", "a>b", "a/b", "..", " ", "_", "=41", "a@b", "preview", "příliš žluťoučký 🐎", "日本語"}
	for i, id := range names {
		for _, token := range []string{r.token(), other} {
			r.must("POST", "/v1/schedules", token, fmt.Sprintf(`{"id":%q,"rule":{"every":"%dh"},%s}`, id, i+1, event1))
		}
	}
	for i, id := range names {
		path := "/v1/schedules/" + strings.ReplaceAll(url.PathEscape(id), ".", "%2E") // ".." would be the folder above
		r.must("DELETE", path, other, "")
		if got := r.must("GET", path, r.token(), ""); !strings.Contains(got, fmt.Sprintf(`"every":"%dh"`, i+1)) {
			t.Errorf("%q is %s", id, got)
		}
		if status, body := r.call("GET", path, other, ""); status != 404 {
			t.Errorf("%q: %d %s", id, status, body)
		}
		r.must("POST", path+"/pause", r.token(), "")
		r.must("DELETE", path, r.token(), "")
	}
	if list := r.must("GET", "/v1/schedules", r.token(), ""); !strings.Contains(list, `"schedules":[]`) {
		t.Error(list)
	}
}

// TestTM8UpdatesThatRace: of many who change the same revision one does, the others
// are told; what does not need a revision is done by all.
func TestTM8UpdatesThatRace(t *testing.T) {
	t.Parallel()
	srv := bustest.Start(t, bustest.Spec(streams))
	r, second := newReplica(t, srv.Bus(), quiet), newReplica(t, srv.Bus(), quiet)
	const racers = 20
	token := r.token()
	race := func(each func(r *replica, i int) (int, string)) map[int]int {
		got := make(chan int, racers)
		for i := range racers {
			go func() {
				status, _ := each([]*replica{r, second}[i%2], i)
				got <- status
			}()
		}
		n := map[int]int{}
		for range racers {
			n[<-got]++
		}
		return n
	}
	create := func(same bool) map[int]int {
		return race(func(r *replica, i int) (int, string) {
			if same {
				i = 0
			}
			return r.call("POST", "/v1/schedules", token, fmt.Sprintf(`{"id":"same%t","rule":{"every":"%dh"},%s}`, same, i+1, event1))
		})
	}
	if n := create(true); n[200] != racers {
		t.Errorf("the same made by many: %v", n)
	}
	if n := create(false); n[200] != 1 || n[409] != racers-1 {
		t.Errorf("different ones made under one id: %v", n)
	}
	n := race(func(r *replica, i int) (int, string) {
		return r.call("PUT", "/v1/schedules/sametrue", token, fmt.Sprintf(`{"revision":1,"rule":{"every":"%dm"},%s}`, i+1, event1))
	})
	if n[200] != 1 || n[409] != racers-1 {
		t.Errorf("updates of one revision: %v", n)
	}
	n = race(func(r *replica, i int) (int, string) {
		return r.call("POST", "/v1/schedules/sametrue/"+[]string{"pause", "resume", "run"}[i%3], token, "")
	})
	if n[200] != racers {
		t.Errorf("paused, resumed and run: %v", n)
	}
	have, err := r.s.store.load(t.Context(), addressOf("AA", "sametrue"))
	if err != nil {
		t.Fatal(err)
	}
	armed, err := r.s.store.last(t.Context(), Schedules, addressOf("AA", "sametrue").Armed())
	if err != nil {
		t.Fatal(err)
	}
	if paused := have.Paused != nil; paused != (armed == nil) {
		t.Errorf("paused: %t, armed: %v", paused, armed)
	} else if !paused && decode[dueDoc](t, string(armed.Data)).Arming != have.Arming {
		t.Errorf("armed is %s, not %d", armed.Data, have.Arming)
	}
	n = race(func(r *replica, _ int) (int, string) { return r.call("DELETE", "/v1/schedules/sametrue", token, "") })
	if n[200] != racers {
		t.Errorf("deleted: %v", n)
	}
}

// TestTM8List pages through all, each once while nothing changes; one that is
// changed meanwhile has moved to the end, and is not left out.
func TestTM8List(t *testing.T) {
	t.Parallel()
	srv := bustest.Start(t, bustest.Spec(streams))
	r := makeReplica(t, srv.Bus())
	for i := range 25 {
		r.must("POST", "/v1/schedules", r.token(), fmt.Sprintf(`{"id":"s%d","paused":%t,"rule":{"cron":"0 7 * * *"},%s}`, i, i%5 == 0, event1))
	}
	type page struct {
		Schedules []struct{ ID, State string }
		Cursor    string
		More      bool
	}
	seen, after := map[string]int{}, ""
	for {
		p := decode[page](t, r.must("GET", "/v1/schedules?limit=10&after="+after, r.token(), ""))
		for _, s := range p.Schedules {
			seen[s.ID]++
		}
		if after = p.Cursor; !p.More {
			break
		}
	}
	if len(seen) != 25 {
		t.Errorf("%v", seen)
	}
	first := decode[page](t, r.must("GET", "/v1/schedules?limit=24", r.token(), ""))
	moved := first.Schedules[3].ID
	r.must("POST", "/v1/schedules/"+moved+"/run", r.token(), "") // changes nothing
	r.must("PUT", "/v1/schedules/"+moved, r.token(), `{"revision":1,"rule":{"cron":"0 8 * * *"},`+event1+`}`)
	if p := decode[page](t, r.must("GET", "/v1/schedules?after="+first.Cursor, r.token(), "")); len(p.Schedules) != 2 || p.Schedules[1].ID != moved || p.More {
		t.Errorf("after %s has moved: %+v", moved, p)
	}
	if p := decode[page](t, r.must("GET", "/v1/schedules?tenant=AA&limit=25", r.token(), "")); len(p.Schedules) != 25 || p.More {
		t.Errorf("%d in one page, more: %t", len(p.Schedules), p.More)
	}
	if p := decode[page](t, r.must("GET", "/v1/schedules?state=paused", r.token(), "")); len(p.Schedules) != 5 || p.More {
		t.Errorf("%+v", p)
	}
}

// TestTM8Preview shows the days on which the clocks change.
func TestTM8Preview(t *testing.T) {
	t.Parallel()
	srv := bustest.Start(t, bustest.Spec(streams))
	r := makeReplica(t, srv.Bus())
	got := r.must("POST", "/v1/schedules/preview", r.token(), `{"rule":{"cron":"30 2 * * *","zone":"Europe/Prague"},"from":"2026-03-28 12:00","count":2}`)
	if !strings.Contains(got, `"nominal":"2026-03-29T01:00:00Z","local":"2026-03-29T03:00:00+02:00","clockChange":true,"inGap":true`) ||
		!strings.Contains(got, `"nominal":"2026-03-30T00:30:00Z","local":"2026-03-30T02:30:00+02:00","clockChange":false,"inGap":false`) ||
		!strings.Contains(got, `"zoneData":"20`) {
		t.Error(got)
	}
}

// TestWireBook sends the example of the wire book.
func TestWireBook(t *testing.T) {
	t.Parallel()
	book, err := os.ReadFile("../../proto/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(book), "```json schedule=create\n")
	example, _, ok := strings.Cut(example, "```")
	if !ok {
		t.Fatal("the wire book has no example of a schedule")
	}
	srv := bustest.Start(t, bustest.Spec(streams))
	r := makeReplica(t, srv.Bus())
	if got := decode[scheduleJSON](t, r.must("POST", "/v1/schedules", r.token(), example)).Schedule; got.State != stateArmed {
		t.Errorf("%+v", got)
	}
}
