package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// What the bench says of a real platform, and that it leaves what it says.
func TestBench(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := runAll(t, dir)
	here := []string{"--data-dir", dir, "--url", p.web, "--nats-url", p.nats}
	text, err := belfry(t, "", append([]string{"bench", "--for", "200ms", "--windows", "3", "--events", "40", "--mailbox", "--json"}, here...)...)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range r.Figures {
		names = append(names, f.Name)
		if f.Samples == 0 || f.Belfry <= 0 || f.Floor <= 0 || f.FloorIs == "" || strings.HasSuffix(f.Name, "p50") && f.Belfry > 60_000 {
			t.Errorf("%+v", f)
		}
	}
	want := []string{
		"publish_nats_p50", "publish_nats_p99", "publish_http_p50", "publish_http_p99", "window_p50", "window_p99",
		"mailbox_wake_p50", "mailbox_wake_p99", "mailbox_take_p50", "mailbox_take_p99", "publish_rate",
	}
	if !slices.Equal(names, want) || r.Interrupted || r.NATS != p.nats || r.URL != p.web {
		t.Errorf("%s", text)
	}

	// A token of its tenant, as an operator without the data directory has one.
	token, err := belfry(t, "", "token", "--user", "anna", "--tenant", benchName, "--data-dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	token = strings.TrimSpace(token)
	stay := func() int {
		var page struct{ Events []any }
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.web+"/v1/events?limit=1000&topic="+benchName, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		req.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(&page); err != nil {
			t.Fatal(err)
		}
		return len(page.Events)
	}
	before := stay()
	if before != r.Left.Events {
		t.Errorf("%d events are in the log, and %d are said to stay", before, r.Left.Events)
	}
	if out, err := belfry(t, "", "mailbox", "list", benchName, "--tenant", benchName, "--data-dir", dir, "--url", p.web); err != nil || strings.Contains(out, "\n"+benchName+" ") {
		t.Errorf("a mailbox is left: %v\n%s", err, out)
	}
	out, err := belfry(t, "", "bench", "--for", "100ms", "--windows", "0", "--events", "0", "--bytes", "2", "--token", token, "--tenant", benchName, "--url", p.web, "--nats-url", p.nats)
	if err != nil || !strings.Contains(out, "publish over HTTP, one by one, p99") || strings.Contains(out, "window") {
		t.Errorf("%v\n%s", err, out)
	}
	if stay() == before {
		t.Error("a second run has the ids of the first")
	}
}

// Ctrl-C prints what was measured until then.
func TestBenchInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := runAll(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	windows, done := &signalled{when: "2 windows", seen: make(chan struct{})}, make(chan error, 1)
	var out output
	go func() {
		done <- execute(ctx, []string{
			"bench", "--for", "10m", "--windows", "2", "--data-dir", dir, "--url", p.web, "--nats-url", p.nats,
		}, stdio{strings.NewReader(""), &out, windows})
	}()
	select {
	case <-windows.seen:
	case err := <-done:
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"publish over HTTP, one by one, p99", "interrupted: ", "stay in the log"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no %q in\n%s", line, out.String())
		}
	}
}
