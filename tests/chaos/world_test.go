package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/bus/bustest"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

const workers = 2

// world is the relays' processes under test and a connection that looks at them.
type world struct {
	*cluster
	relays  []*relay.Relay // never run: they tell positions
	workers []*process

	mu     sync.Mutex
	active map[string]int // relay → the worker that took it over last
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{cluster: newCluster(t), active: map[string]int{}}
	o := topology.Options{Replicas: nodes}
	if _, err := topology.Ensure(t.Context(), w.bus.JS, streams(o), o); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.relays, err = relays(w.bus, slog.New(slog.DiscardHandler), nil); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for i := range workers {
		name := fmt.Sprintf("worker-%d", i)
		env := []string{envWorker + "=" + name, envNATS + "=" + w.url, envPassword + "=" + password}
		w.workers = append(w.workers, newProcess(t, name, w.dir, func() *exec.Cmd { return w.command(self, env) },
			func(relay string) { w.took(relay, i) }))
	}
	return w
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

// healed waits until every stream of the relays has all its replicas.
func (w *world) healed() {
	w.t.Helper()
	w.whole(source, target, box, "KV_"+topology.RelayCopies)
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
