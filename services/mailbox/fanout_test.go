package mailbox

import (
	"testing"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
)

// TestMB2TheTableIsReadWhole: who has not come as far as the relay has, and lacks what was
// subscribed to last, is not believed.
func TestMB2TheTableIsReadWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start()
	if _, err := w.nats.Bus().JS.Publish(t.Context(), "evt.AA.orders.created", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	var at event.Cursor
	bustest.Eventually(t, patience, "the event is relayed", func() bool {
		var err error
		at, err = r.s.relay.Position(t.Context())
		return err == nil && at.Seq > 0
	})
	r.stop()
	f := newFanout(r.s)
	if err := f.open(t.Context(), at); err != nil {
		t.Error(err)
	}
	at.Seq++
	if err := f.open(t.Context(), at); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("from somebody who is behind: %v", err)
	}
}
