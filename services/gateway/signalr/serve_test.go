package signalr

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/fault"
)

func TestSR1Negotiate(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	for query, want := range map[string]map[string]bool{
		"": {`"negotiateVersion":0`: true, `"connectionToken"`: false, "useStatefulReconnect": false},
		"?negotiateVersion=0&useStatefulReconnect=true": {`"negotiateVersion":0`: true, "useStatefulReconnect": false},
		"?negotiateVersion=1":                           {`"negotiateVersion":1`: true, `"connectionToken"`: true, "useStatefulReconnect": false, "ProtocolVersion": false},
		"?negotiateVersion=1&useStatefulReconnect=true": {`"useStatefulReconnect":true`: true},
		"?negotiateVersion=99&more=1":                   {`"negotiateVersion":1`: true},
		"?negotiateVersion=x":                           {`"error":"negotiateVersion`: true, "connectionId": false},
		"?negotiateVersion=-1":                          {`"error"`: true},
	} {
		status, body := r.status("POST", "/negotiate"+query, "")
		for part, there := range want {
			if status != 200 || strings.Contains(body, part) != there {
				t.Errorf("%s: %d %s: %s is %v", query, status, body, part, !there)
			}
		}
		var n struct {
			ConnectionID, ConnectionToken string
			AvailableTransports           []offer
		}
		if err := json.Unmarshal([]byte(body), &n); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(body, `"error"`) {
			continue
		}
		if diff := cmp.Diff(offers, n.AvailableTransports); diff != "" || n.ConnectionID == "" || n.ConnectionID == n.ConnectionToken ||
			url.QueryEscape(n.ConnectionToken) != n.ConnectionToken {
			t.Errorf("%s: %s %s", query, body, diff)
		}
	}
	if status, _ := r.status("POST", "/negotiate", "", "Authorization", ""); status != 401 {
		t.Errorf("without a token: %d", status)
	}
	resp := r.call("POST", "/negotiate", "")
	if h := resp.Header; h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", h)
	}
	// Of version 0, the one id there is opens the connection.
	var zero struct{ ConnectionID string }
	if err := json.NewDecoder(resp.Body).Decode(&zero); err != nil {
		t.Fatal(err)
	}
	r.dial("?id=" + zero.ConnectionID)
}

