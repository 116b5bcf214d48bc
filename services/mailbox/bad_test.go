package mailbox

import (
	"net/http"
	"strings"
	"testing"
)

// What is wrong is refused with a code and the field's name, and changes nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start()
	p := r.partner("anna", "crm").subscribe("invoices")
	r.publish("evt.AA.invoices.created", `1`)
	p.await(1)
	id := p.must("Peek", nil).text("nextMessageId")
	other := r.partner("eve", "crm").id
	long := strings.Repeat("x", 10<<10)
	for _, c := range []struct {
		method, body string
		status       int
		code, field  string
	}{
		{"Register", `{}`, 400, "invalid_name", "subscriberName"},
		{"Register", `{"subscriberName":""}`, 400, "invalid_name", "subscriberName"},
		{"Register", `{"subscriberName":"` + long + `"}`, 400, "invalid_name", "subscriberName"},
		{"Register", `{"subscriberName":"a\u0007b"}`, 400, "invalid_name", "subscriberName"},
		{"Register", `{"subscriberName":7}`, 400, "invalid_request", "subscriberName"},
		{"Register", `{"subscribername":"a","SubscriberName":"b"}`, 400, "invalid_request", "SubscriberName"},
		{"Register", `{"subscriberName":"a"`, 400, "invalid_request", "body"},
		{"Register", `[]`, 400, "invalid_request", "body"},
		{"Register", "{\"subscriberName\":\"\xff\"}", 400, "invalid_request", "body"},
		{"Subscribe", `{"compCode":"AA","topic":"invoices"}`, 400, "invalid_request", "subscriberId"},
		{"Subscribe", `{"subscriberId":"$","compCode":"AA"}`, 400, "invalid_topic", "topic"},
		{"Subscribe", `{"subscriberId":"$","compCode":"AA","topic":"` + long + `"}`, 400, "invalid_topic", "topic"},
		{"Subscribe", `{"subscriberId":"$","compCode":"AA","topic":"*"}`, 400, "invalid_topic", "topic"},
		{"Subscribe", `{"subscriberId":"$","compCode":"AA","topic":"never.seen"}`, 404, "topic_unknown", "topic"},
		{"Subscribe", `{"subscriberId":"$","compCode":"BB","topic":"invoices"}`, 403, "tenant_forbidden", "compCode"},
		{"Subscribe", `{"subscriberId":"$","compCode":"AA","topic":"invoices","verbs":["created",""]}`, 400, "invalid_verb", "verbs[1]"},
		{"Subscribe", `{"subscriberId":"$","compCode":"AA","topic":"invoices","maxDeliveries":-1}`, 400, "invalid_request", "maxDeliveries"},
		{"Subscribe", `{"subscriberId":"$","compCode":"AA","topics":"invoices"}`, 400, "invalid_request", "topics"},
		{"Peek", `{"subscriberId":"$","timeout":-1}`, 400, "invalid_request", "timeout"},
		{"Peek", `{"subscriberId":"$","timeout":91}`, 400, "invalid_request", "timeout"},
		{"Peek", `{"subscriberId":"$","timeout":"abc"}`, 400, "invalid_request", "timeout"},
		{"Peek", `{"subscriberId":"$","timeout":1.5}`, 400, "invalid_request", "timeout"},
		{"Peek", `{"subscriberId":"nobody"}`, 404, "subscriber_unknown", "subscriberId"},
		{"Peek", `{"subscriberId":"` + strings.Repeat("a", idLength) + `"}`, 404, "subscriber_unknown", "subscriberId"},
		{"Peek", `{"subscriberId":"` + other + `"}`, 404, "subscriber_unknown", "subscriberId"},
		{"Peek", `{"subscriberId":"*"}`, 404, "subscriber_unknown", "subscriberId"},
		{"Receive", `{"subscriberId":"$","messageId":"` + id + `","lockTimeout":0}`, 400, "invalid_request", "lockTimeout"},
		{"Receive", `{"subscriberId":"$","messageId":"` + id + `","lockTimeout":31536000}`, 400, "invalid_request", "lockTimeout"},
		{"Receive", `{"subscriberId":"$","messageId":"` + id[:9] + `00000000000fffff"}`, 404, "message_unknown", "messageId"},
		{"Receive", `{"subscriberId":"$","messageId":"` + id[:9] + `0000000000000001"}`, 404, "message_unknown", "messageId"},
		{"Receive", `{"subscriberId":"$","messageId":"Přílišžluťoučký"}`, 404, "message_unknown", "messageId"},
		{"Receive", `{"subscriberId":"` + other + `","messageId":"` + id + `"}`, 404, "subscriber_unknown", "subscriberId"},
		{"Confirm", `{"subscriberId":"$","messageId":"` + id + `"}`, 400, "invalid_request", "lockId"},
		{"Confirm", `{"subscriberId":"$","lockId":"x"}`, 400, "invalid_request", "messageId"},
		{"Confirm", `{"subscriberId":"$","messageId":"` + id + `","lockId":"x"}`, 409, "lock_lost", "lockId"},
		{"Confirm", `{"subscriberId":"$","messageId":"` + id + `","lockId":"` + long + `"}`, 409, "lock_lost", "lockId"},
		{"Confirm", `{"subscriberId":"$","messageId":"gone","lockId":"x"}`, 404, "message_unknown", "messageId"},
		{"Renew", `{"subscriberId":"$","messageId":"` + id + `","lockId":"x","lockTimeout":43201}`, 400, "invalid_request", "lockTimeout"},
		{"Release", `{"subscriberId":"$","messageId":"` + id + `","lockId":"x","delay":-1}`, 400, "invalid_request", "delay"},
		{"Unsubscribe", `{"subscriberId":"$","compCode":"BB","topic":"invoices"}`, 403, "tenant_forbidden", "compCode"},
		{"Publish", `{"compCode":"AA","topic":"invoices"}`, 400, "invalid_request", "event"},
		{"Publish", `{"compCode":"AA","topic":"invoices","event":{"specversion":"1.0","topic":"other"}}`, 400, "invalid_event", "event.topic"},
		{"Publish", `{"compCode":"BB","topic":"invoices","event":{}}`, 403, "tenant_forbidden", "compCode"},
		{"Publish", `{"compCode":"AA","topic":"invoices","event":{}}`, 400, "invalid_event", "event.specversion"},
		{"Publish", `{"compCode":"AA","topic":"invoices","event":{"specversion":"1.0","verb":"*"}}`, 400, "invalid_verb", "event.verb"},
		{"ReceiveBatch", `{"subscriberId":"$","maxMessages":0}`, 400, "invalid_request", "maxMessages"},
		{"ReceiveBatch", `{"subscriberId":"$","maxMessages":101}`, 400, "invalid_request", "maxMessages"},
		{"ConfirmBatch", `{"subscriberId":"$"}`, 400, "invalid_request", "items"},
		{"Replay", `{"subscriberId":"$","compCode":"AA","topic":"invoices"}`, 400, "invalid_request", "since"},
		{"Replay", `{"subscriberId":"$","compCode":"AA","topic":"other","after":"x"}`, 404, "subscription_unknown", "topic"},
		{"Replay", `{"subscriberId":"$","compCode":"AA","topic":"invoices","after":"x"}`, 400, "invalid_cursor", "after"},
		{"Nothing", `{}`, 404, "not_found", ""},
	} {
		text := strings.ReplaceAll(c.body, `"$"`, `"`+p.id+`"`)
		status, answer := p.post(t.Context(), "/Events/"+c.method, text)
		details, _ := answer["details"].(map[string]any)
		if field, _ := details["field"].(string); status != c.status || answer.text("code") != c.code || c.field != "" && field != c.field {
			t.Errorf("%s %.120s\n answered %d %v\n expected %d %s %s", c.method, text, status, answer, c.status, c.code, c.field)
		}
	}
	if n := p.must("Peek", fields{"timeout": 0}); n.number("messageCount") != 1 || n.text("nextMessageId") != id {
		t.Errorf("bad input left something behind: %v", n)
	}
	status, answer := p.post(t.Context(), "/Events/Register", `{"subscriberName":"`+strings.Repeat("x", 9<<20)+`"}`)
	if status != http.StatusRequestEntityTooLarge || answer.text("code") != "event_too_large" {
		t.Errorf("a body above the limit: %d %v", status, answer)
	}
	nobody := &partner{replica: r, tok: r.token("anna", []string{"AA"}, "subscribe:*"), id: p.id}
	nobody.refused("Peek", nil, 403, "grant_missing")
	nobody.tok = "x"
	nobody.refused("Peek", nil, 401, "token_invalid")
}

