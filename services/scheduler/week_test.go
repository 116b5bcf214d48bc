package scheduler

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/event"
)

// TestTM1TM4Intervals lives through the clock's intervals, for a day or with -year
// a week, in which the machine is off for 10, 59 and 61 minutes and for three days
// more: then each interval that has passed comes once, as soon as the machine is on,
// and begins anew.
func TestTM1TM4Intervals(t *testing.T) {
	stops := []time.Duration{10 * time.Minute, 59 * time.Minute, 72 * time.Hour, 61 * time.Minute, time.Minute, 10 * time.Minute}
	random := rand.New(rand.NewPCG(3, 4))
	lived := 24 * time.Hour
	if *wholeYear {
		lived = 7 * 24 * time.Hour
	}
	bustest.BubbleTick(t, time.Minute, func(t *testing.T) {
		var mu sync.Mutex
		got := map[string][]told{}
		m := &machine{
			t: t, disk: t.TempDir(), heard: func(e event.Event) {
				mu.Lock()
				defer mu.Unlock()
				name := e.Type[len(event.ClockPrefix):]
				got[name] = append(got[name], told{e, time.Now()})
			},
			tune: []func(*Service, *Config){
				configure(func(c *Config) {
					for _, h := range times {
						c.Clock = append(c.Clock, h.name+"=off")
					}
				}),
				slowly,
			},
		}
		began := time.Now()
		end := began.Add(lived)
		for _, d := range stops {
			end = end.Add(d)
		}
		m.on()
		var offs [][2]time.Time
		for _, d := range stops {
			pass(time.Duration(random.Int64N(int64(lived) / int64(len(stops)))))
			m.off()
			offs = append(offs, [2]time.Time{time.Now(), time.Now().Add(d)})
			pass(d)
			m.on()
		}
		pass(time.Until(end))
		m.off()
		for _, h := range intervals {
			every, err := time.ParseDuration(h.value)
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			heard := got[h.name]
			mu.Unlock()
			if err := keepsPace(heard, every, began, offs, end); err != nil {
				t.Errorf("%s: %v", h.name, err)
			}
			t.Logf("%s: %d", h.name, len(heard))
		}
	})
}

// keepsPace holds one interval's events against the text.
func keepsPace(heard []told, every time.Duration, began time.Time, offs [][2]time.Time, end time.Time) error {
	const soon = 4 * time.Second
	next := began.Add(every)
	for i, e := range heard {
		raised, passed := next, 0
		for _, off := range offs {
			if !next.Before(off[0]) && next.Before(off[1]) {
				raised, passed = off[1], int(off[1].Sub(next)/every)
			}
		}
		if lag := e.at.Sub(raised); lag < 0 || lag > soon {
			return fmt.Errorf("event %d came %s after %s", i, lag, raised)
		}
		if missed := e.Extensions[extMissed]; missed != int32(passed) {
			return fmt.Errorf("event %d at %s says %v missed, not %d", i, e.at, missed, passed)
		}
		actual, err := time.Parse(time.RFC3339Nano, e.Extensions[extActual].(string))
		if err != nil {
			return err
		}
		if next = next.Add(every); raised != next.Add(-every) {
			next = actual.Truncate(time.Second).Add(every)
		}
	}
	if next.Before(end.Add(-time.Minute)) {
		return fmt.Errorf("nothing came at %s", next)
	}
	return nil
}