// The table of the reference: which request is answered how.
func TestSR1StatusCodes(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "MTIzNDU2Nzg5MDEyMzQ1Ng=="}
	stream := []string{"Accept", "text/event-stream"}

	socket := "?id=" + r.negotiate("")
	r.open(socket)
	polls := "?id=" + r.negotiate("")
	if status, body := r.status("GET", polls, ""); status != 200 || body != "" {
		t.Fatalf("first poll: %d %q", status, body)
	}
	streams := "?id=" + r.negotiate("")
	r.call("GET", streams, "", stream...)
	stateful := "?id=" + r.negotiate("&useStatefulReconnect=true")
	r.open(stateful)
	id := r.negotiate("")
	over := "?id=" + r.negotiate("")
	r.status("GET", over, "")
	if status, _ := r.status("DELETE", over, ""); status != http.StatusAccepted {
		t.Errorf("delete: %d", status)
	}
	old := newTicket(&principalAnna, false, time.Now().Add(-time.Hour))
	forged := []byte(id)
	forged[20] ^= 1
	if forged[20] == '-'^1 || forged[20] == '_'^1 {
		forged[20] = 'A'
	}

	for _, c := range []struct {
		name, method, query string
		headers             []string
		status              int
		fault               fault.Code
	}{
		{"poll without an id", "GET", "", nil, 400, fault.InvalidRequest},
		{"stream without an id", "GET", "", stream, 400, fault.InvalidRequest},
		{"send without an id", "POST", "", nil, 400, fault.InvalidRequest},
		{"delete without an id", "DELETE", "", nil, 400, fault.InvalidRequest},
		{"socket of nobody's id", "GET", "?id=nonsense", upgrade, 404, fault.ConnectionUnknown},
		{"poll of nobody's id", "GET", "?id=nonsense", nil, 404, fault.ConnectionUnknown},
		{"stream of nobody's id", "GET", "?id=nonsense", stream, 404, fault.ConnectionUnknown},
		{"send to nobody's id", "POST", "?id=nonsense", nil, 404, fault.ConnectionUnknown},
		{"delete of nobody's id", "DELETE", "?id=nonsense", nil, 404, fault.ConnectionUnknown},
		{"forged id", "GET", "?id=" + string(forged), upgrade, 404, fault.ConnectionUnknown},
		{"public id", "GET", "?id=" + old.id(), upgrade, 404, fault.ConnectionUnknown},
		{"id that ran out", "GET", "?id=" + r.hub.seal.write(old), upgrade, 404, fault.ConnectionUnknown},
		{"send before connecting", "POST", "?id=" + id, nil, 404, fault.ConnectionUnknown},
		{"second socket", "GET", socket, upgrade, 409, fault.ConnectionInUse},
		{"second stream", "GET", streams, stream, 409, fault.ConnectionInUse},
		{"socket for a stream", "GET", streams, upgrade, 400, fault.InvalidRequest},
		{"poll for a stream", "GET", streams, nil, 400, fault.InvalidRequest},
		{"stream for polls", "GET", polls, stream, 400, fault.InvalidRequest},
		{"socket for polls", "GET", polls, upgrade, 400, fault.InvalidRequest},
		{"poll for a socket", "GET", socket, nil, 400, fault.InvalidRequest},
		{"send to a socket", "POST", socket, nil, 405, fault.MethodNotAllowed},
		{"delete of a socket", "DELETE", socket, nil, 400, fault.InvalidRequest},
		{"delete of a stream", "DELETE", streams, nil, 400, fault.InvalidRequest},
		{"send after the end", "POST", over, nil, 404, fault.ConnectionUnknown},
		{"delete after the end", "DELETE", over, nil, 404, fault.ConnectionUnknown},
		{"socket after the end", "GET", over, upgrade, 404, fault.ConnectionUnknown},
		{"poll after the end", "GET", over, nil, 204, ""},
		{"another user's poll", "GET", polls, []string{"Authorization", "Bearer eva"}, 403, fault.ConnectionForbidden},
		{"another user's stream", "GET", "?id=" + id, append([]string{"Authorization", "Bearer eva"}, stream...), 403, fault.ConnectionForbidden},
		{"another user's return", "GET", stateful, append([]string{"Authorization", "Bearer eva"}, upgrade...), 403, fault.ConnectionForbidden},
		{"another user's send", "POST", polls, []string{"Authorization", "Bearer eva"}, 403, fault.ConnectionForbidden},
		{"another user's delete", "DELETE", polls, []string{"Authorization", "Bearer eva"}, 403, fault.ConnectionForbidden},
		{"another user's socket", "GET", "?id=" + id, append([]string{"Authorization", "Bearer eva"}, upgrade...), 403, fault.ConnectionForbidden},
		{"poll without a token", "GET", polls, []string{"Authorization", ""}, 401, fault.TokenMissing},
		{"send without a token", "POST", polls, []string{"Authorization", ""}, 401, fault.TokenMissing},
		{"delete without a token", "DELETE", polls, []string{"Authorization", ""}, 401, fault.TokenMissing},
		{"stream without a token", "GET", "?id=" + id, append([]string{"Authorization", ""}, stream...), 401, fault.TokenMissing},
		{"socket without a token", "GET", "", append([]string{"Authorization", ""}, upgrade...), 401, fault.TokenMissing},
		{"token in the query", "POST", polls + "&access_token=anna", []string{"Authorization", ""}, 200, ""},
	} {
		resp := r.call(c.method, c.query, "", c.headers...)
		var told struct{ Code, Message string }
		_ = json.NewDecoder(resp.Body).Decode(&told)
		if resp.StatusCode != c.status || told.Code != string(c.fault) || resp.Header.Get("Belfry-Fault") != string(c.fault) {
			t.Errorf("%s: %d %+v, header %q", c.name, resp.StatusCode, told, resp.Header.Get("Belfry-Fault"))
		}
	}
	// The one that nobody had touched is as good as new, and the others still work.
	r.open("?id=" + id)
	if status, _ := r.status("POST", polls, ""); status != 200 {
		t.Errorf("post: %d", status)
	}
}

