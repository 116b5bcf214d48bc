package eventlog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
)

// fill stores n events for each of two tenants, in turn.
func fill(t *testing.T, s *bustest.Server, n int) {
	t.Helper()
	for i := range n {
		for _, tenant := range []string{"AA", "BB"} {
			m := nats.NewMsg("evt." + tenant + ".invoices.created")
			m.Header.Set("Nats-Sequence", "12345") // what a publisher says of positions counts for nothing
			m.Data = fmt.Append(nil, i)
			if _, err := s.Bus().JS.PublishMsg(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func seqs(msgs []eventlog.Message) (all []uint64) {
	for _, m := range msgs {
		all = append(all, m.Seq)
	}
	return all
}

func TestPage(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	r := eventlog.NewReader(s.Bus().NC)
	if msgs, end, err := r.Page(t.Context(), "evt.AA.>", 1, 10, 1<<20); err != nil || len(msgs) != 0 || !end {
		t.Errorf("an empty log: %v %t %v", msgs, end, err)
	}
	fill(t, s, 5) // AA has 1 3 5 7 9, BB the even ones
	msgs, end, err := r.Page(t.Context(), "evt.AA.>", 0, 100, 1<<20)
	if d := cmp.Diff([]uint64{1, 3, 5, 7, 9}, seqs(msgs)); d != "" || !end || err != nil {
		t.Errorf("all of a tenant: end %t, %v %s", end, err, d)
	}
	msgs, end, err = r.Page(t.Context(), "evt.BB.>", 4, 1, 1<<20)
	if err != nil || len(msgs) != 1 || end {
		t.Fatalf("%d messages, end %t, %v", len(msgs), end, err)
	}
	if m := msgs[0]; m.Subject != "evt.BB.invoices.created" || string(m.Data) != "1" || time.Since(m.Time) > time.Minute {
		t.Errorf("got %+v", m)
	}
}

func TestLeader(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	r := eventlog.NewReader(s.Bus().NC)
	if _, ok, err := r.Last(t.Context(), "evt.AA.>"); ok || err != nil {
		t.Errorf("an empty log: %t %v", ok, err)
	}
	fill(t, s, 3) // AA has 1 3 5
	for from, want := range map[uint64]uint64{0: 1, 1: 1, 2: 3, 5: 5, 6: 0} {
		m, ok, err := r.Next(t.Context(), "evt.AA.>", from)
		if m.Seq != want || ok != (want != 0) || err != nil {
			t.Errorf("next from %d: %d %t %v", from, m.Seq, ok, err)
		}
	}
	m, ok, err := r.Last(t.Context(), "evt.AA.>")
	if m.Seq != 5 || !ok || err != nil || string(m.Data) != "2" || m.Header.Get("Nats-Sequence") != "12345" {
		t.Errorf("last: %+v %t %v", m, ok, err)
	}
	state, err := r.State(t.Context())
	if err != nil || state.First != 1 || state.Last != 6 || len(state.Epoch) != 8 {
		t.Errorf("state %+v %v", state, err)
	}
}

// A large page comes whole: what the client library holds is bounded by the
// page's own limit, not by the library's.
func TestLargePage(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	big := strings.Repeat("x", 512<<10)
	for range 20 {
		if _, err := s.Bus().JS.Publish(t.Context(), "evt.AA.invoices.created", []byte(big)); err != nil {
			t.Fatal(err)
		}
	}
	msgs, end, err := eventlog.NewReader(s.Bus().NC).Page(t.Context(), "evt.AA.>", 1, 100, 16<<20)
	if err != nil || len(msgs) != 20 || !end {
		t.Errorf("%d messages, end %t, %v", len(msgs), end, err)
	}
}

// The user without a password reads pages and the state, not the leader's
// messages; and a log that is not there is unavailable, at once or in time.
func TestRights(t *testing.T) {
	t.Parallel()
	s := bustest.Start(t)
	fill(t, s, 1)
	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r := eventlog.NewReader(nc)
	if msgs, _, err := r.Page(t.Context(), "evt.AA.>", 1, 10, 1<<20); err != nil || len(msgs) != 1 {
		t.Errorf("page: %d %v", len(msgs), err)
	}
	if _, err := r.State(t.Context()); err != nil {
		t.Errorf("state: %v", err)
	}
	nc.Close()
	if _, _, err := r.Page(t.Context(), "evt.AA.>", 1, 10, 1<<20); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("closed: %v", err)
	}
}
