package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/fault"
)

// TestReplayFromATerminal: who subscribed too late is given what was before, in order,
// and all of it, though one call puts 500 there at most.
func TestReplayFromATerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := runAll(t, dir)
	call := func(line string) (string, error) {
		return belfry(t, "", append(strings.Fields(line), "--url", p.web, "--token", p.token, "--data-dir", dir)...)
	}
	must := func(line string) string {
		t.Helper()
		out, err := call(line)
		if err != nil {
			t.Fatalf("belfry %s: %v\n%s", line, err, out)
		}
		return out
	}
	const before = 510
	events := make([]string, before)
	for i := range events {
		events[i] = fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/t","type":"invoices.created","data":{"n":%d}}`, i, i)
	}
	p.must(t, "/belfry.gateway.v1.GatewayService/Publish", `{"events":[`+strings.Join(events, ",")+`]}`)

	subscriber := strings.TrimSpace(must("mailbox register late"))
	if _, err := call("mailbox replay late invoices --since 1h"); fault.CodeOf(err) != fault.SubscriptionUnknown {
		t.Errorf("without a subscription: %v", err)
	}
	must("mailbox subscribe late invoices")
	for _, flags := range []string{"", " --since 1h --after x", " --since -1h"} {
		if _, err := call("mailbox replay late invoices" + flags); fault.CodeOf(err) != fault.UsageError {
			t.Errorf("mailbox replay%s: %v", flags, err)
		}
	}
	if out := must("mailbox replay late invoices --since 1h"); out != fmt.Sprintf("%d messages were put behind what waits\n", before) {
		t.Error(out)
	}
	if got, _ := p.take(t, subscriber, 3); !cmp.Equal(got, []any{0.0, 1.0, 2.0}) {
		t.Errorf("took %v", got)
	}
	if peeked := p.must(t, "/Events/Peek", `{"subscriberId":"`+subscriber+`"}`); peeked["messageCount"] != before-3.0 {
		t.Errorf("%v wait", peeked["messageCount"])
	}
}
