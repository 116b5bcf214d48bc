package event

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"github.com/belfry-events/belfry/pkg/fault"
)

func TestParseCursor(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Cursor{
		"abcd1234-0000000000000001": {"abcd1234", 1},
		"Zz09Aa11-00000000000012ff": {"Zz09Aa11", 0x12ff},
		"abcd1234-ffffffffffffffff": {"abcd1234", math.MaxUint64},
	} {
		got, err := ParseCursor(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q: %v %v, written %q", text, got, err, got.String())
		}
	}
	for _, text := range []string{
		"", "1", "abcd1234", "abcd1234-", "abcd1234-1", "abcd1234-00000000000000012",
		"abcd123--0000000000000001", "abcd1234-000000000000000G", "abcd1234-000000000000000F",
		"abcd1234_0000000000000001", "abcd123\xff-0000000000000001", " abcd1234-0000000000000001",
	} {
		if _, err := ParseCursor(text); fault.CodeOf(err) != fault.InvalidCursor {
			t.Errorf("%q: %v, want invalid_cursor", text, err)
		}
	}
}

func TestZeroCursor(t *testing.T) {
	t.Parallel()
	if c := (Cursor{}); !c.IsZero() || c.String() != "" {
		t.Errorf("zero cursor: %v %q", c.IsZero(), c.String())
	}
}

// Cursors of one epoch sort as text exactly as their positions do.
func TestCursorOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := Cursor{"abcd1234", rapid.Uint64().Draw(t, "a")}
		b := Cursor{"abcd1234", rapid.Uint64().Draw(t, "b")}
		if (a.Seq < b.Seq) != (a.String() < b.String()) {
			t.Fatalf("%v and %v sort apart from their text", a, b)
		}
		if back, err := ParseCursor(a.String()); err != nil || back != a {
			t.Fatalf("%v came back as %v, %v", a, back, err)
		}
	})
}

func TestStoredOf(t *testing.T) {
	t.Parallel()
	stored := Stored{Cursor{"abcd1234", 12}, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}
	for name, c := range map[string]struct {
		h    nats.Header
		want Stored
	}{
		"republished": {nats.Header{"Nats-Sequence": {"12"}, "Nats-Time-Stamp": {"2026-01-02T03:04:05.000000006Z"}}, stored},
		"forged by the publisher": {nats.Header{
			"Nats-Sequence":   {"999", "12"},
			"Nats-Time-Stamp": {"1999-01-01T00:00:00Z", "2026-01-02T03:04:05.000000006Z"},
		}, stored},
		"other case":  {nats.Header{"nats-sequence": {"12"}, "Nats-Time-Stamp": {"2026-01-02T03:04:05Z"}}, Stored{}},
		"no time":     {nats.Header{"Nats-Sequence": {"12"}}, Stored{}},
		"not a digit": {nats.Header{"Nats-Sequence": {"-1"}, "Nats-Time-Stamp": {"2026-01-02T03:04:05Z"}}, Stored{}},
		"empty":       {nats.Header{"Nats-Sequence": {}}, Stored{}},
		"none":        {nil, Stored{}},
	} {
		if diff := cmp.Diff(c.want, StoredOf(c.h, "abcd1234")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
