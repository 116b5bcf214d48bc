package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/backup"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
	"github.com/belfry-events/belfry/services/gateway"
	"github.com/belfry-events/belfry/services/mailbox"
	"github.com/belfry-events/belfry/services/objectevent"
	"github.com/belfry-events/belfry/services/scheduler"
)

// What a backup has to know about a stream.
type kept struct {
	Shared    bool // others than the idle services write to it, or nothing follows from it
	Renewed   bool // its positions leave the platform
	Positions bool // positions of EVENTS or MAILBOX stand in its documents
}

// Whoever adds a stream or a bucket says here what a backup has to know about it,
// and to backupPlan.
func TestBackupKnowsEveryStream(t *testing.T) {
	t.Parallel()
	want := map[string]kept{
		topology.Events:                     {Renewed: true, Positions: true},
		topology.DeadLetters:                {}, // where something was is told as it was
		topology.Memory:                     {}, // that there was one is what counts; the next start notes the new epochs
		"KV_" + topology.RelayCopies:        {Positions: true},
		"KV_" + topology.Revocations:        {Shared: true},
		"KV_" + topology.Nonces:             {Shared: true},
		"KV_" + gateway.KeysBucket:          {},
		mailbox.Stream:                      {Renewed: true, Positions: true},
		"KV_" + mailbox.StateBucket:         {Positions: true},
		"KV_" + mailbox.TopicsBucket:        {},
		objectevent.Operations:              {Shared: true}, // TRASH has positions of it, which nobody else sees
		objectevent.Trash:                   {},
		objectevent.Verdicts:                {},
		"KV_" + objectevent.HooksBucket:     {},
		"KV_" + objectevent.DeletionsBucket: {Positions: true},
		"KV_" + objectevent.AlertsBucket:    {Positions: true},
		scheduler.Schedules:                 {Shared: true},
		scheduler.History:                   {Shared: true},
	}
	spec := topology.Platform(topology.Options{})
	for _, p := range newSettings().parts() {
		spec = spec.And(p.Topology(topology.Options{}))
	}
	there := []string{topology.Memory}
	for _, s := range spec.Streams {
		there = append(there, s.Name)
	}
	for _, b := range spec.Buckets {
		there = append(there, "KV_"+b.Bucket)
	}
	plan, got := backupPlan(), map[string]kept{}
	for _, name := range there {
		got[name] = kept{
			Shared:    slices.Contains(plan.Shared, name),
			Renewed:   name == topology.Events || slices.Contains(plan.Renewed, name),
			Positions: slices.ContainsFunc(plan.Documents, func(d backup.Documents) bool { return d.Stream == name }),
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the plan of a backup, and what it should be:\n%s", diff)
	}
	for _, name := range slices.Concat(plan.Shared, plan.Renewed) {
		if !slices.Contains(there, name) {
			t.Errorf("the plan names %s, which is no stream", name)
		}
	}
}

// used makes every service of a platform keep something: a mailbox with a lock and a
// dead letter, an alert, a verdict, a deletion, trash, a schedule that has fired.
func (p *platform) used(t *testing.T, dir string) (subscriber string) {
	t.Helper()
	cli := func(args ...string) (out string) {
		t.Helper()
		var err error
		if out, err = belfry(t, "", append(args, "--tenant", "AA", "--http", strings.TrimPrefix(p.web, "http://"), "--data-dir", dir)...); err != nil {
			t.Fatalf("%v: %q %v", args, out, err)
		}
		return out
	}
	cli("mailbox", "describe", "invoices", "--description", "Invoices")
	subscriber, _ = p.must(t, "/Events/Register", `{"subscriberName":"erp"}`)["subscriberId"].(string)
	p.must(t, "/Events/Subscribe", `{"subscriberId":"`+subscriber+`","compCode":"AA","topic":"invoices","maxDeliveries":1}`)
	cli("alert", "add", "large", "--topic", "invoices", "--when", "new.total > 1000.0", "--to", "finance", "--throttle", "1h")
	cli("hook", "add", "guard", "--event", "frm.objectToDelete", "--fail-open", "--timeout", "50ms")
	cli("object", "insert", "invoices", "4711", "--new", `{"total":2500}`, "--actor", "jan")
	cli("object", "insert", "invoices", "4712", "--new", `{"total":1}`, "--actor", "jan")
	cli("object", "insert", "users", "jan", "--new", `{"name":"Jan"}`)
	cli("object", "trash", "invoices", "4711", "--actor", "jan")
	cli("schedule", "add", "now", "--at", "2020-01-01T00:00:00Z", "--publish", "reports.due")
	cli("schedule", "add", "call-back", "--at", "2099-01-01T00:00:00Z", "--notify", "jan")
	bustest.Eventually(t, time.Minute, "all of it has come", func() bool {
		all := map[any]bool{}
		for _, e := range p.log(t) {
			entry, _ := e.(map[string]any)
			event, _ := entry["event"].(map[string]any)
			all[event["type"]] = true
		}
		waits := p.must(t, "/Events/Peek", `{"subscriberId":"`+subscriber+`","timeout":0}`)["messageCount"]
		return all["invoices.deleted"] && all["finance.raised"] && all["reports.due"] && all["users.created"] && waits == 3.0 &&
			strings.Contains(cli("hook", "verdicts", "--json"), `"guard"`)
	})
	got := p.must(t, "/Events/Receive", `{"subscriberId":"`+subscriber+`"}`)
	id, _ := got["messageId"].(string)
	lock, _ := got["lockId"].(string)
	p.must(t, "/Events/Release", `{"subscriberId":"`+subscriber+`","messageId":"`+id+`","lockId":"`+lock+`"}`) // that was its only delivery
	p.must(t, "/Events/Receive", `{"subscriberId":"`+subscriber+`","lockTimeout":3600}`)
	return subscriber
}

// store is what a server keeps, seen as a service.
func store(t *testing.T, url, dir string) jetstream.JetStream {
	t.Helper()
	password, err := os.ReadFile(filepath.Join(dir, embed.PasswordFile))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(url, nats.UserInfo(embed.ServiceUser, strings.TrimSpace(string(password))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// newest visits the last message of every subject of every stream.
func newest(t *testing.T, js jetstream.JetStream, visit func(stream string, m *jetstream.RawStreamMsg)) {
	t.Helper()
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
		if err != nil {
			t.Fatal(err)
		}
		for subj := range info.State.Subjects {
			m, err := s.GetLastMsgForSubject(t.Context(), subj)
			if err != nil {
				t.Fatalf("%s of %s: %v", subj, name, err)
			}
			visit(name, m)
		}
	}
	if err := names.Err(); err != nil {
		t.Fatal(err)
	}
}

// After a restore no document says where it is in a log that is no more. What an
// event or a dead letter tells of the past stays as it was told.
func TestRestoreRenewsEveryPosition(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	old := runAll(t, from)
	old.used(t, from)
	dir := filepath.Join(t.TempDir(), "backup")
	if out, err := belfry(t, "", "backup", dir, "--wait", "1m", "--nats", strings.TrimPrefix(old.nats, "nats://"), "--data-dir", from); err != nil {
		t.Fatalf("%q %v", out, err)
	}
	m, err := backup.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.stop(); err != nil {
		t.Error(err)
	}
	var epochs [][]byte
	for _, s := range m.Streams {
		if s.Name == topology.Events || s.Name == mailbox.Stream {
			epochs = append(epochs, []byte(s.Epoch))
		}
		if s.Messages == 0 && s.Name != topology.DeadLetters && !slices.Contains(backupPlan().Shared, s.Name) {
			t.Errorf("%s is empty, so this proves nothing about it", s.Name)
		}
	}
	data := t.TempDir()
	_, ready := spawn(t, `NATS is ready at nats://(\S+)\.`, "nats", "--data-dir", data, "--nats", "127.0.0.1:0", "--admin", "")
	if out, err := belfry(t, "", "restore", dir, "--nats", ready[1], "--data-dir", data); err != nil {
		t.Fatalf("%q %v", out, err)
	}
	js := store(t, ready[1], data)
	newest(t, js, func(stream string, m *jetstream.RawStreamMsg) {
		told := stream == topology.Events && subject.Match(subject.Events, m.Subject) || stream == topology.Memory
		for _, epoch := range epochs {
			if !told && bytes.Contains(m.Data, epoch) {
				t.Errorf("%s of %s still has a position of before: %s", m.Subject, stream, m.Data)
			}
		}
	})
}
