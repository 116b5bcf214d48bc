package objectevent

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// beforeEvent is a before-event under the name that the seed gives it.
//
//	name                topic    asked when              may refuse   waited for
//	sys.userDelete      users    to the trash            yes          always
//	frm.objectToDelete  any      to the trash, without   no           without trash only
//
// A user's deletion without trash, like a purge from it, raises no sys.userDelete:
// "when user is going to be deleted to the trash".
type beforeEvent struct {
	name      string
	topic     string // in lower case; "" = any
	trashOnly bool
	mayRefuse bool
}

// beforeEvents are all there are; where a hook has several that match, the first
// of them is what it is asked.
var beforeEvents = []beforeEvent{
	{name: "sys.userDelete", topic: "users", trashOnly: true, mayRefuse: true},
	{name: "frm.objectToDelete"},
}

// raisedBy says whether a deletion raises the event.
func (b beforeEvent) raisedBy(topic string, mode Mode) bool {
	return (b.topic == "" || b.topic == subject.Fold(topic)) && (!b.trashOnly || mode == ToTrash)
}

// waitedFor says whether the caller waits for hooks of the event: for those that
// may refuse, and where the object disappears, so that they can still read it.
func (b beforeEvent) waitedFor(mode Mode) bool { return b.mayRefuse || mode == WithoutTrash }

func lookupBefore(name string) (beforeEvent, bool) {
	i := slices.IndexFunc(beforeEvents, func(b beforeEvent) bool { return strings.EqualFold(b.name, name) })
	if i < 0 {
		return beforeEvent{}, false
	}
	return beforeEvents[i], true
}

// Bounds of a hook.
const (
	minHookTimeout     = 50 * time.Millisecond
	maxHookTimeout     = maxBudget
	defaultHookTimeout = 2 * time.Second
	maxHookTopics      = 64
	maxHookURL         = 2048
)

// hook is a handler that was registered, as the bucket keeps it.
type hook struct {
	Name     string        `json:"name"`
	Events   []string      `json:"events"`           // as beforeEvents spells them
	Topics   []string      `json:"topics,omitempty"` // in lower case; none = all
	URL      string        `json:"url,omitempty"`    // "" = over NATS
	Timeout  time.Duration `json:"timeout"`          // nanoseconds
	FailOpen bool          `json:"fail_open,omitempty"`
	Disabled bool          `json:"disabled,omitempty"`

	Secrets   []secret  `json:"secrets,omitempty"` // the newest first; none over NATS
	Revision  int32     `json:"revision"`
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`
	UpdatedBy string    `json:"updated_by"`
}

var hookName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

// complete fills in defaults and spells everything in one way. Codes invalid_name,
// invalid_request, invalid_topic, unknown_name, target_forbidden.
func (h *hook) complete(t *targets) error {
	if !hookName.MatchString(h.Name) {
		return fault.Field(fault.InvalidName, "name", "%.64q must be 1 to 63 letters, digits, - and _", h.Name)
	}
	if len(h.Events) == 0 {
		return fault.Field(fault.InvalidRequest, "events", "at least one of %s", beforeNames())
	}
	var events []string
	for _, name := range h.Events {
		b, ok := lookupBefore(name)
		if !ok {
			return fault.Field(fault.UnknownName, "events", "%.64q is not one of %s", name, beforeNames())
		}
		if !slices.Contains(events, b.name) {
			events = append(events, b.name)
		}
	}
	h.Events = events
	if len(h.Topics) > maxHookTopics {
		return fault.Field(fault.InvalidRequest, "topics", "%d are above the maximum of %d", len(h.Topics), maxHookTopics)
	}
	var topics []string
	for _, topic := range h.Topics {
		if err := subject.CheckTopic(topic); err != nil {
			return err
		}
		if topic = subject.Fold(topic); !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	h.Topics = topics
	if h.Timeout == 0 {
		h.Timeout = defaultHookTimeout
	}
	if h.Timeout < minHookTimeout || h.Timeout > maxHookTimeout {
		return fault.Field(fault.InvalidRequest, "timeout", "%s is outside %s to %s", h.Timeout, minHookTimeout, maxHookTimeout)
	}
	if h.URL == "" {
		h.Secrets = nil
		return nil
	}
	return checkURL(h.URL, t)
}

func beforeNames() string {
	var names []string
	for _, b := range beforeEvents {
		names = append(names, b.name)
	}
	return strings.Join(names, ", ")
}

// checkURL refuses what could never be called. What a name resolves to is seen when
// it is dialled, each time: it may be another address by then.
func checkURL(text string, t *targets) error {
	invalid := func(rule string) error { return fault.Field(fault.InvalidRequest, "url", "%s", rule) }
	u, err := url.Parse(text)
	switch {
	case len(text) > maxHookURL:
		return invalid("is above 2048 bytes")
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return invalid("must be like https://host/path")
	case u.Scheme != "https" && u.Scheme != "http":
		return invalid("must begin with https://")
	case u.User != nil:
		return invalid("must hold no user and password: calls are signed")
	case u.Fragment != "":
		return invalid("must hold no fragment")
	}
	return t.checkHost(u)
}

// asks is what a deletion makes this hook be asked, ok = false for nothing.
func (h *hook) asks(topic string, mode Mode) (b beforeEvent, ok bool) {
	if h.Disabled || len(h.Topics) > 0 && !slices.Contains(h.Topics, subject.Fold(topic)) {
		return b, false
	}
	for _, b := range beforeEvents {
		if slices.Contains(h.Events, b.name) && b.raisedBy(topic, mode) {
			return b, true
		}
	}
	return b, false
}
