package signalr

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"pgregory.net/rapid"

	"github.com/belfry-events/belfry/pkg/fault"
)

// A socket is cut, and what was on its way comes on the next one, once.
func TestSR1StatefulReturn(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	query := "?id=" + r.negotiate("&useStatefulReconnect=true")
	c := r.open(query)
	w := r.last()
	c.send(`{"type":1,"target":"Note","invocationId":"1","arguments":["a"]}`)
	c.want(`{"type":3,"invocationId":"1","result":null}`) // our number 1
	w.event(2)
	c.want(event(2), `{"type":8,"sequenceId":1}`) // ours acknowledge, within about a second
	c.send(`{"type":8,"sequenceId":1}`)
	if err := c.ws.Write(t.Context(), websocket.MessageText, []byte(`{"type":1,"target":"Note","arg`)); err != nil { // which is not to be remembered
		t.Fatal(err)
	}
	_ = c.ws.CloseNow()
	until(t, "away", func() bool { return !w.c.stillThere() })
	w.event(3)

	c = r.dial(query)
	c.want(`{"type":9,"sequenceId":2}`, event(2), event(3))
	until(t, "its token is looked at", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.renewed == 1
	})
	// Before its own Sequence nothing of the client counts; then what came is known.
	c.send(`{"type":1,"target":"Note","arguments":["lost"]}`, `{"type":9,"sequenceId":1}`,
		`{"type":1,"target":"Note","invocationId":"1","arguments":["a"]}`, `{"type":1,"target":"Note","invocationId":"2","arguments":["b"]}`)
	c.want(`{"type":3,"invocationId":"2","result":null}`)
	r.mu.Lock()
	if got := fmt.Sprint(r.calls); got != `["a" "b"]` {
		t.Errorf("calls %s", got)
	}
	r.mu.Unlock()
	c.send(`{"type":8,"sequenceId":4}`)
	until(t, "acknowledged", func() bool { return w.c.replay.unacknowledged() == 0 })

	// The old socket may look alive when the client comes back.
	old := c
	c = r.dial(query)
	c.want(`{"type":9,"sequenceId":5}`)
	if _, err := old.read(); err == nil {
		t.Log("something was still on its way to the old socket")
	}
	// A client that goes on with what it never sent is wrong.
	c.send(`{"type":9,"sequenceId":9}`)
	c.want(`{"type":7,"error":"invalid_frame: a client that comes back goes on with message 9, and 3 was expected at most"}`)
	c.ended()
	w.gone()
	if resp := r.call("GET", query, "", upgradeHeaders...); resp.StatusCode != 404 {
		t.Errorf("after the end: %d", resp.StatusCode)
	}
}

var upgradeHeaders = []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "MTIzNDU2Nzg5MDEyMzQ1Ng=="}

func (r *replay) unacknowledged() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.kept)
}

func (c *Conn) stillThere() bool {
	l, _ := c.current()
	return l != nil
}

// Microsoft's client counts what it receives from its first message behind the
// handshake on: what came earlier would come twice. One that says nothing is not left
// waiting.
func TestSR1StatefulCountsTogether(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	query := "?id=" + r.negotiate("&useStatefulReconnect=true")
	c := r.dial(query)
	c.send(`{"protocol":"json","version":2}`)
	c.want("{}")
	p := r.last().c.replay
	event1 := []Message{{Bytes: []byte("{}")}, {Bytes: []byte("x"), Counted: 1}}
	if n := p.uncounted(event1); n != 1 {
		t.Errorf("%d messages go out before the client counts", n)
	}
	c.send(`{"type":6}`)
	until(t, "counting", func() bool { return p.uncounted(event1) == 2 })
	r.last().event(1)
	c.want(event(1))

	silent := r.dial("?id=" + r.negotiate("&useStatefulReconnect=true"))
	silent.send(`{"protocol":"json","version":2}`)
	silent.want("{}")
	r.last().event(2)
	silent.want(event(2))
}

