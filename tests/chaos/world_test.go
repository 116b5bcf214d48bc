package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

const (
	nodes    = 3
	workers  = 2
	patience = time.Minute // for anything to be well again
)

// world is the processes under test and a connection that looks at them.
type world struct {
	t       *testing.T
	bus     *bus.Bus
	relays  []*relay.Relay // never run: they tell positions
	nodes   map[string]*process
	workers []*process

	mu     sync.Mutex
	active map[string]int // relay → the worker that took it over last
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, nodes: map[string]*process{}, active: map[string]int{}}
	dir, password := t.TempDir(), "chaos-service-password"
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	addrs := bustest.FreeAddrs(t, 2*nodes)
	clients, routes := addrs[:nodes], addrs[nodes:]
	for i := range nodes {
		name := fmt.Sprintf("node-%d", i)
		w.nodes[name] = newProcess(t, name, dir, func() *exec.Cmd {
			return w.command(belfry, nil, "nats", "--name", name, "--nats", clients[i], "--admin", "",
				"--cluster-name", "chaos", "--cluster-listen", routes[i], "--routes", strings.Join(routes, ","),
				"--nats-password-file", file, "--data-dir", filepath.Join(dir, name), "--log-level", "warn")
		}, func(string) {})
	}
	url := "nats://" + strings.Join(clients, ",nats://")
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if w.bus, err = connect(t.Context(), url, password, "test", quiet); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := w.bus.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	o := topology.Options{Replicas: nodes}
	if _, err := topology.Ensure(t.Context(), w.bus.JS, streams(o), o); err != nil {
		t.Fatal(err)
	}
	if w.relays, err = relays(w.bus, quiet, nil); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for i := range workers {
		name := fmt.Sprintf("worker-%d", i)
		env := []string{envWorker + "=" + name, envNATS + "=" + url, envPassword + "=" + password}
		w.workers = append(w.workers, newProcess(t, name, dir, func() *exec.Cmd { return w.command(self, env) },
			func(relay string) { w.took(relay, i) }))
	}
	return w
}

// command is a program without our settings in its environment.
func (w *world) command(program string, env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...) // ended by the clean-up, in its order
	cmd.Env = append([]string{"HOME=" + w.t.TempDir()}, env...)
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !strings.HasPrefix(name, "BELFRY_") && name != "HOME" {
			cmd.Env = append(cmd.Env, v)
		}
	}
	return cmd
}

// took notes that a worker says it has taken over a relay.
func (w *world) took(relay string, worker int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active[relay] = worker
}

// worker is the one that works on a relay, known once anybody has.
func (w *world) worker(relay string) (p *process) {
	w.t.Helper()
	bustest.Eventually(w.t, patience, relay+" has a worker", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		i, ok := w.active[relay]
		if ok {
			p = w.workers[i]
		}
		return ok
	})
	return p
}

// leader is the node that leads a stream.
func (w *world) leader(stream string) (p *process) {
	w.t.Helper()
	w.eventually(stream+" has a leader", func(ctx context.Context) bool {
		s, err := w.bus.JS.Stream(ctx, stream)
		if err == nil {
			p = w.nodes[s.CachedInfo().Cluster.Leader]
		}
		return p != nil
	})
	return p
}

// healed waits until every stream has all its replicas again: a cluster of three
// is promised to bear the loss of one node, not of a second meanwhile.
func (w *world) healed() {
	w.t.Helper()
	for _, name := range []string{source, target, box, "KV_" + topology.RelayCopies} {
		w.eventually(name+" has its replicas", func(ctx context.Context) bool {
			s, err := w.bus.JS.Stream(ctx, name)
			if err != nil {
				return false
			}
			c := s.CachedInfo().Cluster
			for _, r := range c.Replicas {
				if !r.Current || r.Offline {
					return false
				}
			}
			return c.Leader != "" && len(c.Replicas) == nodes-1
		})
	}
}

// relayed waits until everything up to the given sequences of the source has
// reached the target, and everything in the target now has reached the box.
func (w *world) relayed(last []uint64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for i, r := range w.relays {
		if i == partitions {
			last = append(last, w.last(target, subject.Events))
		}
		if err := r.Await(ctx, last[i]); err != nil {
			w.t.Fatal(err)
		}
	}
}

// last is the sequence of the newest message under a subject, in the leader's
// word; 0 if there is none.
func (w *world) last(stream, subj string) (seq uint64) {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"last_by_subj": subj})
	if err != nil {
		w.t.Fatal(err)
	}
	w.eventually(stream+" answers", func(ctx context.Context) bool {
		m, err := w.bus.NC.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, body)
		var answer struct {
			Message struct {
				Seq uint64 `json:"seq"`
			} `json:"message"`
			Error *jetstream.APIError `json:"error"`
		}
		if err != nil || json.Unmarshal(m.Data, &answer) != nil {
			return false
		}
		seq = answer.Message.Seq
		return answer.Error == nil || answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound
	})
	return seq
}

// eventually asks the cluster until it says yes.
func (w *world) eventually(what string, yes func(ctx context.Context) bool) {
	w.t.Helper()
	bustest.Eventually(w.t, patience, what, func() bool {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		return yes(ctx)
	})
}
