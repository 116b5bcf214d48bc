package e2e

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// expired is a token whose time is over: tokens live at least a second.
func expired(t *testing.T, w *world) string {
	t.Helper()
	token := w.token("--ttl", "1s")
	probe := func() bool {
		status, body := post(t, w, token, nil, "")
		return status == http.StatusUnauthorized && strings.Contains(body, string(fault.TokenExpired))
	}
	bustest.Eventually(t, patience, "the token expires", probe)
	return token
}

// What is wrong is answered with its code, and nothing of it is stored.
func TestBadInput(t *testing.T) {
	t.Parallel()
	inEachWorld(t, func(t *testing.T, w *world) {
		good := w.token()
		structured := map[string]string{"Content-Type": "application/cloudevents+json"}
		event := func(rest string) string { return `{"specversion":"1.0","id":"1","source":"/t",` + rest + `}` }
		for name, tc := range map[string]struct {
			token  string
			header map[string]string
			body   string
			status int
			code   fault.Code
			field  string // details.field
		}{
			"no token":             {"", structured, event(`"type":"a.b"`), 401, fault.TokenMissing, ""},
			"forged token":         {good[:len(good)-4] + "AAAA", structured, event(`"type":"a.b"`), 401, fault.TokenInvalid, ""},
			"expired token":        {expired(t, w), structured, event(`"type":"a.b"`), 401, fault.TokenExpired, ""},
			"no grant":             {w.token("--grant", "publish:orders"), structured, event(`"type":"a.b"`), 403, fault.GrantMissing, ""},
			"foreign tenant":       {good, structured, event(`"type":"a.b","tenant":"BB"`), 403, fault.TenantForbidden, ""},
			"not JSON":             {good, structured, `{"specversion"`, 400, fault.InvalidEvent, ""},
			"no type":              {good, structured, event(`"data":1`), 400, fault.InvalidEvent, "type"},
			"other version":        {good, structured, `{"specversion":"0.3","id":"1","source":"/t","type":"a.b"}`, 400, fault.InvalidEvent, "specversion"},
			"bad time":             {good, structured, event(`"type":"a.b","time":"noon"`), 400, fault.InvalidEvent, "time"},
			"topic outside":        {good, structured, event(`"type":"a.b","topic":"*","verb":"b"`), 400, fault.InvalidTopic, "topic"},
			"verb outside":         {good, structured, event(`"type":"a.b","topic":"a","verb":">"`), 400, fault.InvalidVerb, "verb"},
			"data is no JSON":      {good, map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/t", "ce-type": "a.b", "Content-Type": "application/json"}, `{`, 400, fault.InvalidEvent, "data"},
			"no event":             {good, map[string]string{"Content-Type": "application/json"}, `{}`, 400, fault.NotACloudEvent, ""},
			"unknown content type": {good, map[string]string{"Content-Type": "application/cloudevents+xml"}, `<e/>`, 415, fault.UnsupportedContentType, ""},
			"too large":            {good, structured, event(`"type":"a.b","data":"` + strings.Repeat("x", 2<<20) + `"`), 413, fault.EventTooLarge, ""},
			"one of a batch": {
				good,
				map[string]string{"Content-Type": "application/cloudevents-batch+json"},
				"[" + event(`"type":"a.b"`) + "," + event(`"type":"a.b","time":"noon"`) + "]", 400, fault.InvalidEvent, "events[1].time",
			},
		} {
			status, body := post(t, w, tc.token, tc.header, tc.body)
			var f fault.Error
			if err := json.Unmarshal([]byte(body), &f); err != nil || status != tc.status || f.Code() != tc.code ||
				tc.field != "" && f.Details()["field"] != tc.field {
				t.Errorf("%s: answered %d %s, want %d %s, field %q", name, status, body, tc.status, tc.code, tc.field)
			}
		}
		refusedWindows(t, w)

		log, err := topology.EventsState(soon(t), bustest.Connect(t, w.nats))
		if err != nil || log.Last != 0 {
			t.Errorf("the log ends at %d, %v; nothing should be stored", log.Last, err)
		}
	})
}

// refusedWindows: what /v1/ws refuses, with a status or a close code.
func refusedWindows(t *testing.T, w *world) {
	t.Helper()
	ctx := soon(t)
	open := func(token string, s ...client.Subscription) error {
		window, err := client.Open(ctx, w.url("ws", "/v1/ws"), client.OpenOptions{Token: token, HTTPClient: w.http, Subscriptions: s})
		if err == nil {
			window.Close()
		}
		return err
	}
	for name, tc := range map[string]struct {
		err  error
		want fault.Code
	}{
		"no token":      {open(""), fault.TokenMissing},
		"wrong token":   {open("nonsense"), fault.TokenInvalid},
		"no grant":      {open(w.token("--grant", "subscribe:orders"), client.Subscription{Topic: "invoices"}), fault.GrantMissing},
		"unknown name":  {open(w.token(), client.Subscription{Name: "frm.nothing"}), fault.UnknownName},
		"topic outside": {open(w.token(), client.Subscription{Topic: "*"}), fault.InvalidTopic},
	} {
		if fault.CodeOf(tc.err) != tc.want {
			t.Errorf("window, %s: %v, want %s", name, tc.err, tc.want)
		}
	}
	_, res, err := websocket.Dial(ctx, w.url("ws", "/v1/ws"), &websocket.DialOptions{
		HTTPClient: w.http, Subprotocols: []string{"chat"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + w.token()}},
	})
	if err == nil || res == nil || res.StatusCode != http.StatusBadRequest {
		t.Errorf("window, foreign subprotocol: %v %v, want 400", res, err)
	}
}

