package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	rpc "connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/event"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
	"github.com/belfry-events/belfry/proto/belfry/objectevent/v1/objecteventv1connect"
)

const alarms = "alarms" // the topic of the alerts

// TestOE5EveryAlertOnce is the kill test of alerts: whatever dies or sleeps, every
// change raises one alert of a rule that takes all, in the words that the rule had at
// this place of the log, while it is changed between the blows; and a rule with a
// throttle raises one for each object.
func TestOE5EveryAlertOnce(t *testing.T) {
	rounds := min(setting(t, "BELFRY_CHAOS_ROUNDS", operationRounds), 50)
	seed := setting(t, "BELFRY_CHAOS_SEED", rand.Uint64N(1_000_000))
	sayf(t, "%d rounds with alerts on %d objects, BELFRY_CHAOS_SEED=%d", rounds, objects, seed)
	w := newDeciders(t, seed)
	w.settled()
	r := &ruler{deciders: w, since: map[string][]uint64{}}
	r.token = w.token("admin", auth.Grant{Action: auth.Admin})
	r.set("once", durationpb.New(24*time.Hour))
	for range rounds {
		r.set("all", nil)
		w.rounds(t, 1, time.Second, w)
		if t.Failed() {
			return
		}
	}
	w.end(r.count)
}

// ruler is an administrator, and remembers from where each version of a rule holds.
type ruler struct {
	*deciders
	token string              // of an administrator
	since map[string][]uint64 // by rule: sequences, the words of version i are "i"
}

// set sets a rule, or changes its words. An answer that was lost is looked for: the
// rule may hold or not, and says from where.
func (r *ruler) set(name string, throttle *durationpb.Duration) {
	r.t.Helper()
	version := len(r.since[name])
	rule := &objecteventv1.AlertRule{
		Name: name, Topics: []string{"orders", "users"}, On: []string{"insert", "update", "delete"},
		TargetTopic: alarms, TargetVerb: name, Message: fmt.Sprint(version), Throttle: throttle,
	}
	r.eventually(fmt.Sprintf("version %d of rule %s holds", version, name), func(context.Context) bool {
		client := objecteventv1connect.NewAlertServiceClient(http.DefaultClient, r.all[0].url, bearer(r.token))
		have, err := client.GetAlert(r.t.Context(), &objecteventv1.GetAlertRequest{Name: name})
		switch {
		case err == nil && have.GetAlert().GetRule().GetMessage() == rule.GetMessage():
			since, err := event.ParseCursor(have.GetAlert().GetSince())
			if err != nil {
				r.t.Fatal(err)
			}
			r.since[name] = append(r.since[name], since.Seq)
			return true
		case err == nil:
			_, _ = client.UpdateAlert(r.t.Context(), &objecteventv1.UpdateAlertRequest{Name: name, Rule: rule, Revision: &have.Alert.Revision})
		case rpc.CodeOf(err) == rpc.CodeNotFound:
			_, _ = client.CreateAlert(r.t.Context(), &objecteventv1.CreateAlertRequest{Rule: rule})
		}
		return false
	})
}

// words is what a rule says about the change at a sequence; "" = it did not hold yet.
func (r *ruler) words(name string, seq uint64) (said string) {
	for i, since := range r.since[name] {
		if seq > since {
			said = fmt.Sprint(i)
		}
	}
	return said
}

// count compares the alerts with the changes in the log, in its order.
func (r *ruler) count() {
	r.t.Helper()
	var want []string
	objects := map[string]bool{}
	changes := map[string]bool{"created": true, "updated": true, "deleted": true}
	r.each("evt.AA.*.*", func(e event.Event, seq uint64) {
		if e.Topic == alarms || !changes[e.Verb] {
			return
		}
		if said := r.words("all", seq); said != "" {
			want = append(want, "all@"+e.ID+" "+said)
		}
		objects[e.Subject] = objects[e.Subject] || r.words("once", seq) != ""
	})
	var got []string
	once := map[string]int{}
	r.eventually("every alert is there", func(context.Context) bool {
		got, once = nil, map[string]int{}
		for _, e := range r.stored("evt.AA." + alarms + ".*") {
			if e.Verb == "once" {
				once[e.Subject]++
				continue
			}
			var said struct{ Message string }
			if err := json.Unmarshal(e.Data, &said); err != nil {
				r.t.Error(err)
			}
			got = append(got, e.ID+" "+said.Message)
		}
		return len(got) >= len(want)
	})
	sayf(r.t, "%d alerts about %d changes, in the words of %d versions", len(got), len(want), len(r.since["all"]))
	if d := cmp.Diff(want, got); d != "" {
		r.t.Errorf("alerts (-want +got):\n%s", d)
	}
	for object, holds := range objects {
		if holds && once[object] != 1 {
			r.t.Errorf("object %s has %d alerts of the rule with a throttle", object, once[object])
		}
	}
}