// SR1: what a request on the wrong replica is told.
func TestSR1Replicas(t *testing.T) {
	t.Parallel()
	a := newReplica(t)
	b := newReplica(t, a)
	// Any replica takes a WebSocket, and any one the first request of the others.
	b.open("?id=" + a.negotiate(""))
	polls := "?id=" + a.negotiate("")
	if status, _ := b.status("GET", polls, ""); status != 200 {
		t.Fatalf("first poll: %d", status)
	}
	stateful := "?id=" + a.negotiate("&useStatefulReconnect=true")
	b.open(stateful)
	for method, query := range map[string]string{"GET": polls, "POST": polls, "DELETE": polls} {
		status, body := a.status(method, query, "")
		if status != 404 || !strings.Contains(body, "is on replica r2") || !strings.Contains(body, `"replica":"r2"`) {
			t.Errorf("%s: %d %s", method, status, body)
		}
	}
	resp := a.call("GET", stateful, "", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "MTIzNDU2Nzg5MDEyMzQ1Ng==")
	if resp.StatusCode != 404 || resp.Header.Get("Belfry-Fault") != "connection_elsewhere" {
		t.Errorf("stateful: %d %v", resp.StatusCode, resp.Header)
	}
	if status, _ := b.status("DELETE", polls, ""); status != http.StatusAccepted {
		t.Errorf("delete: %d", status)
	}
}

// A server that has no key yet, or has been told to stop, says so.
func TestSR1NotServing(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	id := r.negotiate("")
	r.hub.Drain()
	resp := r.call("GET", "?id="+id, "")
	if resp.StatusCode != 503 || resp.Header.Get("Belfry-Fault") != "draining" {
		t.Errorf("draining: %d", resp.StatusCode)
	}
	if status, body := r.status("POST", "/negotiate", ""); status != 503 || !strings.Contains(body, "draining") {
		t.Errorf("negotiate while draining: %d %s", status, body)
	}
	r.hub = New(r.hub.o)
	if _, err := r.hub.authenticate(&http.Request{}, true); fault.CodeOf(err) != fault.Starting {
		t.Errorf("starting: %v", err)
	}
}

func TestSR1EventStream(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	query := "?id=" + r.negotiate("")
	resp := r.call("GET", query, "", "Accept", "text/event-stream")
	in := bufio.NewReader(resp.Body)
	line := func() string {
		t.Helper()
		text, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if got := line() + line(); got != ":\r\n\r\n" || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%q %v", got, resp.Header)
	}
	// A handshake in two pieces, and a call right behind it.
	r.status("POST", query, `{"protocol":"json",`)
	r.status("POST", query, `"version":1}`+"\x1e"+`{"type":1,"target":"subscribe","invocationId":"0","arguments":[{}]}`+"\x1e")
	var got strings.Builder
	for !strings.Contains(got.String(), "invocationId") {
		text := line()
		if line() != "\r\n" {
			t.Fatal("an event has more than one line")
		}
		got.WriteString(strings.TrimSuffix(strings.TrimPrefix(text, "data: "), "\r\n"))
	}
	if want := "{}\x1e" + `{"type":3,"invocationId":"0","result":null}` + "\x1e"; got.String() != want {
		t.Errorf("%q", got.String())
	}
	r.last().Shut(fault.Draining)
	if text := line(); text != `data: {"type":7,"allowReconnect":true}`+"\x1e\r\n" {
		t.Errorf("%q", text)
	}
	line()
	if _, err := in.ReadString('\n'); err == nil {
		t.Error("the stream goes on")
	}
	r.last().gone()
	if status, _ := r.status("POST", query, ""); status != 404 {
		t.Errorf("send after the end: %d", status)
	}
}

