package mailbox

import (
	"slices"
	"time"
)

// state is what is remembered of one subscriber beside its messages: one document,
// changed only by compare-and-set. It alone says what is locked and what is
// confirmed; that a confirmed copy is also deleted from MAILBOX is cleaning up.
//
// Of every copy for the subscriber, by its sequence in MAILBOX:
//
//	                    High
//	────────────────────┼───────────────────▶ sequence
//	 confirmed, unless   free, unless Held
//	 Held                or Ahead
//
// So a copy that a lagging replica still shows, or that was not deleted yet, is
// never taken for a message again, and the document stays small: in a mailbox
// with one poller Held has at most one entry and Ahead none.
type state struct {
	Issuer  string    `json:"issuer"`
	Subject string    `json:"subject"` // with Issuer: whose it is
	Name    string    `json:"name"`    // as registered
	Created time.Time `json:"created"`

	Live    bool    `json:"live,omitempty"`    // has subscribed since it was registered, or expired
	Expired *expiry `json:"expired,omitempty"` // its mailboxes were taken away

	Epoch     string      `json:"epoch,omitempty"` // of MAILBOX, in which these count:
	High      uint64      `json:"high,omitempty"`
	Held      []held      `json:"held,omitempty"`      // received and not confirmed, by sequence
	Ahead     []uint64    `json:"ahead,omitempty"`     // confirmed above High, ascending
	Undeleted []uint64    `json:"undeleted,omitempty"` // confirmed, and not known to be deleted
	Confirmed receiptRing `json:"confirmed,omitempty"` // which locks confirmed the last messages
}

// expiry is when mailboxes were taken away, and which: those that were subscribed
// up to a position of EVENTS.
type expiry struct {
	At     time.Time `json:"at"`
	Before uint64    `json:"before"`
}

// held is a message that has been received: locked, or offered again.
type held struct {
	Seq        uint64 `json:"seq"`
	Lock       uint64 `json:"lock,omitempty"`  // 0 = none
	Until      int64  `json:"until,omitempty"` // Unix milliseconds: the lock's end; without a lock, not offered before
	Deliveries int    `json:"n"`
	Limit      int    `json:"max,omitempty"` // of deliveries; 0 = none
	Tenant     string `json:"t,omitempty"`   // for the metrics
}

// spent says that it has been delivered as often as it may be, in vain.
func (h held) spent(now time.Time) bool {
	return h.Limit > 0 && h.Deliveries >= h.Limit && !h.away(now)
}

// away says whether nobody may receive it now.
func (h held) away(now time.Time) bool { return h.Until > now.UnixMilli() }

// standing is what a copy is, as the state says.
type standing int

const (
	free   standing = iota // may be received
	locked                 // is received, or held back for a while, or spent
	gone                   // is confirmed
)

func (s *state) standing(seq uint64, now time.Time) standing {
	i, there := s.find(seq)
	switch {
	case there && (s.Held[i].away(now) || s.Held[i].spent(now)):
		return locked
	case there:
		return free
	case seq <= s.High:
		return gone
	}
	if _, there := slices.BinarySearch(s.Ahead, seq); there {
		return gone
	}
	return free
}

func (s *state) find(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(s.Held, seq, func(h held, seq uint64) int {
		switch {
		case h.Seq < seq:
			return -1
		case h.Seq > seq:
			return 1
		}
		return 0
	})
}

// fits makes the numbers those of this life of MAILBOX: in a stream that was made
// anew they count from 1 again, and nothing of it is confirmed.
func (s *state) fits(epoch string) {
	if s.Epoch != epoch {
		s.Epoch, s.High, s.Held, s.Ahead, s.Undeleted, s.Confirmed = epoch, 0, nil, nil, nil, nil
	}
}

// lock gives a free message to a caller. What is noted of it is in h.
func (s *state) lock(h held) held {
	i, there := s.find(h.Seq)
	if !there {
		s.Held = slices.Insert(s.Held, i, h)
	}
	h.Deliveries = s.Held[i].Deliveries + 1
	s.Held[i] = h
	return h
}

// raise moves High to seq, below which every copy is held or confirmed.
func (s *state) raise(seq uint64) {
	if seq <= s.High {
		return
	}
	s.High = seq
	i, _ := slices.BinarySearch(s.Ahead, seq+1)
	s.Ahead = s.Ahead[i:]
}

// holder is the held message that a lock holds now; nil if it does not.
func (s *state) holder(seq, id uint64, now time.Time) *held {
	i, there := s.find(seq)
	if !there || id == 0 || s.Held[i].Lock != id || !s.Held[i].away(now) {
		return nil
	}
	return &s.Held[i]
}

// confirm removes a message that its lock holds, and remembers that it did.
func (s *state) confirm(seq, id uint64) {
	s.remove(seq)
	s.Confirmed = s.Confirmed.and(receipt{seq, id})
}

// remove takes a held message out of the mailbox for good.
func (s *state) remove(seq uint64) {
	s.drop(seq)
	if i, there := slices.BinarySearch(s.Ahead, seq); seq > s.High && !there {
		s.Ahead = slices.Insert(s.Ahead, i, seq)
	}
	s.Undeleted = append(s.Undeleted, seq)
}

// drop forgets that a message was received: it is gone, one way or another.
func (s *state) drop(seq uint64) {
	if i, there := s.find(seq); there {
		s.Held = slices.Delete(s.Held, i, i+1)
	}
}

// locks is how many messages are received now.
func (s *state) locks(now time.Time) (n int) {
	for _, h := range s.Held {
		if h.Lock != 0 && h.away(now) {
			n++
		}
	}
	return n
}

// opens is when the next of the messages that are away is offered again; zero if
// none is.
func (s *state) opens(now time.Time) (at time.Time) {
	for _, h := range s.Held {
		if t := time.UnixMilli(h.Until); h.away(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}

// spent are the messages that are to become dead letters.
func (s *state) spent(now time.Time) (seqs []uint64) {
	for _, h := range s.Held {
		if h.spent(now) {
			seqs = append(seqs, h.Seq)
		}
	}
	return seqs
}

// clone is a copy that may be changed.
func (s *state) clone() *state {
	c := *s
	c.Held, c.Ahead = slices.Clone(s.Held), slices.Clone(s.Ahead)
	c.Undeleted, c.Confirmed = slices.Clone(s.Undeleted), slices.Clone(s.Confirmed)
	return &c
}