// Above what is kept the writer waits for the client, and goes on when it
// acknowledges.
func TestSR1StatefulBackpressure(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	query := "?id=" + r.negotiate("&useStatefulReconnect=true")
	c := r.open(query)
	w := r.last()
	big := Message{Bytes: []byte(`"` + strings.Repeat("x", 40_000) + "\"\x1e"), Counted: 1}
	for range 4 {
		w.Put(big)
	}
	for n := range 4 {
		if n == 2 {
			if _, kept := w.c.replay.again(nil); len(kept) > 2 {
				t.Errorf("%d messages are kept", len(kept))
			}
			c.send(`{"type":8,"sequenceId":2}`)
		}
		if _, err := c.read(); err != nil {
			t.Fatal(err)
		}
	}
	// While it waits the client may come back, and the server may stop.
	until(t, "acknowledged", func() bool { return w.c.replay.unacknowledged() == 2 })
	w.Put(big)
	w.Shut(fault.Draining)
	c2 := r.dial(query)
	c2.want(`{"type":9,"sequenceId":3}`)
}

// SR4: what has expired while it was kept is not sent again, and its number is.
func TestSR4StatefulExpiry(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	query := "?id=" + r.negotiate("&useStatefulReconnect=true")
	c := r.open(query)
	w := r.last()
	w.event(1)
	w.Put(Message{Bytes: []byte(event(2) + "\x1e" + event(3) + "\x1e"), Counted: 2, Expires: time.Now().Add(time.Hour).UnixNano()})
	w.event(4)
	c.want(event(1), event(2), event(3), event(4))
	_ = c.ws.CloseNow()
	until(t, "away", func() bool { return !w.c.stillThere() })
	w.c.replay.mu.Lock()
	w.c.replay.kept[1].Expires = time.Now().UnixNano() // an hour later
	w.c.replay.mu.Unlock()
	c = r.dial(query)
	filler := `{"type":3,"invocationId":"expired"}`
	c.want(`{"type":9,"sequenceId":1}`, event(1), filler, filler, event(4))
}

// A clean end is an end: nothing is kept for a client that said goodbye, and the id
// opens nothing from before the client hears that we end it.
func TestSR1StatefulEnd(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	query := "?id=" + r.negotiate("&useStatefulReconnect=true")
	c := r.open(query)
	w := r.last()
	_ = c.ws.Close(websocket.StatusNormalClosure, "")
	w.gone()

	query = "?id=" + r.negotiate("&useStatefulReconnect=true")
	c = r.open(query)
	w = r.last()
	w.Shut(fault.Draining)
	c.want(`{"type":7,"allowReconnect":true}`)
	if resp := r.call("GET", query, "", upgradeHeaders...); resp.StatusCode != http.StatusNotFound {
		t.Errorf("after Close: %d", resp.StatusCode)
	}
	c.ended()
	w.gone()

	// Version 1 of the protocol cannot come back.
	query = "?id=" + r.negotiate("&useStatefulReconnect=true")
	c = r.dial(query)
	c.send(`{"protocol":"json","version":1}`)
	c.want("{}")
	w = r.last()
	_ = c.ws.CloseNow()
	w.gone()
}

// Whatever is written, cut and acknowledged: the peer has everything, in order.
func TestSR1ReplayModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := newReplay()
		var sent, got []string
		var received int64 // by the peer
		lost := false
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				text := fmt.Sprint(len(sent))
				if r.keep([]Message{{Bytes: []byte(text), Counted: 1}, {Bytes: []byte("ping")}}) != nil {
					t.Fatal("full")
				}
				sent = append(sent, text)
				if !lost {
					got = append(got, text)
					received++
				}
			case 2:
				r.acknowledged(received - rapid.Int64Range(0, received).Draw(t, "late"))
			case 3:
				if !lost {
					lost = true
					continue
				}
				lost = false
				first, messages := r.again(nil)
				if first > received+1 {
					t.Fatalf("goes on with %d, after %d", first, received)
				}
				for n, m := range messages {
					if first+int64(n) > received {
						got = append(got, string(m.Bytes))
						received++
					}
				}
			}
			if !lost && fmt.Sprint(got) != fmt.Sprint(sent) {
				t.Fatalf("got %v of %v", got, sent)
			}
		}
	})
}
