package embed_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/topology"
)

// refused flushes, so that the server has judged everything sent before, and
// says whether it refused some of it.
func refused(t *testing.T, c *nats.Conn) bool {
	t.Helper()
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	err := c.LastError() // set before the flush is answered
	if err != nil && !errors.Is(err, nats.ErrPermissionViolation) {
		t.Fatalf("unexpected error %v", err)
	}
	return err != nil
}

const timeout = 30 * time.Second

func TestAppMayNot(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	for _, subj := range []string{
		"live.evt.AA.invoices.created", "ctl.op.AA.x", "mbx.a", "dead.relay.x", "clock._.Noon", "presence.AA.anna",
		"hook.AA.x", "trash.AA.x.1", "def.AA.x", "sched.AA.x", "due.AA.x", "$KV.belfry_topology.EVENTS", "_INBOX.x", "other",
		"$JS.API.INFO", "$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.UPDATE.EVENTS", "$JS.API.STREAM.DELETE.EVENTS",
		"$JS.API.STREAM.PURGE.EVENTS", "$JS.API.STREAM.MSG.GET.EVENTS", "$JS.API.STREAM.MSG.DELETE.EVENTS",
		"$JS.API.STREAM.SNAPSHOT.EVENTS", "$JS.API.STREAM.INFO.DEADLETTERS", "$JS.API.DIRECT.GET.DEADLETTERS",
		"$JS.API.DIRECT.GET.DEADLETTERS.dead.x.y", "$JS.API.CONSUMER.CREATE.EVENTS", "$JS.API.CONSUMER.CREATE.EVENTS.x",
		"$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.x", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.x", "$JS.API.CONSUMER.DELETE.EVENTS.x",
		"$JS.ACK.EVENTS.x.1.1.1.1.1", "$SYS.REQ.SERVER.PING", "$SRV.PING",
	} {
		t.Run("publish "+subj, func(t *testing.T) {
			t.Parallel()
			c := bustest.Connect(t, s.URL())
			if err := c.Publish(subj, nil); err != nil {
				t.Fatal(err)
			}
			if !refused(t, c) {
				t.Errorf("%s was taken", subj)
			}
		})
	}
	for _, subj := range []string{">", "*", "*.>", "evt.>", "ctl.>", "op.>", "rt.>", "rt.AA.u.anna", "svc.>", "mbx.>", "dead.>", "$JS.>", "$KV.>", "$SYS.>", "_INBOX_SERVICE.>"} {
		t.Run("subscribe "+subj, func(t *testing.T) {
			t.Parallel()
			c := bustest.Connect(t, s.URL())
			if _, err := c.SubscribeSync(subj); err != nil {
				t.Fatal(err)
			}
			if !refused(t, c) {
				t.Errorf("%s was given", subj)
			}
		})
	}
}

func TestAppMay(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	c := bustest.Connect(t, s.URL())
	for _, subj := range []string{"live.>", "live.evt.AA.>", "clock.>", "clock._.Noon", "presence.AA.*", "hook.>", "_INBOX.mine.>"} {
		if _, err := c.SubscribeSync(subj); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Request("evt.AA.invoices.created", []byte(`{}`), timeout); err != nil {
		t.Fatal(err)
	}
	for _, subj := range []string{"op.AA.invoices.insert.1", "rt.AA.u.anna", "svc.mailbox.Peek"} {
		if err := c.Publish(subj, []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if refused(t, c) {
		t.Fatal("refused")
	}
	if _, err := topology.EventsState(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for api, request := range map[string]string{
		"$JS.API.DIRECT.GET.EVENTS":                         `{"seq":1}`,
		"$JS.API.DIRECT.GET.EVENTS.evt.AA.invoices.created": "",
	} {
		m, err := c.Request(api, []byte(request), timeout)
		if err != nil || m.Header.Get("Nats-Sequence") != "1" {
			t.Fatalf("%s: %v, %v", api, m, err)
		}
	}
}

// A before-handler is an app that answers on the caller's inbox, once.
func TestAppMayAnswerAHook(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	c := bustest.Connect(t, s.URL())
	if _, err := c.Subscribe("hook.AA.check", func(m *nats.Msg) {
		if err := m.Respond([]byte("yes")); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if refused(t, c) {
		t.Fatal("refused")
	}
	m, err := s.Bus().NC.Request("hook.AA.check", nil, timeout)
	if err != nil || string(m.Data) != "yes" {
		t.Fatalf("%v, %v", m, err)
	}
}

// NATS does not check where a request asks its answer to go. Inside one account
// these requests would have the server itself publish a control record, forge a
// live event, and delete the log.
func TestAnswersStayWithTheirAccount(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	b, c := s.Bus(), bustest.Connect(t, s.URL())
	if _, err := c.Request("evt.AA.invoices.created", nil, timeout); err != nil {
		t.Fatal(err)
	}
	heard := make(chan *nats.Msg, 16)
	for _, subj := range []string{"ctl.>", "live.>", "dead.>", "$JS.API.STREAM.DELETE.*"} {
		if _, err := b.NC.ChanSubscribe(subj, heard); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.NC.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, answer := range []string{"ctl.forged", "live.evt.AA.invoices.forged", "dead.x.y", "$JS.API.STREAM.DELETE.EVENTS"} {
		for _, api := range []string{"$JS.API.DIRECT.GET.EVENTS", "$JS.API.STREAM.INFO.EVENTS"} {
			if err := c.PublishRequest(api, answer, []byte(`{"seq":1}`)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.PublishRequest("svc.test.Echo", answer, nil); err != nil {
			t.Fatal(err)
		}
	}
	// The connection's requests are answered in order: when this one is, so
	// are those before it.
	l, err := topology.EventsState(t.Context(), c)
	if err != nil || l.Last != 1 {
		t.Fatalf("%+v, %v", l, err)
	}
	if err := b.NC.Flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-heard:
		t.Fatalf("%s was published by a stranger's answer", m.Subject)
	default:
	}
}

// Nobody there is known at once, through the border as inside it (RT3).
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	c := bustest.Connect(t, s.URL())
	if _, err := c.Request("rt.AA.u.anna", nil, timeout); !errors.Is(err, nats.ErrNoResponders) {
		t.Fatalf("nobody there: %v", err)
	}
	if _, err := s.Bus().NC.Subscribe("rt.AA.u.anna", func(m *nats.Msg) {
		if err := m.Respond([]byte("2")); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Bus().NC.Flush(); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Request("rt.AA.u.anna", nil, timeout); err != nil || string(m.Data) != "2" {
		t.Fatalf("somebody there: %v, %v", m, err)
	}
}
