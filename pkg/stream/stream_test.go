package stream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// filled is a stream with n messages for each of a.x and a.y, in turn. Their
// headers say of positions and states what only the server may say.
func filled(t *testing.T, n int) (stream.Stream, *bustest.Server) {
	t.Helper()
	srv := bustest.Start(t, bustest.Bare())
	js := srv.Bus().JS
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"a.>"}, AllowDirect: true}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		for _, subj := range []string{"a.x", "a.y"} {
			m := &nats.Msg{Subject: subj, Data: fmt.Append(nil, i), Header: nats.Header{
				"Nats-Sequence": {"12345"}, "Nats-Subject": {"b"}, "Nats-Num-Pending": {"9"}, "Status": {"204"}, "Own": {`"error":{`},
			}}
			if _, err := js.PublishMsg(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	return stream.Stream{Caller: stream.Conn{NC: srv.Bus().NC, Within: 20 * time.Second}, Name: "S"}, srv
}

// want checks one message; 0 = there is none.
func want(t *testing.T, what string, seq uint64, m stream.Message, ok bool, err error) {
	t.Helper()
	if err != nil || ok != (seq > 0) || m.Seq != seq {
		t.Errorf("%s: %+v %t %v", what, m, ok, err)
		return
	}
	if subj := []string{"a.y", "a.x"}[seq%2]; ok && (m.Subject != subj || string(m.Data) != fmt.Sprint((seq-1)/2) ||
		m.Header.Get("Own") == "" || time.Since(m.Time).Abs() > time.Hour) {
		t.Errorf("%s: %+v", what, m)
	}
}

func TestOne(t *testing.T) {
	t.Parallel()
	s, _ := filled(t, 3) // a.x has 1 3 5, a.y 2 4 6
	ctx := t.Context()
	for seq, is := range map[uint64]uint64{1: 1, 6: 6, 7: 0} {
		m, ok, err := s.At(ctx, seq)
		want(t, fmt.Sprint("at ", seq), is, m, ok, err)
	}
	for subj, is := range map[string]uint64{"a.x": 5, "a.*": 6, "a.z": 0, "a.\x01\"é": 0} {
		m, ok, err := s.Last(ctx, subj)
		want(t, "last "+subj, is, m, ok, err)
	}
	for from, is := range map[uint64]uint64{0: 1, 1: 1, 2: 3, 5: 5, 6: 0} {
		m, ok, err := s.First(ctx, "a.x", from)
		want(t, fmt.Sprint("first ", from), is, m, ok, err)
		m, behind, ok, err := s.Near(ctx, "a.x", from)
		want(t, fmt.Sprint("near ", from), is, m, ok, err)
		if ok && behind != int(5-is)/2 {
			t.Errorf("near %d: %d behind", from, behind)
		}
	}
	third, _, err := s.At(ctx, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		since time.Time
		is    uint64
	}{{time.Time{}, 2}, {third.Time, 4}, {third.Time.Add(time.Hour), 0}} {
		m, ok, err := s.FirstSince(ctx, "a.y", test.since.In(time.FixedZone("", 3600)))
		want(t, fmt.Sprint("since ", test.since), test.is, m, ok, err)
	}
}

func TestMany(t *testing.T) {
	t.Parallel()
	s, srv := filled(t, 3)
	for name, test := range map[string]struct {
		filter       string
		from         uint64
		limit, bytes int
		want         []uint64
		end          bool
	}{
		"all":              {"a.>", 0, 100, 1 << 20, []uint64{1, 2, 3, 4, 5, 6}, true},
		"from the middle":  {"a.x", 2, 100, 1 << 20, []uint64{3, 5}, true},
		"limited":          {"a.y", 1, 2, 1 << 20, []uint64{2, 4}, false},
		"exactly the rest": {"a.y", 3, 2, 1 << 20, []uint64{4, 6}, true},
		"by bytes":         {"a.x", 1, 100, 1, []uint64{1}, false},
		"limited to one":   {"a.x", 5, 1, 1 << 20, []uint64{5}, true},
		"beyond the end":   {"a.>", 100, 100, 1 << 20, nil, true},
		"none":             {"a.z", 1, 100, 1 << 20, nil, true},
	} {
		page, end, err := s.Page(t.Context(), srv.Bus().NC, test.filter, test.from, test.limit, test.bytes)
		var seqs []uint64
		for _, m := range page {
			want(t, name, m.Seq, m, true, nil)
			seqs = append(seqs, m.Seq)
		}
		if d := cmp.Diff(test.want, seqs); d != "" || end != test.end || err != nil {
			t.Errorf("%s: end %t, %v %s", name, end, err, d)
		}
	}
}

// What does not answer, and what answers that it will not.
func TestDown(t *testing.T) {
	t.Parallel()
	s, srv := filled(t, 1)
	nc := srv.Bus().NC
	check := func(what string, code fault.Code, s stream.Stream, refused bool) {
		t.Helper()
		_, _, err := s.Last(t.Context(), "a.x")
		if _, is := errors.AsType[*jetstream.APIError](err); fault.CodeOf(err) != code || is != refused {
			t.Errorf("%s: last: %v", what, err)
		}
		_, _, _, nearErr := s.Near(t.Context(), "a.x", 1)
		_, _, pageErr := s.Page(t.Context(), nc, "a.x", 1, 1, 1)
		if fault.CodeOf(nearErr) != fault.Unavailable || fault.CodeOf(pageErr) != fault.Unavailable {
			t.Errorf("%s: near: %v, page: %v", what, nearErr, pageErr)
		}
	}
	missing := s
	missing.Name = "T"
	check("missing", fault.StreamLost, missing, true)
	own := errors.New("own")
	missing.Down = func(name string, err error) error { return fmt.Errorf("%s: %w", name, errors.Join(own, err)) }
	if _, _, err := missing.At(t.Context(), 1); !errors.Is(err, own) {
		t.Error(err)
	}
	if _, _, err := missing.Page(t.Context(), nc, "a.x", 1, 1, 1); !errors.Is(err, own) || !errors.Is(err, nats.ErrNoResponders) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.At(ctx, 1); !errors.Is(err, context.Canceled) || fault.CodeOf(err) != fault.Unavailable {
		t.Error(err)
	}
	srv.Stop()
	s.Caller = stream.Conn{NC: nc, Within: time.Millisecond}
	if _, _, err := s.At(t.Context(), 1); fault.CodeOf(err) != fault.Unavailable {
		t.Error(err)
	}
}

// TestTakeOut: what is taken out is gone, and taking it out again is no error; what may
// not be taken out, or from what is not there, is.
func TestTakeOut(t *testing.T) {
	t.Parallel()
	s, srv := filled(t, 5) // a.x has 1 3 5 7 9, a.y 2 4 6 8 10
	ctx := t.Context()
	left := func(want ...uint64) {
		t.Helper()
		var got []uint64
		for seq := range uint64(12) {
			if m, ok, err := s.At(ctx, seq+1); err != nil {
				t.Fatal(err)
			} else if ok {
				got = append(got, m.Seq)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("left:\n%s", d)
		}
	}
	for _, seq := range []uint64{3, 3, 11} {
		if err := s.Remove(ctx, seq); err != nil {
			t.Errorf("remove %d: %v", seq, err)
		}
	}
	for _, seq := range []uint64{4, 4, 11} {
		if err := s.Erase(ctx, seq); err != nil {
			t.Errorf("erase %d: %v", seq, err)
		}
	}
	left(1, 2, 5, 6, 7, 8, 9, 10)
	for range 2 {
		if err := s.Purge(ctx, "a.x", 7); err != nil {
			t.Error(err)
		}
	}
	left(2, 6, 7, 8, 9, 10)
	if err := s.Purge(ctx, "a.*", 7); err != nil {
		t.Error(err)
	}
	left(7, 8, 9, 10)
	if err := s.Purge(ctx, `a."é`, 0); err != nil {
		t.Error("of nothing:", err)
	}
	if err := s.Purge(ctx, "a.x", 0); err != nil {
		t.Error(err)
	}
	left(8, 10)

	js := srv.Bus().JS
	if _, err := js.UpdateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"a.>"}, AllowDirect: true, DenyDelete: true, DenyPurge: true}); err != nil {
		t.Fatal(err)
	}
	nowhere := s
	nowhere.Name = "NOWHERE"
	for what, err := range map[string]error{
		"remove":            s.Remove(ctx, 8),
		"erase":             s.Erase(ctx, 8),
		"purge":             s.Purge(ctx, "a.y", 0),
		"remove of nothing": nowhere.Remove(ctx, 1),
		"purge of nothing":  nowhere.Purge(ctx, "a.x", 0),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	left(8, 10)
}

