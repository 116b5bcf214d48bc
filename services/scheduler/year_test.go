package scheduler

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/topology"
)

// wholeYear makes the tests of the clock live through a year of clock times and a week
// of intervals, which takes minutes; without, through the weeks around both changes
// of the clocks, and a day.
var wholeYear = flag.Bool("year", false, "live through a whole year of clock times and a week of intervals")

// machine is one computer with everything on it: a NATS server and a scheduler. It
// can be off, and keeps its disk.
type machine struct {
	t     *testing.T
	disk  string
	tune  []func(*Service, *Config)
	heard func(event.Event)

	node *embed.Server
	bus  *bus.Bus
	end  func()
}

func (m *machine) on() {
	m.t.Helper()
	var err error
	ctx := m.t.Context()
	log := slog.New(slog.DiscardHandler)
	if m.node, err = embed.Start(ctx, embed.Options{DataDir: m.disk, NoListen: true, Log: log}); err != nil {
		m.t.Fatal(err)
	}
	m.bus, err = bus.Connect(ctx, bus.Options{
		Config:    bus.Config{User: embed.ServiceUser, Password: m.node.ServicePassword(), Name: "machine"},
		InProcess: m.node.InProcess(), Log: log,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	spec := topology.Platform(topology.Options{})
	streams(&spec)
	if _, err := topology.Ensure(ctx, m.bus.JS, spec, topology.Options{}); err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.bus.NC.Subscribe("clock.>", func(msg *nats.Msg) {
		m.heard(event.Decode(msg.Subject, msg.Header, msg.Data, event.Stored{}))
	}); err != nil {
		m.t.Fatal(err)
	}
	r := makeReplica(m.t, m.bus, m.tune...)
	m.end = r.run()
}

func (m *machine) off() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m.end()
	if err := m.bus.Close(ctx); err != nil {
		m.t.Error(err)
	}
	if err := m.node.Stop(ctx); err != nil {
		m.t.Error(err)
	}
}

// nominals is the test's own idea of when a reading of the wall clock happens: by
// looking at the wall every minute of a year.
func nominals(zone *time.Location, reading string) (list []time.Time) {
	done := ""
	for at := time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC); at.Year() < 2001; at = at.Add(time.Minute) {
		wall := at.In(zone)
		if day := wall.Format(time.DateOnly); day != done && wall.Format("15:04") >= reading {
			list, done = append(list, at), day
		}
	}
	return list
}

// TestTM2TM5ClockTimes lives through the year 2000 in Prague, whose clocks change on
// 26 March and 29 October, and turns the machine off at random for 10, 59 or 61
// minutes or 3 days, and, because little happens then, also wherever nothing is due.
// Every event is checked against what the AyMINE text says.
func TestTM2TM5ClockTimes(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Prague")
	if err != nil {
		t.Fatal(err)
	}
	lived := [][2]string{{"03-24", "03-29"}, {"10-27", "11-01"}}
	if *wholeYear {
		lived = [][2]string{{"01-01", "12-31"}}
	}
	due := map[time.Time]bool{}
	byName := map[string][]time.Time{}
	for _, h := range times {
		byName[h.name] = nominals(zone, h.value)
		for _, at := range byName[h.name] {
			due[at] = true
		}
	}
	strikes := slices.SortedFunc(func(yield func(time.Time) bool) {
		for at := range due {
			if !yield(at) {
				return
			}
		}
	}, time.Time.Compare)

	random := rand.New(rand.NewPCG(1, 2))
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
			tune: []func(*Service, *Config){configure(func(c *Config) {
				c.Zone = zone.String()
				for _, h := range intervals {
					c.Clock = append(c.Clock, h.name+"=off")
				}
			})},
		}
		var offs [][2]time.Time
		until := func(at time.Time) { pass(time.Until(at)) }
		turnOff := func(back time.Time) {
			m.off()
			offs = append(offs, [2]time.Time{time.Now(), back})
			until(back)
			m.on()
		}
		began := time.Time{}
		for _, span := range lived {
			from, _ := time.ParseInLocation(time.DateOnly, "2000-"+span[0], zone)
			to, _ := time.ParseInLocation(time.DateOnly, "2000-"+span[1], zone)
			if began.IsZero() {
				until(from)
				began = time.Now()
				m.on()
			} else {
				turnOff(from)
			}
			for time.Now().Before(to) {
				i, _ := slices.BinarySearchFunc(strikes, time.Now(), time.Time.Compare)
				next := strikes[i]
				if random.IntN(6) == 0 {
					// Any time from here to a moment after the next.
					until(time.Now().Add(time.Duration(random.Int64N(int64(time.Until(next) + 10*time.Minute)))))
					stops := []time.Duration{10 * time.Minute, 59 * time.Minute, 61 * time.Minute, 72 * time.Hour}
					turnOff(time.Now().Add(stops[random.IntN(len(stops))]))
					continue
				}
				if time.Until(next) > 20*time.Minute {
					turnOff(next.Add(-2 * time.Second))
				}
				until(next.Add(10 * time.Second))
			}
		}
		until(time.Now().Add(time.Minute))
		ended := time.Now()
		m.off()
		t.Logf("%d times off", len(offs))
		for name, list := range byName {
			mu.Lock()
			heard := got[name]
			mu.Unlock()
			if err := followsTheText(list, heard, offs, began, ended); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// followsTheText holds what was heard of one clock time against the text: each is
// raised once, when its time has come, or, if the machine was off then, when it is
// on again if that is less than an hour later.
func followsTheText(list []time.Time, heard []told, offs [][2]time.Time, began, ended time.Time) error {
	const soon = 5 * time.Second // how long the machine may take
	next := 0
	for i, at := range list {
		if !at.After(began) || at.After(ended) {
			continue
		}
		raised, mayDiffer := at, false
		for _, off := range offs {
			if raised.Before(off[0].Add(-soon)) || !raised.Before(off[1]) {
				continue
			}
			raised = off[1] // it was off, or was being turned off
			mayDiffer = at.Sub(off[0]).Abs() <= soon
		}
		late := raised.Sub(at)
		overtaken := i+1 < len(list) && !list[i+1].After(raised)
		ok := next < len(heard) && heard[next].Extensions[extNominal] == at.UTC().Format(time.RFC3339)
		switch {
		case ok:
			e := heard[next]
			next++
			if !mayDiffer && (late >= time.Hour+soon || overtaken) {
				return fmt.Errorf("%s was raised though it was %s late", at, e.at.Sub(at))
			}
			if lag := e.at.Sub(raised); !mayDiffer && (lag < -time.Second || lag > soon) {
				return fmt.Errorf("%s was raised %s after it should have been", at, lag)
			}
		case !mayDiffer && late < time.Hour-soon && !overtaken:
			return fmt.Errorf("%s was not raised, %s late", at, late)
		}
	}
	if next != len(heard) {
		return fmt.Errorf("%s was raised, and should not have been", heard[next].ID)
	}
	return nil
}
