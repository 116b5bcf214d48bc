package snippets

import "testing"

const mailboxReadme = "services/mailbox/README.md"

// TestMailboxReadme makes the calls of the ITAS text in their order, by curl.
func TestMailboxReadme(t *testing.T) { //nolint:paralleltest // one make run at a time
	m := newMachine(t, mailboxReadme)
	server := m.serve("server")
	x := m.terminal()
	x.run(m.block("register"))
	x.run(m.block("subscribe"))
	x.expect(`(?m)^\{\}$`)
	x.run(m.block("poll"))
	x.expect(`"messageCount":0,"timedOut":true`)
	x.expect(`"messageCount":1,"nextMessageId":"[^"]+","timedOut":false`)
	x.run(m.block("confirm"))
	x.expect(`"lockId":"[^"]+","message":\{"specversion":"1.0".*2026-0002`)
	x.expect(`(?m)^\{"messageId":"[^"]+"\}$`)
	x.expect(`"compCode":"AA","topic":"INVOICES","messageCount":0`)
	m.stop(server)
}