// TestLatest: the newest of each subject comes with how far the answer goes.
func TestLatest(t *testing.T) {
	t.Parallel()
	s, srv := filled(t, 3) // a.x has 1 3 5, a.y 2 4 6
	nc := srv.Bus().NC
	for _, test := range []struct {
		subjs []string
		want  map[string]uint64
		upTo  uint64
	}{
		{[]string{"a.x"}, map[string]uint64{"a.x": 5}, 6},
		{[]string{"a.x", "a.z", "a.y"}, map[string]uint64{"a.x": 5, "a.y": 6}, 6},
		{[]string{"a.*"}, map[string]uint64{"a.x": 5, "a.y": 6}, 6},
		{[]string{"a.z"}, map[string]uint64{}, 0},
	} {
		found, upTo, err := s.Latest(t.Context(), nc, test.subjs)
		got := map[string]uint64{}
		for subj, m := range found {
			want(t, subj, m.Seq, m, true, err)
			got[subj] = m.Seq
		}
		if d := cmp.Diff(test.want, got); d != "" || upTo != test.upTo || err != nil {
			t.Errorf("%s: up to %d, %v:\n%s", test.subjs, upTo, err, d)
		}
	}
	js := srv.Bus().JS
	for i := range 1025 {
		if _, err := js.PublishAsync(fmt.Sprint("a.n.", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	if _, _, err := s.Latest(t.Context(), nc, []string{"a.n.*"}); !errors.Is(err, stream.ErrTooMany) {
		t.Errorf("of 1,025: %v", err)
	}
	if _, err := js.UpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"a.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Latest(t.Context(), nc, []string{"a.x"}); !errors.Is(err, nats.ErrNoResponders) || fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("where direct gets are not allowed: %v", err)
	}
}
