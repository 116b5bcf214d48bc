package mailbox

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// The model: what a mailbox is, in memory. Messages in their order, each with at
// most one lock.
type model struct {
	waiting []*modelMessage
	all     []*modelMessage
}

type modelMessage struct {
	n          int
	id         string // as Peek named it; "" = never named
	lock       string // of the last receive that was answered
	until      time.Time
	deliveries int
	confirmed  string // by which lock
}

func (m *model) free() *modelMessage {
	for _, w := range m.waiting {
		if !w.until.After(time.Now()) {
			return w
		}
	}
	return nil
}

// play is one run: a partner that follows the contract, on a replica that crashes
// between any two NATS calls and is replaced.
type play struct {
	quiet
	w       *world
	p       *partner
	m       *model
	topics  []string
	next    int
	crash   *crasher // of the replica that runs
	crashes int
}

// TestMailboxModel holds the service against the model: MB2 to MB5 and MB7, under
// fake time, on a real JetStream, with crashes.
func TestMailboxModel(t *testing.T) { //nolint:paralleltest // a bubble
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.SliceOfN(rapid.IntRange(0, 1<<20), 10, 60).Draw(rt, "steps")
		var failed string
		bustest.Bubble(t, func(t *testing.T) {
			defer func() {
				if v := recover(); v != nil {
					failed = fmt.Sprint(v)
				}
			}()
			w := newWorld(t, bustest.InProcess())
			w.t = quiet{t}
			run := &play{quiet: quiet{t}, w: w, m: &model{}, topics: []string{"a", "b"}}
			run.p = run.replica().partner("anna", "crm").subscribe("a").subscribe("b")
			for _, step := range seed {
				run.step(step)
			}
			run.drain()
		})
		if failed != "" {
			rt.Fatal(failed)
		}
	})
}

// quiet fails by panicking, which is caught at the border of the bubble, so that
// rapid can try a shorter run.
type quiet struct{ testing.TB }

