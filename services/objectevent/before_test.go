package objectevent

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/fault"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

func TestOE3WithoutHooksADeletionIsAllowedAndStored(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	out := w.mustBefore(object{"old": object{"name": "Jan"}, "version": 7})
	if !out.GetAllowed() || out.GetDeletionId() == "" || out.GetCursor() == "" || len(out.GetHooks()) != 0 {
		t.Fatalf("%v", out)
	}
	events := w.stored("users", "deleting")
	if len(events) != 1 {
		t.Fatalf("%d events, not 1", len(events))
	}
	e := events[0]
	c := e.Change()
	if e.ID != out.GetDeletionId() || e.Subject != "42" || c.Actor.User != "anna" || c.Action != "trash" ||
		string(c.Old) != `{"name":"Jan"}` || *c.Resource.Version != 7 {
		t.Fatalf("%+v %+v", e, c)
	}
	d, err := w.h.deletions.check(t.Context(), out.GetDeletionId(), "AA", "USERS", "42", ToTrash, time.Now())
	if err != nil || d.Verdict != Allowed || d.Cursor != out.GetCursor() {
		t.Fatalf("%+v %v", d, err)
	}
}

func TestOE4AVetoOverNATSStopsADeletion(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("guard", nil)
	w.serve("guard", func(_ context.Context, b client.Before) client.Verdict {
		if b.Asks != "sys.userDelete" || !b.MayRefuse || b.Event.Topic != "users" || b.Event.Change().Actor.User == "" && !b.DryRun {
			return client.Refuse(fmt.Sprintf("wrong question: %+v", b))
		}
		if b.Event.Subject == "42" {
			return client.Refuse("is the only administrator")
		}
		return client.Allow()
	})
	out := w.mustBefore(nil)
	if out.GetAllowed() || out.GetReason() != "is the only administrator" || out.GetRefusedBy() != "guard" {
		t.Fatalf("%v", out)
	}
	// The event is stored all the same, once, before anybody was asked.
	if n := len(w.stored("users", "deleting")); n != 1 {
		t.Fatalf("%d events, not 1", n)
	}
	_, err := w.h.deletions.check(t.Context(), out.GetDeletionId(), "AA", "users", "42", ToTrash, time.Now())
	if fault.CodeOf(err) != fault.DeletionRefused {
		t.Fatalf("an operation could name it: %v", err)
	}
	if out := w.mustBefore(object{"object": "43"}); !out.GetAllowed() || out.GetHooks()[0].GetOutcome() != "allowed" {
		t.Fatalf("%v", out)
	}
	v := w.awaitVerdicts(1, "?deletionId="+out.GetDeletionId())[0]
	if v.GetAnswer().GetReason() != "is the only administrator" || v.GetObject() != "42" || v.GetActor().GetUser() != "anna" || v.GetAnswer().GetTook().AsDuration() <= 0 {
		t.Fatalf("%v", v)
	}
}

func TestOE4AVetoOverHTTPStopsADeletion(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	var secret atomic.Pointer[string]
	url := w.handler(func(rw http.ResponseWriter, r *http.Request, body []byte) {
		if err := verifyStandardWebhook(*secret.Load(), r.Header, body, time.Now()); err != nil {
			http.Error(rw, err.Error(), http.StatusUnauthorized)
			return
		}
		answering(`{"allow":false,"reason":"has open orders"}`)(rw, r, body)
	})
	created := w.register("orders", object{"url": url})
	s := created.GetSecret()
	secret.Store(&s)
	out := w.mustBefore(nil)
	if out.GetAllowed() || out.GetReason() != "has open orders" || out.GetRefusedBy() != "orders" {
		t.Fatalf("%v", out)
	}
}