// MB9: the same name of two people is two subscribers, and neither learns of the
// other. A token of another tenant keeps the subscriber and loses the comp code.
func TestMB9Owners(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start()
	anna := r.partner("anna", "ERP — Praha").subscribe("invoices")
	eve := r.partner("eve", "ERP — Praha").subscribe("invoices")
	if anna.id == eve.id {
		t.Fatal("two owners share a subscriber")
	}
	r.publish("evt.AA.invoices.created", `1`)
	anna.await(1)
	m := anna.must("Receive", nil)
	eve.refused("Confirm", fields{"subscriberId": anna.id, "messageId": m["messageId"], "lockId": m["lockId"]}, 404, "subscriber_unknown")
	// A message of somebody else is not even there, under one's own id.
	eve.refused("Confirm", fields{"messageId": m["messageId"], "lockId": m["lockId"]}, 404, "message_unknown")
	eve.refused("Receive", fields{"messageId": m["messageId"]}, 404, "message_unknown")
	anna.must("Confirm", fields{"messageId": m["messageId"], "lockId": m["lockId"]})
	list := anna.must("ViewSubscribers", nil)["subscribers"].([]any)
	if len(list) != 1 || fields(list[0].(map[string]any)).text("subscriberName") != "ERP — Praha" {
		t.Fatalf("anna sees %v", list)
	}
	moved := &partner{replica: r, tok: r.token("anna", []string{"BB"}), id: anna.id}
	moved.refused("Subscribe", fields{"compCode": "AA", "topic": "invoices"}, 403, "tenant_forbidden")
	r.publish("evt.AA.invoices.created", `2`)
	anna.await(1)
	moved.must("Peek", fields{"timeout": 0})
	moved.refused("Receive", nil, 403, "tenant_forbidden")
	moved.refused("ReceiveBatch", nil, 403, "tenant_forbidden")
	if got := anna.must("Receive", nil); got.number("deliveryCount") != 1 {
		t.Fatalf("received %v", got)
	}
}
