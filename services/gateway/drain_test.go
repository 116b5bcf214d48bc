package gateway

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/belfry-events/belfry/pkg/fault"
)

// GW7: goodbyes are spread, newcomers are refused meanwhile, and who has not been
// told goodbye yet still gets events.
func TestGW7DrainIsSpread(t *testing.T) {
	t.Parallel()
	const windows, each = 120, 50 * time.Millisecond // six seconds in all, in which a busy machine has its pauses
	w := newWorld(t, configure(func(c *Config) { c.DrainWindow = time.Minute }))
	w.s.drainEach = each
	var mu sync.Mutex
	var ends []time.Time
	var events int
	var group sync.WaitGroup
	for range windows {
		c := w.open(w.token())
		c.ask(`{"subscribe":{}}`)
		group.Go(func() {
			for {
				f, err := c.read()
				mu.Lock()
				switch {
				case err == nil && f.Event != nil:
					events++
				case err != nil:
					ends = append(ends, time.Now())
					if code := websocket.CloseStatus(err); int(code) != fault.Draining.CloseCode() {
						t.Errorf("ended with %v", err)
					}
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	began := time.Now()
	group.Go(w.stop)
	w.eventually("the first are told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(ends) > 0
	})
	w.publish("evt.AA.invoices.created", `{}`)
	if status, body := w.call(http.MethodGet, "/v1/sse", w.token(), ""); status != http.StatusServiceUnavailable {
		t.Errorf("a newcomer: %d %s", status, body)
	}
	group.Wait()
	took := time.Since(began)
	slices.SortFunc(ends, time.Time.Compare)
	if spread, window := ends[windows-1].Sub(ends[0]), windows*each; spread < window/3 || took > window+patience {
		t.Errorf("goodbyes over %s of %s; stopped after %s", spread, window, took)
	}
	if events == 0 || events >= windows {
		t.Errorf("%d of %d had an event that came in the middle", events, windows)
	}
}

// GW7: the longest stop that a setting allows is one that the process waits for.
func TestGW7StopWithin(t *testing.T) {
	t.Parallel()
	s := &Service{config: Config{DrainWindow: time.Minute}}
	if got := s.StopWithin(); got < time.Minute+drainFor {
		t.Errorf("given up after %s", got)
	}
}