func TestSR1EventStreamIsForText(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	query := "?id=" + r.negotiate("")
	resp := r.call("GET", query, "", "Accept", "text/event-stream")
	r.status("POST", query, `{"protocol":"messagepack","version":1}`+"\x1e")
	in := bufio.NewReader(resp.Body)
	for text := ""; !strings.HasPrefix(text, "data: "); {
		var err error
		if text, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(text, "data: ") && !strings.Contains(text, "needs a transport for bytes") {
			t.Errorf("%q", text)
		}
	}
}

func TestSR1LongPolling(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	query := "?id=" + r.negotiate("")
	if status, body := r.status("GET", query, ""); status != 200 || body != "" {
		t.Fatalf("first poll: %d %q", status, body)
	}
	type answer struct {
		status int
		body   string
	}
	poll := func() chan answer {
		ch := make(chan answer, 1)
		go func() {
			status, body := r.status("GET", query+"&_=1", "")
			ch <- answer{status, body}
		}()
		return ch
	}
	held := poll()
	r.status("POST", query, `{"protocol":"messagepack","version":1}`+"\x1e\x02\x91\x06")
	if a := <-held; a != (answer{200, "{}\x1e"}) {
		t.Fatalf("%+v", a)
	}
	w := r.last()
	// What comes between two polls waits for the next one, and all of it comes.
	w.event(1)
	w.event(2)
	var got string
	for strings.Count(got, "OnEvent") < 2 {
		a := <-poll()
		if a.status != 200 {
			t.Fatalf("%+v", a)
		}
		got += a.body
	}
	if want := "\x0e\x95\x01\x80\xc0\xa7OnEvent\x91"; got != want+"\x01"+want+"\x02" {
		t.Errorf("%q", got)
	}
	// A newer poll sends the older one away.
	older := poll()
	until(t, "held", w.c.polled)
	newer := poll()
	if a := <-older; a.status != 204 {
		t.Errorf("the older poll: %+v", a)
	}
	// An aborted poll swallows nothing.
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", r.http.URL+"/hub"+query, nil)
	req.Header.Set("Authorization", "Bearer anna")
	aborted := make(chan struct{})
	go func() {
		defer close(aborted)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	if a := <-newer; a.status != 204 {
		t.Errorf("the newer poll: %+v", a)
	}
	cancel()
	<-aborted
	until(t, "let go", func() bool { return !w.c.polled() })
	w.event(3)
	if a := <-poll(); a.status != 200 || !strings.Contains(a.body, "OnEvent") {
		t.Errorf("after an aborted poll: %+v", a)
	}
	// Goodbye goes with the held poll, and the next one is told that it is over.
	held = poll()
	w.Shut(fault.SlowConsumer)
	if a := <-held; a.status != 200 || !strings.Contains(a.body, "slow_consumer") {
		t.Errorf("goodbye: %+v", a)
	}
	if a := <-poll(); a.status != 204 {
		t.Errorf("after goodbye: %+v", a)
	}
	w.gone()
}

// A poll that has nothing to answer for 90 s is answered, before clients give up.
func TestSR1LongPollingPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Peers: peer{&peers{owners: map[string]string{}}, "r"}})
		s.Start(make([]byte, 32))
		defer s.Stop()
		tk := newTicket(&principalAnna, false, time.Now())
		c := newConn(s, &principalAnna, longPoll, tk, url.Values{"id": {s.seal.write(tk)}}, "")
		if err := s.firstPoll(httptest.NewRecorder(), c); err != nil {
			t.Fatal(err)
		}
		began, answer := time.Now(), httptest.NewRecorder()
		if err := c.poll(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != pollTimeout || answer.Code != 200 || answer.Body.Len() != 0 || answer.Header().Get("Cache-Control") != "no-cache, no-store" {
			t.Errorf("after %s: %d %q %v", took, answer.Code, answer.Body, answer.Header())
		}
	})
}

func (c *Conn) polled() bool {
	l, _ := c.current()
	return l.(*pollLine).idle.Load() == 0
}

