package gateway

import (
	"slices"
	"time"
)

// recent bounds, over all tenants, the events that are kept in memory for clients
// that come back (GW2). Each tenant's window is a stretch of its log without a
// hole:
//
//	log     ───────────────────────────────────────────────▶
//	                 base │■ ■■  ■ ■■■   ■ ■│ pos
//	                      └── in memory ────┘└── not yet here
//
// Who was cut at or behind base resumes without reading the log. Windows and
// positions are under the hub's lock, so a resumption sees both as of one moment.
type recent struct {
	limit int           // bytes; 0 = nothing is kept
	keep  time.Duration // how long
	bytes int
	order []kept // oldest first
}

// kept is one event of a tenant's window and when it came into it.
type kept struct {
	t  *tenantFeed
	d  *delivery
	at time.Time
}

// keptOverhead is about what an event takes beside its data: its attributes, and
// its data once more, as encoded.
const keptOverhead = 1 << 10

func (k kept) size() int { return 2*len(k.d.ev.Data) + keptOverhead }

// add puts a tenant's newest event into its window.
func (r *recent) add(t *tenantFeed, d *delivery, now time.Time) {
	if r.limit == 0 {
		t.base = d.cursor.Seq
		return
	}
	t.window = append(t.window, d)
	k := kept{t, d, now}
	r.order = append(r.order, k)
	r.bytes += k.size()
	r.trim(now)
}

// prepend puts what lies directly before a tenant's window into it. It is the
// first to go again.
func (r *recent) prepend(t *tenantFeed, ds []*delivery, base uint64, now time.Time) {
	if len(r.order) > 0 {
		now = r.order[0].at
	}
	older := make([]kept, len(ds), len(ds)+len(r.order))
	for i, d := range ds {
		older[i] = kept{t, d, now}
		r.bytes += older[i].size()
	}
	r.order = append(older, r.order...)
	t.window = slices.Concat(ds, t.window)
	t.base = base
	r.trim(now)
}

// trim forgets what is too old or too much.
func (r *recent) trim(now time.Time) {
	for len(r.order) > 0 {
		oldest := r.order[0]
		if r.bytes <= r.limit && now.Sub(oldest.at) <= r.keep {
			return
		}
		r.bytes -= oldest.size()
		r.order[0] = kept{}
		r.order = r.order[1:]
		if t := oldest.t; len(t.window) > 0 && t.window[0] == oldest.d { // else its feed has ended
			t.window[0] = nil
			t.window, t.base = t.window[1:], oldest.d.cursor.Seq
		}
	}
}

// trim forgets what is too old also where nothing new comes.
func (h *hub) trim(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent.trim(now)
}

// recall answers up to n events of the tenants behind after, in the log's order,
// and how far that is everything. false: not all of their windows reach back so
// far.
func (h *hub) recall(tokens []string, after uint64, n int) (ds []*delivery, upto uint64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	windows := make([][]*delivery, 0, len(tokens))
	for i, token := range tokens {
		t := h.tenants[token]
		if t == nil || after < t.base {
			return nil, 0, false
		}
		if i == 0 || t.pos < upto {
			upto = t.pos
		}
		first, _ := slices.BinarySearchFunc(t.window, after, func(d *delivery, after uint64) int {
			if d.cursor.Seq <= after {
				return -1
			}
			return 1
		})
		windows = append(windows, t.window[first:])
	}
	for len(ds) < n {
		next := oldestOf(windows)
		if next < 0 || windows[next][0].cursor.Seq > upto {
			return ds, max(upto, after), true
		}
		ds = append(ds, windows[next][0])
		windows[next] = windows[next][1:]
	}
	return ds, ds[n-1].cursor.Seq, true
}

// oldestOf is the window whose first event is the oldest; -1 if all are empty.
// Tokens of many tenants are rare, so a walk will do.
func oldestOf(windows [][]*delivery) int {
	oldest := -1
	for i, w := range windows {
		if len(w) > 0 && (oldest < 0 || w[0].cursor.Seq < windows[oldest][0].cursor.Seq) {
			oldest = i
		}
	}
	return oldest
}

// covers says whether everything behind seq is in memory, or still to come.
func (h *hub) covers(tokens []string, seq uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, token := range tokens {
		if t := h.tenants[token]; t == nil || seq < t.base {
			return false
		}
	}
	return seq <= h.end
}