func (q quiet) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (q quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// step does one thing, as a number says.
func (r *play) step(n int) {
	arg := n / 8
	switch n % 8 {
	case 0, 1:
		r.publish(r.topics[arg%2])
	case 2:
		r.peek()
	case 3, 4:
		r.receive(1 + arg%40)
	case 5:
		r.confirm(arg)
	case 6:
		pass(time.Duration(arg%45) * time.Second)
	case 7:
		r.crashNext(arg)
	}
}

func (r *play) publish(topic string) {
	r.next++
	r.w.publish("evt.AA."+topic+".created", fmt.Sprint(r.next))
	m := &modelMessage{n: r.next}
	r.m.waiting, r.m.all = append(r.m.waiting, m), append(r.m.all, m)
	pass(10 * time.Second) // the relay's time, also after a takeover
}

// crashNext makes the replica end after so many half calls; it is replaced when a
// call fails.
func (r *play) crashNext(after int) {
	r.crash.arm(after % 14)
}

// replica starts a replica that can be made to end.
func (r *play) replica() *replica {
	r.crash = &crasher{Caller: ask(r.w.nats.Bus().NC), left: 1 << 30}
	return r.w.startOn(r.w.nats.Bus(), func(s *Service) { s.copies.Caller, s.states.Caller = r.crash, r.crash })
}

// call makes a call until it is answered, as a partner does.
func (r *play) call(method string, f fields) (int, fields) {
	for {
		status, answer := r.p.call(method, f)
		if status != http.StatusServiceUnavailable && status != http.StatusInternalServerError {
			return status, answer
		}
		r.crashes++
		r.p.stop()
		r.p = r.p.at(r.replica())
	}
}

func (r *play) peek() {
	status, answer := r.call("Peek", fields{"timeout": 0})
	if status != http.StatusOK || answer.number("messageCount") != len(r.m.waiting) {
		r.Fatalf("peek: %d %v, %d wait", status, answer, len(r.m.waiting))
	}
	want := r.m.free()
	got := answer.text("nextMessageId")
	if (want == nil) != (got == "") || answer["timedOut"] != (want == nil) {
		r.Fatalf("peek: %v, the first free one is %+v", answer, want)
	}
	if want == nil {
		return
	}
	if want.id == "" {
		if slices.ContainsFunc(r.m.all, func(m *modelMessage) bool { return m.id == got }) {
			r.Fatalf("peek names %s for a second message", got)
		}
		want.id = got
	}
	if want.id != got {
		r.Fatalf("peek names %s, not %+v", got, want)
	}
}

func (r *play) receive(lock int) {
	want := r.m.free()
	before := r.crashes
	status, answer := r.call("Receive", fields{"lockTimeout": lock})
	if status != http.StatusOK {
		r.Fatalf("receive: %d %v", status, answer)
	}
	if r.crashes > before {
		// Calls without an answer may have locked what they did not hand out.
		r.settle(answer, lock)
		return
	}
	if want == nil {
		if len(answer) > 0 {
			r.Fatalf("received %v, nothing is free", answer)
		}
		return
	}
	r.locked(want, answer, lock)
	if want.deliveries++; answer.number("deliveryCount") != want.deliveries {
		r.Fatalf("delivery %d of %+v", answer.number("deliveryCount"), want)
	}
}

// locked notes a lock that was handed out.
func (r *play) locked(m *modelMessage, answer fields, lock int) {
	if dataOf(answer) != fmt.Sprint(m.n) || m.id != "" && m.id != answer.text("messageId") {
		r.Fatalf("received %v, the first free one is %+v", answer, m)
	}
	m.id, m.lock = answer.text("messageId"), answer.text("lockId")
	m.until = time.Now().Add(time.Duration(lock) * time.Second)
}

// settle is a receive whose first tries had no answer: they may have locked one
// message each, the next free ones, for nobody.
func (r *play) settle(answer fields, lock int) {
	for m := r.m.free(); m != nil; m = r.m.free() {
		m.deliveries++
		if dataOf(answer) == fmt.Sprint(m.n) {
			r.locked(m, answer, lock)
			m.deliveries = answer.number("deliveryCount")
			return
		}
		m.lock, m.until = "lost", time.Now().Add(time.Duration(lock)*time.Second)
		if len(answer) == 0 {
			continue
		}
	}
	if len(answer) > 0 {
		r.Fatalf("received %v, which is not free", answer)
	}
}

// confirm confirms one of all messages that ever had a lock: a good one, an old one,
// one that is confirmed.
func (r *play) confirm(n int) {
	had := slices.DeleteFunc(slices.Clone(r.m.all), func(m *modelMessage) bool { return m.lock == "" || m.lock == "lost" })
	if len(had) == 0 {
		return
	}
	m := had[n%len(had)]
	status, answer := r.call("Confirm", fields{"messageId": m.id, "lockId": m.lock})
	good := m.confirmed == m.lock || m.confirmed == "" && m.until.After(time.Now())
	switch {
	case good && status != http.StatusOK, !good && answer.text("code") != "lock_lost":
		r.Fatalf("confirm of %+v: %d %v", m, status, answer)
	case good && m.confirmed == "":
		m.confirmed = m.lock
		r.m.waiting = slices.DeleteFunc(r.m.waiting, func(w *modelMessage) bool { return w == m })
	}
}

// drain takes everything out: nothing is lost, nothing comes twice, all is in
// order once no lock is left.
func (r *play) drain() {
	pass(time.Minute)
	for _, m := range r.m.all {
		m.until = time.Time{}
	}
	for len(r.m.waiting) > 0 {
		r.peek()
		r.receive(30)
		w := r.m.waiting[0]
		if w.lock == "lost" {
			pass(time.Minute)
			continue
		}
		r.confirm(slices.IndexFunc(slices.DeleteFunc(slices.Clone(r.m.all), func(m *modelMessage) bool { return m.lock == "" || m.lock == "lost" }),
			func(m *modelMessage) bool { return m == w }))
	}
	r.peek()
}
