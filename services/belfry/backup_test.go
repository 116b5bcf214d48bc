package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
)

// ask calls a platform over HTTP with the token of its banner.
func (p *platform) ask(t *testing.T, method, path, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.web+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer := map[string]any{}
	if err := json.Unmarshal(b, &answer); err != nil {
		t.Fatalf("%s: %d %s", path, resp.StatusCode, b)
	}
	return resp.StatusCode, answer
}

func (p *platform) must(t *testing.T, path, body string) map[string]any {
	t.Helper()
	status, answer := p.ask(t, http.MethodPost, path, body)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %v", path, status, answer)
	}
	return answer
}

// take receives and confirms what waits; these are the values of "n", in order.
func (p *platform) take(t *testing.T, subscriber string, n int) (values []any, ids []string) {
	t.Helper()
	for range n {
		peeked := p.must(t, "/Events/Peek", `{"subscriberId":"`+subscriber+`","timeout":10}`)
		id, _ := peeked["nextMessageId"].(string)
		got := p.must(t, "/Events/Receive", `{"subscriberId":"`+subscriber+`","messageId":"`+id+`"}`)
		message, _ := got["message"].(map[string]any)
		data, _ := message["data"].(map[string]any)
		lock, _ := got["lockId"].(string)
		p.must(t, "/Events/Confirm", `{"subscriberId":"`+subscriber+`","messageId":"`+id+`","lockId":"`+lock+`"}`)
		values, ids = append(values, data["n"]), append(ids, id)
	}
	return values, ids
}

// publish answers the cursor of the last of some events.
func (p *platform) publish(t *testing.T, values ...string) (cursor string) {
	t.Helper()
	for _, n := range values {
		out, err := belfry(t, "", "publish", "invoices.created", `{"n":`+n+`}`, "--tenant", "AA", "--nats", strings.TrimPrefix(p.nats, "nats://"))
		if err != nil {
			t.Fatalf("%q %v", out, err)
		}
	}
	events := p.log(t)
	last, _ := events[len(events)-1].(map[string]any)
	cursor, _ = last["cursor"].(string)
	return cursor
}

// A backup of a platform that runs becomes a platform that knows what it knew: what
// waits in mailboxes comes once, in order; what was given out afterwards is gone
// and is never taken for something else.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	old := runAll(t, from)
	subscriber, _ := old.must(t, "/Events/Register", `{"subscriberName":"erp"}`)["subscriberId"].(string)
	old.publish(t, "0")
	alert := func(p *platform, dir string, args ...string) string {
		t.Helper()
		out, err := belfry(t, "", append(append([]string{"alert"}, args...), "--tenant", "AA", "--http", strings.TrimPrefix(p.web, "http://"), "--data-dir", dir)...)
		if err != nil {
			t.Fatalf("%q %v", out, err)
		}
		return out
	}
	alert(old, from, "add", "large", "--topic", "invoices", "--when", "new.total > 1000", "--to", "finance")
	old.must(t, "/Events/Subscribe", `{"subscriberId":"`+subscriber+`","compCode":"AA","topic":"invoices"}`)
	kept := old.publish(t, "1", "2", "3", "4")
	if got, _ := old.take(t, subscriber, 1); !cmp.Equal(got, []any{1.0}) {
		t.Fatalf("before the backup: %v", got)
	}

	dir := filepath.Join(t.TempDir(), "backup")
	at := []string{"--nats", strings.TrimPrefix(old.nats, "nats://"), "--data-dir", from}
	out, err := belfry(t, "", append([]string{"backup", dir}, at...)...)
	if err != nil || !strings.HasPrefix(out, "wrote ") {
		t.Fatalf("%q %v", out, err)
	}
	// What happens now is lost with the old platform. The last two of its ids will
	// be in places that others take later.
	lost := old.publish(t, "5", "6")
	_, lostIDs := old.take(t, subscriber, 5)

	// Refused: into a directory that exists, into a server that is in use.
	if _, err := belfry(t, "", append([]string{"backup", dir}, at...)...); fault.CodeOf(err) != fault.StoreNotEmpty {
		t.Errorf("a second backup into the same directory: %v", err)
	}
	if _, err := belfry(t, "", append([]string{"restore", dir}, at...)...); fault.CodeOf(err) != fault.StoreNotEmpty {
		t.Errorf("into a server in use: %v", err)
	}
	if err := old.stop(); err != nil {
		t.Error(err)
	}

	data := t.TempDir()
	server, m := spawn(t, `NATS is ready at nats://(\S+)\.`, "nats", "--data-dir", data, "--nats", "127.0.0.1:0", "--admin", "")
	if out, err = belfry(t, "", "restore", dir, "--nats", m[1], "--data-dir", data); err != nil || !strings.HasPrefix(out, "restored ") {
		t.Fatalf("%q %v", out, err)
	}
	if err := server.stop(); err != nil {
		t.Error(err)
	}

	p := runAll(t, data)
	if status, answer := p.ask(t, http.MethodPost, "/Events/Register", `{"subscriberName":"erp"}`); answer["subscriberId"] != subscriber {
		t.Errorf("the subscriber: %d %v", status, answer)
	}
	p.publish(t, "7", "8", "9", "10") // past all places of the lost events
	values, ids := p.take(t, subscriber, 7)
	if want := []any{2.0, 3.0, 4.0, 7.0, 8.0, 9.0, 10.0}; !cmp.Equal(values, want) {
		t.Errorf("the mailbox gave %v, not %v", values, want)
	}
	for _, id := range lostIDs {
		for _, now := range ids {
			if id == now {
				t.Errorf("message id %s means two messages", id)
			}
		}
	}
	for what, cursor := range map[string]string{"of before the backup": kept, "of the lost time": lost} {
		if status, answer := p.ask(t, http.MethodGet, "/v1/events?after="+cursor, ""); status != http.StatusGone || answer["code"] != string(fault.CursorGone) {
			t.Errorf("a cursor %s: %d %v", what, status, answer)
		}
	}
	if out := alert(p, data, "list"); !strings.Contains(out, "large") {
		t.Errorf("the alert rules: %q", out)
	}
	if n := len(p.log(t)); n != 9 {
		t.Errorf("the log has %d events, not 9", n)
	}
	if out, err := belfry(t, "", "check", "--admin", p.admin); err != nil {
		t.Errorf("not well after the restore: %q %v", out, err)
	}
	// The relays go on: from the queue to the log, and from the log back into it.
	if out, err := belfry(t, "", "object", "insert", "invoices", "4712", "--new", `{"total":2500}`, "--tenant", "AA", "--http", strings.TrimPrefix(p.web, "http://"), "--data-dir", data); err != nil {
		t.Errorf("%q %v", out, err)
	}
	bustest.Eventually(t, 20*time.Second, "the alert rule raises its event", func() bool {
		_, answer := p.ask(t, http.MethodGet, "/v1/events?topic=finance", "")
		events, _ := answer["events"].([]any)
		return len(events) == 1
	})
}

