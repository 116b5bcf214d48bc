package objectevent

import (
	"testing"

	"github.com/belfry-events/belfry/pkg/subject"
)

func TestErase(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	w.register("guard", object{"url": w.handler(answering(`{"allow":true}`))})
	w.mustBefore(object{"actor": object{"user": "jan"}, "object": "1"})
	w.mustBefore(object{"object": "jan"})
	w.mustBefore(object{"object": "2"})
	w.awaitVerdicts(3, "?since=2020-01-01T00:00:00Z")
	for i, want := range []int{2, 2, 0} {
		if got, err := Erase(t.Context(), w.nats.Bus().NC, "AA", "jan", i == 0); err != nil || got != want {
			t.Errorf("run %d: %d %v, not %d", i, got, err, want)
		}
	}
	for _, c := range []struct{ tenant, user string }{{"", "jan"}, {"AA", ""}, {"BB", "anna"}} {
		if got, err := Erase(t.Context(), w.nats.Bus().NC, c.tenant, c.user, false); got != 0 || (err == nil) != (c.tenant == "BB") {
			t.Errorf("%+v: %d %v", c, got, err)
		}
	}
	left := w.awaitVerdicts(1, "?since=2020-01-01T00:00:00Z")
	if left[0].GetObject() != "2" || subject.Fold(left[0].GetTopic()) != users {
		t.Errorf("left is %v", left[0])
	}
}
