package mailbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// background makes a call that waits, and answers where its answer will be.
func (p *partner) background(method string, b fields) <-chan fields {
	answers := make(chan fields, 1)
	go func() {
		_, answer := p.call(method, b)
		answers <- answer
	}()
	return answers
}

// parked waits until so many Peeks wait in the replica.
func (r *replica) parked(n int) {
	r.t.Helper()
	bustest.Eventually(r.t, patience, fmt.Sprintf("%d peeks wait", n), func() bool { return gauge(r.s.stats.parked) == n })
}

// The cycle of the ITAS text: peek, timeout, peek, message.
func TestMB2Cycle(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		r := w.start()
		p := r.partner("anna", "crm").subscribe("invoices")
		for _, timeout := range []int{1, 60, 90} {
			began := time.Now()
			peeked := p.must("Peek", fields{"timeout": timeout})
			if peeked["timedOut"] != true || peeked.number("messageCount") != 0 || peeked["nextMessageId"] != nil {
				t.Fatalf("peek of nothing: %v", peeked)
			}
			if d := time.Since(began) - time.Duration(timeout)*time.Second; d < 0 || d > time.Second {
				t.Fatalf("a peek of %d s took %s", timeout, time.Since(began))
			}
		}
		answers := p.background("Peek", nil)
		r.parked(1)
		began := time.Now()
		r.publish("evt.AA.invoices.created", `1`)
		if peeked := <-answers; peeked.number("messageCount") != 1 || time.Since(began) > 100*time.Millisecond {
			t.Fatalf("woken after %s: %v", time.Since(began), peeked)
		}
	})
}

// A poller that hangs up has taken nothing, and leaves nothing behind.
func TestMB2HangUp(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		r := w.start()
		p := r.partner("anna", "crm").subscribe("invoices")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p.post(ctx, "/Events/Peek", `{"subscriberId":"`+p.id+`"}`)
		}()
		r.parked(1)
		cancel()
		<-ended
		r.parked(0)
		r.publish("evt.AA.invoices.created", `1`)
		if data, _ := p.next(); data != "1" {
			t.Fatalf("received %s", data)
		}
		if n := len(r.s.room.waiting); n != 0 {
			t.Fatalf("%d subscribers wait in the room", n)
		}
	})
}

// When the process stops, those who wait are answered first.
func TestMB2Drain(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		r := w.start()
		p := r.partner("anna", "crm").subscribe("invoices")
		answers := p.background("Peek", nil)
		r.parked(1)
		began := time.Now()
		r.stop()
		if peeked := <-answers; peeked["timedOut"] != true || time.Since(began) > 2*time.Second {
			t.Fatalf("after %s: %v", time.Since(began), peeked)
		}
	})
}

// A notice that is lost costs seconds, not the message.
func TestMB2LostNotice(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		r := w.start()
		p := r.partner("anna", "crm").subscribe("invoices")
		answers := p.background("Peek", nil)
		r.parked(1)
		r.s.room.mu.Lock()
		waiting := r.s.room.waiting
		r.s.room.waiting = map[string]map[chan struct{}]bool{}
		r.s.room.mu.Unlock()
		r.publish("evt.AA.invoices.created", `1`)
		pass(time.Second)
		r.s.room.mu.Lock()
		r.s.room.waiting = waiting
		r.s.room.mu.Unlock()
		began := time.Now()
		if peeked := <-answers; peeked.number("messageCount") != 1 || time.Since(began) > 2*r.s.config.LookEvery {
			t.Fatalf("after %s: %v", time.Since(began), peeked)
		}
	})
}

