package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
)

// partner is a system that polls a mailbox over HTTP, as the ITAS text calls it.
type partner struct {
	t     *testing.T
	w     *world
	token string
	id    string
}

// subscribed is one with a mailbox for a topic of tenant AA, which is in the
// catalogue from then on.
func subscribed(t *testing.T, w *world, topic string) *partner {
	t.Helper()
	p := &partner{t: t, w: w, token: w.token()}
	p.call(http.MethodPut, "/v1/topics/"+topic, map[string]any{"description": "of a test"}, &struct{}{})
	var registered struct{ SubscriberID string }
	p.service("Register", map[string]any{"subscriberName": "acme"}, &registered)
	p.id = registered.SubscriberID
	p.service("Subscribe", map[string]any{"subscriberId": p.id, "compCode": "AA", "topic": topic}, &struct{}{})
	return p
}

// confirmAll takes n messages out of the mailbox, sees that it is empty then, and
// answers the ids of their events.
func (p *partner) confirmAll(n int) (ids []string) {
	p.t.Helper()
	for wait := 60; ; {
		var peek struct {
			MessageCount  int
			NextMessageID string
		}
		p.service("Peek", map[string]any{"subscriberId": p.id, "timeout": wait}, &peek)
		if peek.NextMessageID == "" {
			return ids
		}
		var message struct {
			LockID  string
			Message struct{ ID string }
		}
		about := map[string]any{"subscriberId": p.id, "messageId": peek.NextMessageID}
		p.service("Receive", about, &message)
		about["lockId"] = message.LockID
		p.service("Confirm", about, &struct{}{})
		if ids = append(ids, message.Message.ID); len(ids) >= n {
			wait = 0 // no more are to come
		}
	}
}

func (p *partner) service(name string, request map[string]any, answer any) {
	p.t.Helper()
	p.call(http.MethodPost, "/Events/"+name, request, answer)
}

// call makes one call, as often as the platform asks for it (503): a slow machine may
// not be certain within the time that a call waits. Members are matched ignoring case,
// as the platform does.
func (p *partner) call(method, path string, request map[string]any, answer any) {
	p.t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		p.t.Fatal(err)
	}
	var status int
	var text []byte
	bustest.Eventually(p.t, patience, path+" is answered", func() bool {
		status, text = p.once(method, path, body)
		return status != http.StatusServiceUnavailable
	})
	if status != http.StatusOK || json.Unmarshal(text, answer) != nil {
		p.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
}

func (p *partner) once(method, path string, body []byte) (status int, answer []byte) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(soon(p.t), method, p.w.service("mailbox", path), bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("Content-Type", "application/json")
	res, err := p.w.http.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(res.Body); err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, answer
}