// log is every event of the tenant.
func (p *platform) log(t *testing.T) []any {
	t.Helper()
	_, answer := p.ask(t, http.MethodGet, "/v1/events?limit=1000", "")
	events, _ := answer["events"].([]any)
	return events
}

// A backup that is not as it was written is refused before anything is touched.
func TestDamagedBackup(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	server, m := spawn(t, `NATS is ready at nats://(\S+)\.`, "nats", "--data-dir", data, "--nats", "127.0.0.1:0", "--admin", "")
	at := []string{"--nats", m[1], "--data-dir", data}
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := belfry(t, "", append([]string{"backup", dir}, at...)...); fault.CodeOf(err) != fault.StreamLost {
		t.Errorf("a backup of nothing: %v", err)
	}
	if left, err := filepath.Glob(dir + "*"); err != nil || len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	if err := server.stop(); err != nil {
		t.Error(err)
	}
	p := runAll(t, data)
	p.publish(t, "1")
	if out, err := belfry(t, "", "backup", dir, "--nats", strings.TrimPrefix(p.nats, "nats://"), "--data-dir", data); err != nil {
		t.Fatalf("%q %v", out, err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}

	fresh := t.TempDir()
	_, m = spawn(t, `NATS is ready at nats://(\S+)\.`, "nats", "--data-dir", fresh, "--nats", "127.0.0.1:0", "--admin", "")
	restore := func(dir string) error {
		_, err := belfry(t, "", "restore", dir, "--nats", m[1], "--data-dir", fresh)
		return err
	}
	for name, damage := range map[string]func(t *testing.T, dir string){
		"no backup":         func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "backup.json")) },
		"a file is missing": func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "EVENTS.snapshot")) },
		"a byte differs": func(t *testing.T, dir string) {
			file := filepath.Join(dir, "KV_belfry_topology.snapshot")
			b := read(t, file)
			b[len(b)/2]++
			write(t, file, b)
		},
		"of another format": func(t *testing.T, dir string) {
			file := filepath.Join(dir, "backup.json")
			write(t, file, bytes.Replace(read(t, file), []byte(`"format": 1`), []byte(`"format": 2`), 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "backup")
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			damage(t, copied)
			if err := restore(copied); fault.CodeOf(err) != fault.BackupDamaged {
				t.Errorf("%v", err)
			}
		})
	}
	// More copies than servers: refused, and what was there of it is removed, so that
	// the right number then does.
	if _, err := belfry(t, "", "restore", dir, "--stream-replicas", "3", "--nats", m[1], "--data-dir", fresh); err == nil {
		t.Error("three copies on one server")
	}
	began := time.Now()
	if err := restore(dir); err != nil {
		t.Errorf("whole: %v", err)
	}
	t.Logf("restored in %s", time.Since(began))
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