// What a program refuses at its start, with exit codes that scripts can tell
// apart, and the code in the last line.
func TestRefusedStart(t *testing.T) {
	t.Parallel()
	at := bustest.FreeAddrs(t, 3)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "belfry.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	used := t.TempDir()
	start(t, "belfry", at[1], "run", "--http", at[0], "--admin", at[1], "--nats", at[2], "--data-dir", used)
	// Nobody, not even root, makes a directory inside a file.
	nowhere := filepath.Join(file(""), "data")
	free := []string{"--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--nats", "127.0.0.1:0"}
	run := func(args ...string) []string { return append(append([]string{"run"}, free...), args...) }
	for name, tc := range map[string]struct {
		program string
		args    []string
		want    fault.Code
		says    string
	}{
		"misspelt key":       {"belfry", run("--data-dir", t.TempDir(), "--config", file("htpp:\n  addr: x\n")), fault.UnknownConfigKey, "http.addr"},
		"impossible value":   {"belfry", run("--data-dir", t.TempDir(), "--config", file("gateway:\n  log_reads: 0\n")), fault.InvalidConfig, "gateway.log_reads"},
		"unknown flag":       {"belfry", []string{"run", "--htpp", "x"}, fault.UsageError, "--htpp"},
		"unknown command":    {"belfry", []string{"rnu"}, fault.UsageError, "run"},
		"HTTP port in use":   {"belfry", run("--data-dir", t.TempDir(), "--http", busy.Addr().String()), fault.PortInUse, "http"},
		"admin port in use":  {"belfry", run("--data-dir", t.TempDir(), "--admin", busy.Addr().String()), fault.PortInUse, "admin"},
		"NATS port in use":   {"belfry", run("--data-dir", t.TempDir(), "--nats", busy.Addr().String()), fault.PortInUse, "nats"},
		"data in use":        {"belfry", run("--data-dir", used), fault.DataDirInUse, used},
		"data not writable":  {"belfry", run("--data-dir", nowhere), fault.DataDirUnwritable, nowhere},
		"gateway, no server": {"gateway", nil, fault.InvalidConfig, "nats.url"},
		"gateway, bad flag":  {"gateway", []string{"--what"}, fault.UsageError, "--what"},
	} {
		out, code := command(t, tc.program, tc.args...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		last := lines[len(lines)-1]
		if code != tc.want.ExitCode() || !strings.HasSuffix(last, "("+string(tc.want)+")") || !strings.Contains(last, tc.says) {
			t.Errorf("%s: exit %d, %q; want exit %d, %s naming %q", name, code, last, tc.want.ExitCode(), tc.want, tc.says)
		}
	}
	if _, err := os.Stat(nowhere); !errors.Is(err, os.ErrNotExist) && err == nil {
		t.Errorf("%s was made", nowhere)
	}
}
