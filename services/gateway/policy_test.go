package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// GW4: every case of the one rule.
func TestGW4Policy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		load     load
		size     int
		realtime bool
		want     verdict
	}{
		{"room", load{50, 0, 100}, 50, false, accept},
		{"one that is too large, alone", load{0, 0, 100}, 500, false, accept},
		{"durable, only durable before it", load{60, 0, 100}, 50, false, cut},
		{"durable, real-time gives way", load{60, 20, 100}, 50, false, makeRoom},
		{"durable, not enough gives way", load{90, 20, 100}, 50, false, cut},
		{"durable and too large, only real-time before it", load{60, 60, 100}, 500, false, makeRoom},
		{"real-time, older gives way", load{100, 50, 100}, 50, true, makeRoom},
		{"real-time, nothing gives way", load{100, 0, 100}, 50, true, refuse},
	} {
		if got := policy(c.load, c.size, c.realtime); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// GW4: of a client that does not read, the oldest real-time events are dropped and
// counted, the newest and everything durable stay, in order, until the durable
// ones alone are too much.
func TestGW4DropOldest(t *testing.T) {
	t.Parallel()
	stats := newMetrics(prometheus.NewRegistry())
	c := &connection{principal: &auth.Principal{Tenants: []string{"AA"}}, out: &paper{}, limit: 1600, stats: stats, writing: true} // nobody writes
	send := func(name string, realtime bool) {
		c.deliver(&item{body: []byte(name + strings.Repeat(".", 100-len(name))), realtime: realtime})
	}
	for n := range 40 {
		send(fmt.Sprint("rt", n), true)
		if n%10 == 5 {
			send(fmt.Sprint("log", n), false)
		}
	}
	var durable, realtime []string
	for _, it := range c.queue {
		name := strings.TrimRight(string(it.body), ".")
		if it.realtime {
			realtime = append(realtime, name)
		} else {
			durable = append(durable, name)
		}
	}
	if diff := cmp.Diff([]string{"log5", "log15", "log25", "log35"}, durable); diff != "" {
		t.Errorf("durable ones that wait: (-want +got)\n%s", diff)
	}
	var newest []string
	for n := 40 - len(realtime); n < 40; n++ {
		newest = append(newest, fmt.Sprint("rt", n))
	}
	if diff := cmp.Diff(newest, realtime); diff != "" || len(realtime) < 10 {
		t.Errorf("real-time ones that wait: (-newest +got)\n%s", diff)
	}
	dropped := int(counter(stats.dropped.WithLabelValues(dropQueueFull)))
	if dropped != 40-len(realtime) || c.waiting != 100*len(c.queue) || c.droppable != 100*len(realtime) || c.waiting > c.limit {
		t.Errorf("%d dropped; %d bytes wait, %d of them droppable, the limit is %d", dropped, c.waiting, c.droppable, c.limit)
	}
	for n := range 20 {
		send(fmt.Sprint("more", n), false)
	}
	if c.closing != fault.SlowConsumer || counter(stats.near) == 0 || counter(stats.cuts.WithLabelValues("AA")) != 1 {
		t.Errorf("durable events alone are too much: closing %q", c.closing)
	}
}

// SR4: what expires while it waits for its client is not written, and is counted; what
// waits beside it is.
func TestSR4ExpiresWhileItWaits(t *testing.T) {
	t.Parallel()
	out, stats := &paper{}, newMetrics(prometheus.NewRegistry())
	c := &connection{principal: &auth.Principal{}, out: out, limit: 1 << 20, stats: stats, writing: true} // somebody writes
	soon := time.Now().Add(50 * time.Millisecond)
	for _, it := range []*item{{body: []byte("a\n")}, {body: []byte("b\n"), expires: soon.UnixNano()}, {body: []byte("c\n"), expires: soon.Add(time.Hour).UnixNano()}} {
		c.deliver(it)
	}
	<-time.After(time.Until(soon))
	c.flush()
	if got := out.text.String(); got != "a\nc\n" || counter(stats.dropped.WithLabelValues(dropExpired)) != 1 || c.waiting != 0 {
		t.Errorf("written %q; %d bytes wait", got, c.waiting)
	}
}
