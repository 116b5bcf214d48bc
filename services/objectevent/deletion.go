package objectevent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// DeletionsBucket keeps every deletion that was asked about beforehand: deletion
// id → Deletion, as JSON. An entry goes after deletionsKept.
const DeletionsBucket = "belfry_deletions"

// deletionsKept is as long as operations are told apart by their ids: whoever
// reports a deletion that late learns what was decided, not that nobody knows it.
const deletionsKept = 7 * 24 * time.Hour

// Mode is how an object is about to be deleted.
type Mode string

// The modes.
const (
	ToTrash      Mode = "trash"            // it can be restored from there
	WithoutTrash Mode = event.ActionDelete // it disappears
)

// Verdict is what became of the question whether an object may be deleted.
type Verdict string

// The verdicts.
const (
	Asking  Verdict = "asking"  // hooks are being asked
	Allowed Verdict = "allowed" // the operation may follow
	Refused Verdict = "refused" // a hook said no; nothing may follow
)

// Deletion is one question whether an object may be deleted, and its answer: what
// an operation that names a deletion id is checked against.
type Deletion struct {
	Tenant string `json:"tenant"`
	Topic  string `json:"topic"` // as the caller spelled it; compare after subject.Fold
	Object string `json:"object"`
	Mode   Mode   `json:"mode"`

	Verdict Verdict `json:"verdict"`
	By      string  `json:"by,omitempty"`     // the hook that refused
	Reason  string  `json:"reason,omitempty"` // why, in its words
	// Answers are the hooks that were asked, and what they said until the verdict.
	Answers []Answer `json:"answers,omitempty"`

	Asked   time.Time `json:"asked"`
	Until   time.Time `json:"until"`   // nobody is asked any longer; who is still at Asking then has died
	Expires time.Time `json:"expires"` // an operation that names it must have been reported by then
	From    string    `json:"from"`    // cursor of the log when it was noted: its event comes after
	Cursor  string    `json:"cursor"`  // of its deleting event; "" while it is not known to be stored

	// Within is the deletion whose hook asks for this one, Chain the objects of
	// that and of those before it: how a circle is seen.
	Within string   `json:"within,omitempty"`
	Chain  []string `json:"chain,omitempty"`
}

// deletionID names a deletion: of the same tenant and request, the same id on
// every replica.
func deletionID(tenant, request string) string {
	if request == "" {
		request = event.NewID()
	}
	return "del-" + digest(tenant, request)
}

// thing names an object among all tenants, in one token.
func thing(tenant, topic, object string) string {
	return digest(tenant, subject.Fold(topic), object)
}

// digest is the first 128 bits of SHA-256 over the parts, none of which can run
// into the next: each has its length before it.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p) // a hash never fails
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// deletions reads and writes the bucket.
type deletions struct{ kept *bucket }

func newDeletions(js jetstream.JetStream) deletions {
	return deletions{newBucket(js, DeletionsBucket)}
}

// find reads a deletion and its revision. Codes deletion_unknown, invalid_name,
// unavailable.
func (d deletions) find(ctx context.Context, id string) (found Deletion, revision uint64, err error) {
	key, err := subject.Escape("deletionId", id)
	if err != nil {
		return found, 0, err
	}
	if revision, err = d.kept.get(ctx, key, &found); err == nil && revision == 0 {
		err = unknownDeletion(id)
	}
	return found, revision, err
}

// put writes a deletion over the one of that revision, 0 = there is none. Codes
// conflict (it is another revision), unavailable.
func (d deletions) put(ctx context.Context, id string, v Deletion, revision uint64) (uint64, error) {
	return d.kept.put(ctx, id, v, revision, deletionsKept)
}

func unknownDeletion(id string) error {
	return fault.Field(fault.DeletionUnknown, "deletionId", "%.64q was not given by BeforeDelete, or is older than %s", id, deletionsKept)
}

// check says whether an operation that was reported at that time may name this
// deletion. nil: a hook, or nobody, had anything against it. Codes
// deletion_unknown, deletion_refused, deletion_expired, invalid_request (it was
// asked about another object or mode), unavailable.
func (d deletions) check(ctx context.Context, id, tenant, topic, object string, mode Mode, reported time.Time) (Deletion, error) {
	found, _, err := d.find(ctx, id)
	if err != nil {
		return found, err
	}
	return found, found.permits(id, tenant, topic, object, mode, reported)
}

// permits is check of a deletion that was found.
func (v Deletion) permits(id, tenant, topic, object string, mode Mode, reported time.Time) error {
	switch {
	case v.Tenant != tenant: // whose it is, is nobody else's business
		return unknownDeletion(id)
	case subject.Fold(v.Topic) != subject.Fold(topic) || v.Object != object:
		return fault.Field(fault.InvalidRequest, "deletionId", "was given for %.64q of %.64q, not for %.64q of %.64q", v.Object, v.Topic, object, topic)
	case v.Mode != mode:
		return fault.Field(fault.InvalidRequest, "deletionId", "was given for %q, not for %q", v.Mode, mode)
	case v.Verdict == Refused:
		return fault.Field(fault.DeletionRefused, "deletionId", "the hook %q refused it: %s", v.By, v.Reason)
	case v.Verdict != Allowed:
		return fault.Field(fault.DeletionPending, "deletionId", "hooks are still being asked")
	case reported.After(v.Expires):
		return fault.Field(fault.DeletionExpired, "deletionId", "held until %s; ask again", v.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// Answer is what one hook said.
type Answer struct {
	Hook    string  `json:"hook"`
	Event   string  `json:"event"` // the name it was asked under: sys.userDelete
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"` // in its words; of a failure, ours
	Millis  float64 `json:"millis"`           // how long it took
}

// Outcome is how the call of a hook ended.
type Outcome string

// The outcomes. All but the first two are failures: the hook's policy decides.
const (
	SaidYes    Outcome = "allowed"
	SaidNo     Outcome = "refused"
	TimedOut   Outcome = "timeout"      // no answer within its time
	Absent     Outcome = "unreachable"  // nobody listens, no connection
	Garbage    Outcome = "bad_answer"   // an answer that is none
	CutOff     Outcome = "circuit_open" // not asked: it failed too often just before
	Informed   Outcome = "informed"     // it was told and cannot refuse
	NotAllowed Outcome = "forbidden"    // an address that must not be called
)
