package roster

import (
	"encoding/json"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/realtime"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// Source is the CloudEvents source of presence events.
const Source = "/gateway"

// change is a person who has come or gone.
type change struct {
	Person
	online bool
	since  time.Time // of the presence that begins or ends
	at     time.Time
	owner  string // whose business it is to announce it
}

// owner is the gateway that announces a person's coming and going: the first of
// those that take part, ordered by a hash of both. Every gateway finds the same
// one. Under mu.
func (r *Roster) owner(p Person) string {
	best, score := r.me.id, uint64(0)
	weigh := func(g *peer) {
		h := fnv.New64a()
		for _, s := range [...]string{g.id, p.Tenant, p.User} {
			_, _ = h.Write([]byte(s)) // never fails
			_, _ = h.Write([]byte{0})
		}
		if n := h.Sum64(); n > score || n == score && g.id < best {
			best, score = g.id, n
		}
	}
	if r.settled {
		weigh(r.me)
	}
	for _, g := range r.peers {
		if g.settled {
			weigh(g)
		}
	}
	return best
}

// take is what of the news we are to announce. Until we are settled nothing is
// taken: those who are announce it, and if there is nobody, settle says it all.
// Under mu.
func (r *Roster) take() (ours []change) {
	if !r.settled {
		return nil
	}
	for _, c := range r.news {
		e := r.entries[c.Person]
		if c.online != (e != nil) || e != nil && c.online == e.told {
			continue // it is not so any more, or it is told already
		}
		if c.owner = r.owner(c.Person); c.owner == r.me.id {
			ours = append(ours, c)
		} else {
			r.recent = append(r.recent, c)
		}
		if e != nil {
			e.told = true
		}
	}
	r.news = r.news[:0]
	return ours
}

// forget drops what the others have announced by now, or are known to be dead.
// Under mu.
func (r *Roster) forget(now time.Time) {
	kept := r.recent[:0]
	for _, c := range r.recent {
		if now.Sub(c.at) < silence+2*beat {
			kept = append(kept, c)
		}
	}
	r.recent = kept
}

// settle begins to take part. What came in before was announced by those who took
// part then, if anybody did. Under mu.
func (r *Roster) settle() {
	if r.settled {
		return
	}
	alone := true
	for _, g := range r.peers {
		if !g.known {
			return
		}
		alone = alone && !g.settled
	}
	r.settled = true
	if alone {
		return
	}
	r.news = r.news[:0]
	for _, e := range r.entries {
		e.told = true
	}
}

// announce sends presence events.
func (r *Roster) announce(changes []change) {
	for _, c := range changes {
		if err := r.send(c); err != nil {
			r.o.Log.Warn("presence not announced", telemetry.KeyTenant, c.Tenant, telemetry.Err(err))
		}
	}
}

func (r *Roster) send(c change) error {
	subj, err := subject.Presence(c.Tenant, c.User)
	if err != nil {
		return err
	}
	data, err := json.Marshal(realtime.Presence{User: c.User, Online: c.online, Since: c.since.UTC().Truncate(time.Millisecond)})
	if err != nil {
		return err
	}
	what, kind := "online", event.Online
	if !c.online {
		what, kind = "offline", event.Offline
	}
	e := event.Event{
		ID:     subj + "@" + strconv.FormatInt(c.since.UnixMilli(), 10) + "/" + what, // the same, whoever announces it
		Source: Source, Type: kind, Tenant: c.Tenant, Subject: c.User, Time: c.at.UTC(),
		Data: data, DataContentType: "application/json",
	}
	m, err := e.UnstoredMsg(subj)
	if err != nil { // a name that no attribute can have; the subject and the data have it
		e.Subject = ""
		if m, err = e.UnstoredMsg(subj); err != nil {
			return err
		}
	}
	if r.o.Changed != nil {
		r.o.Changed(what)
	}
	return r.o.NC.PublishMsg(m)
}