// TestOE4ADeadHook: what a hook that does not answer costs, and what comes of it.
func TestOE4ADeadHook(t *testing.T) {
	t.Parallel()
	const timeout = 150 * time.Millisecond
	for _, failOpen := range []bool{true, false} {
		t.Run(fmt.Sprintf("fail_open=%v", failOpen), func(t *testing.T) {
			t.Parallel()
			w := newHookWorld(t)
			block := make(chan struct{})
			url := w.handler(func(_ http.ResponseWriter, r *http.Request, _ []byte) {
				select {
				case <-block:
				case <-r.Context().Done():
				}
			})
			t.Cleanup(func() { close(block) })
			w.register("dead", object{"url": url, "timeout": "0.150s", "failOpen": failOpen})
			began := time.Now()
			out := w.mustBefore(nil)
			took := time.Since(began)
			if out.GetAllowed() != failOpen || out.GetHooks()[0].GetOutcome() != string(TimedOut) {
				t.Fatalf("%v", out)
			}
			if took < timeout || took > timeout+hookQuick {
				t.Fatalf("took %s, its timeout is %s", took, timeout)
			}
			t.Logf("fail_open=%v, timeout %s: answered in %s, allowed=%v", failOpen, timeout, took.Round(time.Millisecond), out.GetAllowed())
		})
	}
}

func TestOE4NobodyListensIsKnownAtOnce(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("absent", nil)
	began := time.Now()
	out := w.mustBefore(nil)
	if out.GetAllowed() || out.GetHooks()[0].GetOutcome() != string(Absent) || time.Since(began) > hookQuick {
		t.Fatalf("%s: %v", time.Since(began), out)
	}
	if got := w.h.caller.circuits.state(hookID{"AA", "absent"}, 1); got != circuitClosed {
		t.Fatalf("its circuit is %s", got)
	}
}

// TestOE4AHandlerThatPanics has given no answer, and that is known at once.
func TestOE4AHandlerThatPanics(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("guard", nil)
	w.serve("guard", func(context.Context, client.Before) client.Verdict { panic("no such table") })
	began := time.Now()
	out := w.mustBefore(nil)
	if out.GetAllowed() || out.GetHooks()[0].GetOutcome() != string(Garbage) || strings.Contains(out.GetReason(), "table") || time.Since(began) > hookQuick {
		t.Fatalf("%s: %v", time.Since(began), out)
	}
}

// TestOE4TheFirstRefusalAnswers: a slow hook does not hold back a refusal, and its
// own verdict is kept when it comes.
func TestOE4TheFirstRefusalAnswers(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("slow", nil)
	w.register("quick", nil)
	let := make(chan struct{})
	w.serve("slow", func(ctx context.Context, b client.Before) client.Verdict {
		if !b.DryRun {
			select {
			case <-let:
			case <-ctx.Done():
			}
		}
		return client.Allow()
	})
	w.serve("quick", func(context.Context, client.Before) client.Verdict { return client.Refuse("no") })
	out := w.mustBefore(nil)
	if out.GetAllowed() || out.GetRefusedBy() != "quick" || len(out.GetHooks()) != 1 {
		t.Fatalf("%v", out)
	}
	close(let)
	for _, v := range w.awaitVerdicts(2, "?deletionId="+out.GetDeletionId()) {
		if want := map[string]string{"slow": "allowed", "quick": "refused"}[v.GetAnswer().GetHook()]; v.GetAnswer().GetOutcome() != want {
			t.Errorf("%v", v)
		}
	}
}

// TestOE2ObjectToDelete: hooks of frm.objectToDelete cannot refuse; they are waited
// for when the object disappears, and not when it goes to the trash.
func TestOE2ObjectToDelete(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("reader", object{"events": []string{"FRM.objectToDelete"}, "topics": []string{"Invoices"}})
	let, done := make(chan struct{}), make(chan struct{}, 8)
	w.serve("reader", func(ctx context.Context, b client.Before) client.Verdict {
		if b.Event.Change().Action == "trash" && !b.DryRun {
			select {
			case <-let:
			case <-ctx.Done():
			}
		}
		done <- struct{}{}
		return client.Refuse("I would rather not")
	})
	<-done
	about := func(mode string) object { return object{"topic": "INVOICES", "object": "4711", "mode": mode} }
	out := w.mustBefore(about("delete"))
	select {
	case <-done:
	default:
		t.Fatal("answered before the handler was done")
	}
	if !out.GetAllowed() || out.GetHooks()[0].GetOutcome() != string(Informed) || out.GetHooks()[0].GetReason() != "I would rather not" {
		t.Fatalf("%v", out)
	}
	if out := w.mustBefore(about("trash")); !out.GetAllowed() || len(out.GetHooks()) != 0 { // it is still being told
		t.Fatalf("%v", out)
	}
	close(let)
	<-done
	if out := w.mustBefore(object{"topic": "orders", "object": "1", "mode": "delete"}); len(out.GetHooks()) != 0 {
		t.Fatalf("asked about a topic that is not its own: %v", out)
	}
}

