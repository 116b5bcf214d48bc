package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/belfry-events/belfry/pkg/fault"
)

// TestOE5ARuleFromATerminal walks through what "belfry alert --help" shows.
func TestOE5ARuleFromATerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, at := spawn(t, `(http://\S+?)/?(?:\?|#|\s)`, "run", "--http", "127.0.0.1:0", "--admin", "", "--nats", "127.0.0.1:0", "--data-dir", dir)
	call := func(line string, more ...string) (string, error) {
		return belfry(t, "", append(append(strings.Fields(line), more...), "--url", at[1], "--data-dir", dir)...)
	}
	must := func(want, line string, more ...string) {
		t.Helper()
		out, err := call(line, more...)
		if err != nil || !regexp.MustCompile(want).MatchString(out) {
			t.Fatalf("belfry %s: %v\n%s\nis not like %s", line, err, out, want)
		}
	}
	must(`no rules`, "alert list")
	must(`created`, "object insert invoices 1", "--new", `{"total":500}`)
	must(`insert invoices 1  no: new.total > 1000 is false\n0 of 1`, "alert test --topic invoices --to finance --when", "object != '' && new.total > 1000")
	_, err := call("alert add large --topic invoices --to finance --when", "new.total > ")
	if fault.CodeOf(err) != fault.InvalidRule || !strings.Contains(err.Error(), "line 1, column 13") {
		t.Errorf("half a condition: %v", err)
	}
	must(`large holds for every change behind \S+-\S+, revision 1; its alerts are finance\.raised`,
		"alert add large --topic invoices --to finance --throttle 1h --when", "new.total > 1000", "--message", "{{object}} is over {{new.total}}")
	must(`created`, "object insert invoices 2", "--new", `{"total":2000}`)
	must(`insert invoices 2  would say: 2 is over 2000\n1 of 2`, "alert test large")
	must(`large\s+invoices\s+insert,update\s+new\.total > 1000\s+finance\.raised\s+\d`, "alert list")
	must(`throttle +1h0m0s`, "alert get large")
	must(`large is disabled from`, "alert disable large")
	must(`state +disabled`, "alert get large")
	must(`large is enabled from`, "alert enable large")
	must(`revision 4`, "alert update large --revision 3 --topic invoices --to finance")
	must(`large is gone`, "alert delete large")
	if _, err := call("alert get large"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("what is gone: %v", err)
	}
}
