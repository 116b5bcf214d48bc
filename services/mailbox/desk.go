package mailbox

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// desk is where this replica works on one subscriber: one caller at a time, so
// that calls of one replica never lose the compare-and-set to each other. What it
// knows of the document may be old, and is then refused when it is written.
type desk struct {
	id   string
	busy chan struct{} // holds one token while nobody works here

	doc     *state // as stored under revision; nil = not known; not to be changed
	rev     uint64
	written time.Time
	deleted map[uint64]bool // confirmed copies that are known to be deleted
	named   named           // what a Peek here has just named

	users int           // waiting or working; guarded by desks.mu
	place *list.Element // among the idle; nil while it has users
}

// maxDesks is how many desks are kept that nobody works at. A document is about
// 2 KiB, and a message that was named has up to 8.
const maxDesks = 4096

// desks are the desks of a replica.
type desks struct {
	mu   sync.Mutex
	all  map[string]*desk
	idle *list.List // of *desk, the longest unused first
}

func newDesks() *desks { return &desks{all: map[string]*desk{}, idle: list.New()} }

// take waits for a subscriber's desk; give gives it back.
func (d *desks) take(ctx context.Context, id string) (*desk, error) {
	d.mu.Lock()
	t := d.all[id]
	if t == nil {
		t = &desk{id: id, busy: make(chan struct{}, 1), deleted: map[uint64]bool{}}
		t.busy <- struct{}{}
		d.all[id] = t
	}
	t.users++
	if t.place != nil {
		d.idle.Remove(t.place)
		t.place = nil
	}
	d.mu.Unlock()
	select {
	case <-t.busy:
		return t, nil
	case <-ctx.Done():
		d.leave(t)
		return nil, ctx.Err()
	}
}

func (d *desks) give(t *desk) {
	t.busy <- struct{}{}
	d.leave(t)
}

func (d *desks) leave(t *desk) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.users--; t.users > 0 {
		return
	}
	t.place = d.idle.PushBack(t)
	if d.idle.Len() > maxDesks {
		oldest, _ := d.idle.Remove(d.idle.Front()).(*desk)
		delete(d.all, oldest.id)
	}
}

// learn takes a document that was just read, and answers the newest that is known:
// somebody may have been here meanwhile.
func (t *desk) learn(doc *state, rev uint64, written time.Time) *state {
	if t.doc == nil || t.rev < rev {
		t.doc, t.rev, t.written = doc, rev, written
	}
	return t.doc
}

// named is a message that was the first free one under a revision of the document.
// Partners receive what they have peeked, and most do it at once, over the same
// connection: then it need not be read again. It is the same message, because a
// position of MAILBOX is never another one; and it is there still, because nothing
// is taken out without a new revision, under which no lock that is decided here can
// be stored.
type named struct {
	m      *message
	rev    uint64
	looked time.Time // just before it was seen
}

const (
	// namedFor bounds how long a message is remembered, for those who take messages
	// out and know of no documents: an erasure is over when nobody remembers.
	namedFor = time.Second
	// maxNamed is the largest that is remembered, in bytes.
	maxNamed = 8 << 10
)

// name remembers a message that a Peek names: it looked for it after it had read the
// desk's revision.
func (t *desk) name(m *message, looked time.Time) {
	t.named = named{}
	if m != nil && len(m.Data) <= maxNamed {
		t.named = named{m, t.rev, looked}
	}
}

// recall is the message at a position, if it has just been named; else nil.
func (t *desk) recall(seq uint64) *message {
	if n := t.named; n.m != nil && n.m.Seq == seq && n.rev == t.rev && time.Since(n.looked) < namedFor {
		return n.m
	}
	return nil
}

// forget drops what the desk knows, to read it anew.
func (t *desk) forget() { t.doc, t.rev = nil, 0 }