// TestOE3UserDeleteIsForTheTrash: without trash nobody is asked for a veto.
func TestOE3UserDeleteIsForTheTrash(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("guard", nil)
	if out := w.mustBefore(object{"mode": "delete"}); !out.GetAllowed() || len(out.GetHooks()) != 0 {
		t.Fatalf("%v", out)
	}
}

// TestOE4TheSameQuestionIsAskedOnce by its request id: on the same replica, on
// another, at the same moment, and not for another object.
func TestOE4TheSameQuestionIsAskedOnce(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	other := newHookWorld(t, on(w))
	w.register("guard", nil)
	var asked atomic.Int32
	w.serve("guard", func(_ context.Context, b client.Before) client.Verdict {
		if !b.DryRun {
			asked.Add(1)
		}
		return client.Refuse("no")
	})
	const callers = 20
	answers := make([]*objecteventv1.BeforeDeleteResponse, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			from := w
			if i%2 == 1 {
				from = other
			}
			out, err := from.before(object{"requestId": "r 1"})
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
			answers[i] = out
		})
	}
	all.Wait()
	for _, a := range answers {
		if a.GetDeletionId() != answers[0].GetDeletionId() || a.GetCursor() != answers[0].GetCursor() || a.GetReason() != "no" {
			t.Errorf("%v is not %v", a, answers[0])
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if n := len(w.stored("users", "deleting")); n != 1 {
		t.Errorf("%d events", n)
	}
	if _, err := w.before(object{"requestId": "r 1", "object": "43"}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("the id of another question: %v", err)
	}
}

// TestOE4AQuestionOfADeadReplicaIsTakenOver: it has noted the question and stored
// the event, and nothing more.
func TestOE4AQuestionOfADeadReplicaIsTakenOver(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	id := deletionID("AA", "r1")
	d := Deletion{Tenant: "AA", Topic: "users", Object: "42", Mode: ToTrash, Verdict: Asking, Asked: time.Now(), Until: time.Now().Add(300 * time.Millisecond)}
	_, epoch, err := w.h.since(t.Context(), &d, Deletion{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.h.deletions.put(t.Context(), id, d, 0); err != nil {
		t.Fatal(err)
	}
	e, err := deleting(id, d, &question{})
	if err != nil {
		t.Fatal(err)
	}
	at, err := w.h.storeDeleting(t.Context(), &e, nil, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.h.deletions.check(t.Context(), id, "AA", "users", "42", ToTrash, time.Now()); fault.CodeOf(err) != fault.DeletionPending {
		t.Fatalf("an operation that names it now: %v", err)
	}
	out := w.mustBefore(object{"requestId": "r1"})
	if !out.GetAllowed() || out.GetCursor() != at.String() {
		t.Fatalf("%v, the event is at %s", out, at)
	}
	if n := len(w.stored("users", "deleting")); n != 1 {
		t.Fatalf("%d events", n)
	}
}

// TestOE4AStopIsNoVerdict: a hook that is cut off because we stop has not refused;
// the same question at another replica is answered by it.
func TestOE4AStopIsNoVerdict(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	other := newHookWorld(t, on(w))
	w.register("guard", nil)
	asked, over := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.serve("guard", func(_ context.Context, b client.Before) client.Verdict {
		if !b.DryRun {
			first := false
			once.Do(func() { first = true })
			if first {
				close(asked)
				<-over
			}
		}
		return client.Allow()
	})
	t.Cleanup(func() { close(over) }) // before serve's, which waits for its handlers
	answer := make(chan error, 1)
	go func() {
		_, err := w.before(object{"requestId": "r"})
		answer <- err
	}()
	<-asked
	w.h.crew.finish(0)
	if err := <-answer; fault.CodeOf(err) != fault.Draining {
		t.Fatalf("cut off: %v", err)
	}
	if _, err := w.before(nil); fault.CodeOf(err) != fault.Draining {
		t.Fatalf("after the stop: %v", err)
	}
	if out, err := other.before(object{"requestId": "r"}); err != nil || !out.GetAllowed() {
		t.Fatalf("at another replica: %v %v", out, err)
	}
	if n := len(w.stored("users", "deleting")); n != 1 {
		t.Fatalf("%d events", n)
	}
}

// TestOE4Recursion: a hook that deletes what it was asked about, whether it says so
// or not; and a chain of deletions that does not end.
func TestOE4Recursion(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("looper", nil)
	var mu sync.Mutex
	var inner []fault.Code
	w.serve("looper", func(_ context.Context, b client.Before) client.Verdict {
		if b.DryRun {
			return client.Allow()
		}
		for _, more := range []object{{"object": b.Event.Subject}, {"object": b.Event.Subject, "within": b.Event.ID}} {
			_, err := w.before(more)
			mu.Lock()
			inner = append(inner, fault.CodeOf(err))
			mu.Unlock()
		}
		_, err := w.before(object{"object": b.Event.Subject + "x", "within": b.Event.ID}) // a child, which has one, which …
		if fault.CodeOf(err) == fault.HookRecursion {
			mu.Lock()
			inner = append(inner, "end of the chain")
			mu.Unlock()
		}
		return client.Allow()
	})
	if out := w.mustBefore(nil); !out.GetAllowed() {
		t.Fatalf("%v", out)
	}
	counts := map[fault.Code]int{}
	for _, c := range inner {
		counts[c]++
	}
	// 42 and four in its chain were asked about, each by its own hook.
	if counts[fault.DeletionPending] != 5 || counts[fault.HookRecursion] != 5 || counts["end of the chain"] != 1 {
		t.Fatalf("%v", counts)
	}
	if _, err := w.before(object{"within": "del-nonsense"}); fault.CodeOf(err) != fault.DeletionUnknown {
		t.Errorf("within an unknown deletion: %v", err)
	}
}

func TestOE4ManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("over-nats", nil)
	w.register("over-http", object{"url": w.handler(answering(`{"allow":true}`))})
	w.serve("over-nats", func(context.Context, client.Before) client.Verdict { return client.Allow() })
	var all sync.WaitGroup
	began := time.Now()
	for i := range 100 {
		all.Go(func() {
			out, err := w.before(object{"object": fmt.Sprint("u", i)})
			if err != nil || !out.GetAllowed() || len(out.GetHooks()) != 2 {
				t.Errorf("%d: %v %v", i, out, err)
			}
		})
	}
	all.Wait()
	t.Logf("100 at once, two hooks each: %s", time.Since(began).Round(time.Millisecond))
	if n := len(w.stored("users", "deleting")); n != 100 {
		t.Errorf("%d events", n)
	}
}

// TestBeforeDeleteRefusesBadInput, naming the field, and leaves nothing behind.
func TestBeforeDeleteRefusesBadInput(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	long := string(make([]byte, 256))
	for _, c := range []struct {
		more  object
		code  fault.Code
		field string
	}{
		{object{"topic": ""}, fault.InvalidTopic, "topic"},
		{object{"topic": "*"}, fault.InvalidTopic, "topic"},
		{object{"object": ""}, fault.InvalidName, "object"},
		{object{"object": long}, fault.InvalidName, "object"},
		{object{"mode": ""}, fault.InvalidRequest, "mode"},
		{object{"mode": "purge"}, fault.InvalidRequest, "mode"},
		{object{"requestId": long}, fault.InvalidName, "requestId"},
		{object{"tenant": "BB"}, fault.TenantForbidden, "tenant"},
		{object{"old": []int{1}}, fault.InvalidRequest, "old"},
		{object{"old": object{"x": string(make([]byte, 300<<10))}}, fault.EventTooLarge, "old"},
		{object{"actor": object{"user": "a\x01b"}}, "", ""}, // in the data, where it may stand
		{object{"correlationId": "a\x01b"}, fault.InvalidEvent, "correlationid"},
		{object{"veto": true}, fault.InvalidRequest, "veto"},
	} {
		_, err := w.before(c.more)
		if got := fault.CodeOf(err); got != c.code || err != nil && fault.From(err).Details()["field"] != c.field {
			t.Errorf("%.80v: %v, not %s of %s", c.more, err, c.code, c.field)
		}
	}
	if n := len(w.stored("users", "deleting")); n != 1 { // the actor's
		t.Errorf("%d events were stored", n)
	}
	reader := w.sign([]string{"AA"})
	if err := w.callAs(reader, "POST", "/v1/deletions", object{"topic": "users", "object": "42", "mode": "trash"}, nil); fault.CodeOf(err) != fault.GrantMissing {
		t.Errorf("without the grant: %v", err)
	}
}