// The same over NATS, where 200 Peeks that wait keep no Confirm waiting; and at
// the end they are told to come back.
func TestMB1OverNATS(t *testing.T) { //nolint:paralleltest // a bubble
	bubble(t, func(t *testing.T, w *world) {
		r := w.start()
		ctx, cancel := context.WithCancel(t.Context())
		calls := r.api.NATS(w.nats.Bus().NC)
		ended := make(chan error, 1)
		go func() { ended <- calls.Run(ctx) }()
		<-calls.Ready()
		p := r.partner("anna", "crm").subscribe("invoices")
		waiter := r.partner("anna", "waiter").subscribe("other")
		client := w.nats.Bus().NC
		ask := func(method, text string) *nats.Msg {
			m := &nats.Msg{Subject: "svc.mailbox." + method, Header: nats.Header{"Authorization": {"Bearer " + p.tok}}, Data: []byte(text)}
			answer, err := client.RequestMsg(m, 2*time.Minute)
			if err != nil {
				t.Error(err)
				return &nats.Msg{}
			}
			return answer
		}
		const many = 200
		answers := make(chan *nats.Msg, many)
		for range many {
			go func() { answers <- ask("Peek", `{"subscriberId":"`+waiter.id+`"}`) }()
		}
		r.parked(many)
		r.publish("evt.AA.invoices.created", `1`)
		p.await(1)
		began := time.Now()
		var got fields
		if err := json.Unmarshal(ask("Receive", `{"subscriberId":"`+p.id+`"}`).Data, &got); err != nil {
			t.Fatal(err)
		}
		confirmed := ask("Confirm", fmt.Sprintf(`{"subscriberId":%q,"messageId":%q,"lockId":%q}`, p.id, got.text("messageId"), got.text("lockId")))
		if confirmed.Header.Get("Belfry-Fault") != "" || time.Since(began) > time.Second {
			t.Fatalf("confirm after %s: %s", time.Since(began), confirmed.Data)
		}
		if refused := ask("Confirm", `{"subscriberId":"x"}`); refused.Header.Get("Belfry-Fault") != "subscriber_unknown" {
			t.Fatalf("a fault over NATS: %v %s", refused.Header, refused.Data)
		}
		cancel()
		for range many {
			var peeked fields
			if answer := <-answers; json.Unmarshal(answer.Data, &peeked) != nil || peeked["timedOut"] != true {
				t.Fatalf("at the end: %v %s", answer.Header, answer.Data)
			}
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
}

// The API as its plain routes, PUT /v1/topics among them.
func TestMB8Topics(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start()
	p := r.partner("anna", "crm", "AA", "BB")
	p.refused("Subscribe", fields{"compCode": "AA", "topic": "new"}, 404, "topic_unknown")
	r.publish("evt.AA.New.created", `1`)
	p.must("Subscribe", fields{"compCode": "AA", "topic": "NEW"}) // seen, whatever the relay's lag
	p.refused("Subscribe", fields{"compCode": "BB", "topic": "new"}, 404, "topic_unknown")
	put := func(path, body string, status int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://belfry.test"+path, bodyOf(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+p.tok)
		resp, err := p.http.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != status {
			t.Fatalf("PUT %s %s answered %d, not %d", path, body, resp.StatusCode, status)
		}
	}
	put("/v1/topics/Devices", `{"compCode":"BB","description":"Cash desks","schema":"{\"type\":\"object\"}"}`, 200)
	put("/v1/topics/Devices", `{"description":"whose?"}`, 400)
	put("/v1/topics/Devices", `{"compCode":"BB","schema":"no"}`, 400)
	put("/v1/topics/Devices", `{"compCode":"CC"}`, 403)
	p.must("Subscribe", fields{"compCode": "BB", "topic": "devices"})
	p.must("Publish", fields{"compCode": "AA", "topic": "VOUCHERS", "event": fields{"specversion": "1.0"}})
	p.must("Subscribe", fields{"compCode": "AA", "topic": "vouchers"})
	topics := fmt.Sprint(p.must("ViewTopics", nil)["topics"])
	want := "[map[compCode:AA description: schema: topic:New] map[compCode:AA description: schema: topic:VOUCHERS] map[compCode:BB description:Cash desks schema:{\"type\":\"object\"} topic:Devices]]"
	if topics != want {
		t.Fatalf("topics %s\n not %s", topics, want)
	}
	p.must("Publish", fields{"compCode": "BB", "topic": "DEVICES", "event": fields{"specversion": "1.0", "data": fields{"n": 7}}})
	if data, _ := p.next(); data != `{"n":7}` && data != "1" {
		t.Fatalf("received %s", data)
	}
}
