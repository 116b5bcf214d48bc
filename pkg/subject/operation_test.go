package subject

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Operations are addressed by us, dealt by the stream, and read back either way.
func TestOE6OperationAddresses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(1, 20, 100)
		a := OperationAddress{
			Tenant: name.Draw(t, "tenant"), Topic: name.Draw(t, "topic"), Op: rapid.StringMatching(`[A-Za-z]{1,9}`).Draw(t, "op"), Object: name.Draw(t, "object"),
		}
		s, err := Operation(a)
		if err != nil {
			if a.Check() == nil {
				t.Fatalf("%+v: %v", a, err)
			}
			return
		}
		p := Partition(a.Tenant, a.Object)
		prefix := strings.TrimSuffix(OperationsOf(p), ">")
		for _, s := range []string{s, prefix + strings.TrimPrefix(s, "op.")} {
			got, canonical, ok := ParseOperation(s)
			want := OperationAddress{Tenant: a.Tenant, Topic: Fold(a.Topic), Op: Fold(a.Op), Object: a.Object}
			if !ok || !canonical || got != want {
				t.Fatalf("%q reads as %+v, %v, %v; want %+v", s, got, canonical, ok, want)
			}
		}
		if p < 0 || p >= Partitions {
			t.Fatalf("partition %d", p)
		}
	})
	for _, s := range []string{"op.AA.x.y", "op.AA.x.y.z.1.2", "evt.AA.x.y.z", ""} {
		if a, _, ok := ParseOperation(s); ok {
			t.Errorf("%q reads as %+v", s, a)
		}
	}
	if _, canonical, ok := ParseOperation("op.AA.x.insert.a_b"); !ok || canonical {
		t.Error("op.AA.x.insert.a_b passes for canonical")
	}
}