// DELETE answers a poll that is held.
func TestSR1LongPollingDelete(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	query := "?id=" + r.negotiate("")
	r.status("GET", query, "")
	status := make(chan int, 1)
	go func() {
		code, _ := r.status("GET", query, "")
		status <- code
	}()
	c, _ := r.hub.list.find(strings.TrimPrefix(query, "?id="))
	until(t, "held", c.polled)
	if code, _ := r.status("DELETE", query, ""); code != 202 {
		t.Errorf("delete: %d", code)
	}
	if code := <-status; code != 204 {
		t.Errorf("held poll: %d", code)
	}
}

var principalAnna = *mustAnna()

// The clock, in time of its own.
func TestSR1Clock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Peers: peer{&peers{owners: map[string]string{}}, "r"}})
		s.Start(make([]byte, 32))
		defer s.Stop()
		clock, stop := context.WithCancel(t.Context())
		defer stop()
		go s.Run(clock)
		var mu sync.Mutex
		ended := map[string]time.Duration{}
		began := time.Now()
		watch := func(name string, c *Conn, l line) *Conn {
			if err := c.connect(l, &source{}); err != nil {
				t.Fatal(err)
			}
			go func() {
				<-c.ctx.Done()
				mu.Lock()
				defer mu.Unlock()
				ended[name] = time.Since(began)
			}()
			return c
		}
		open := func(w way) *Conn {
			tk := newTicket(&principalAnna, w == webSocket, time.Now())
			return newConn(s, &principalAnna, w, tk, url.Values{"id": {s.seal.write(tk)}}, "")
		}
		enter := func(c *Conn) *pings {
			p := &pings{}
			c.protocol = protocolJSON
			c.mu.Lock()
			c.window = p
			c.mu.Unlock()
			return p
		}
		silentLine := &nowhere{}
		watch("no handshake", open(eventStream), silentLine)
		c := watch("polls no more", open(longPoll), nil)
		c.mu.Lock()
		c.line = newPollLine(c.ctx)
		c.mu.Unlock()
		enter(c)
		c = watch("pinged once", open(webSocket), &nowhere{})
		enter(c)
		c.pinged.Store(true)
		c = watch("away", open(webSocket), &nowhere{})
		enter(c)
		l, _ := c.current()
		c.lose(l)
		quiet := watch("quiet", open(webSocket), &nowhere{})
		p := enter(quiet)
		time.Sleep(70 * time.Second) //nolint:forbidigo // in a bubble
		stop()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for name, want := range map[string]time.Duration{"no handshake": 20, "polls no more": 15, "pinged once": 30, "away": 15} {
			if got := ended[name] / time.Second; got < want || got > want+2*turn {
				t.Errorf("%s: ended after %v s, want %v", name, int(got), int(want))
			}
		}
		if _, gone := ended["quiet"]; gone {
			t.Error("a client that never pinged was ended")
		}
		if silentLine.said == "" {
			t.Error("nobody told the client that its handshake is late")
		}
		if p.n < 4 || p.n > 14 { // every 10 to 15 s, and nothing is written here that would count as sent
			t.Errorf("%d pings", p.n)
		}
	})
}

func TestSR1TicketsForgotten(t *testing.T) {
	t.Parallel()
	l := newRegistry()
	for n := range 3 {
		l.over[fmt.Sprint(n)] = int64(n)
	}
	l.sweep(2)
	if len(l.over) != 1 {
		t.Errorf("%v", l.over)
	}
}

// Nothing but what was sealed is a ticket.
func FuzzTicket(f *testing.F) {
	var s seal
	s.open(make([]byte, 32))
	sealed := s.write(newTicket(&principalAnna, true, time.Unix(1e9, 0)))
	f.Add(sealed)
	f.Add("")
	f.Add(sealed[:50])
	f.Fuzz(func(t *testing.T, text string) {
		if got, ok := s.read(text); ok && s.write(got) != text {
			t.Fatalf("%q is taken for a ticket", text)
		}
	})
}
