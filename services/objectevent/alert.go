package objectevent

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// onName is a kind of change as rules name it.
type onName string

// The kinds of change, and the verbs that tell them. A change by another verb
// ("status", "deleting") sets no rule off.
const (
	onInsert onName = "insert" // created; also what comes back from the trash
	onUpdate onName = "update" // updated
	onDelete onName = "delete" // deleted; also what goes to the trash
)

var onVerbs = map[string]onName{created: onInsert, updated: onUpdate, deleted: onDelete}

// Bounds of a rule.
const (
	maxAlertTopics    = 16
	maxAlertCondition = 4096
	maxAlertMessage   = 2048
	maxAlertThrottle  = 24 * time.Hour // EVENTS keeps the records of alerts for longer than that
	maxAlertDocument  = 512 << 10      // bytes of all rules of a tenant
)

const (
	defaultAlertVerb     = "raised"
	defaultAlertSeverity = "warning"
)

var (
	alertSeverities = []string{"info", "warning", "critical"}
	alertName       = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)
)

// alertRule is a rule as it is kept. Everything in it but Since is decided before it
// is stored; Since is where it was stored.
type alertRule struct {
	Name       string        `json:"name"`
	Topics     []string      `json:"topics"` // in lower case
	On         []onName      `json:"on"`
	Condition  string        `json:"condition,omitempty"` // CEL; "" = always
	Target     string        `json:"target"`              // topic of its alerts, as it was spelled
	TargetVerb string        `json:"target_verb"`
	Message    string        `json:"message,omitempty"`
	Severity   string        `json:"severity"`
	Throttle   time.Duration `json:"throttle,omitempty"` // nanoseconds; 0 = none
	Disabled   bool          `json:"disabled,omitempty"`
	Reason     string        `json:"reason,omitempty"` // why it was disabled, if nobody did it

	Revision  int32     `json:"revision"`
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`
	UpdatedBy string    `json:"updated_by"`
	Born      uint64    `json:"born,omitempty"`  // sequence of the record that first set it
	Since     string    `json:"since,omitempty"` // cursor of the record that made it what it is
}

// complete fills in defaults and spells everything in one way. What needs the
// expressions is compileAlert's, what needs the other rules findLoop's. Codes
// invalid_rule, invalid_name, invalid_topic, invalid_verb.
func (r *alertRule) complete() error {
	if !alertName.MatchString(r.Name) {
		return fault.Field(fault.InvalidName, "name", "%.64q must be 1 to 63 letters, digits, - and _", r.Name)
	}
	if err := r.completeTopics(); err != nil {
		return err
	}
	if err := r.completeOn(); err != nil {
		return err
	}
	if err := subject.CheckTopic(r.Target); err != nil {
		return fault.Field(fault.InvalidTopic, "targetTopic", "%s", fault.From(err).Error())
	}
	if r.TargetVerb == "" {
		r.TargetVerb = defaultAlertVerb
	}
	if err := subject.CheckVerb(r.TargetVerb); err != nil {
		return fault.Field(fault.InvalidVerb, "targetVerb", "%s", fault.From(err).Error())
	}
	if r.Severity == "" {
		r.Severity = defaultAlertSeverity
	}
	switch {
	case !slices.Contains(alertSeverities, r.Severity):
		return fault.Field(fault.InvalidRule, "severity", "%.64q is not one of %s", r.Severity, strings.Join(alertSeverities, ", "))
	case r.Throttle < 0 || r.Throttle > maxAlertThrottle:
		return fault.Field(fault.InvalidRule, "throttle", "%s is outside 0s to %s", r.Throttle, maxAlertThrottle)
	case len(r.Condition) > maxAlertCondition:
		return fault.Field(fault.InvalidRule, "condition", "%d bytes are above the maximum of %d", len(r.Condition), maxAlertCondition)
	case len(r.Message) > maxAlertMessage:
		return fault.Field(fault.InvalidRule, "message", "%d bytes are above the maximum of %d", len(r.Message), maxAlertMessage)
	}
	return nil
}

func (r *alertRule) completeTopics() error {
	if len(r.Topics) == 0 || len(r.Topics) > maxAlertTopics {
		return fault.Field(fault.InvalidRule, "topics", "%d are not 1 to %d", len(r.Topics), maxAlertTopics)
	}
	var topics []string
	for _, topic := range r.Topics {
		if err := subject.CheckTopic(topic); err != nil {
			return fault.Field(fault.InvalidTopic, "topics", "%s", fault.From(err).Error())
		}
		if topic = subject.Fold(topic); !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	r.Topics = topics
	return nil
}

// completeOn: the seed has alerts "on Insert and Update activity"; they are what a
// rule that does not say otherwise watches.
func (r *alertRule) completeOn() error {
	if len(r.On) == 0 {
		r.On = []onName{onInsert, onUpdate}
	}
	var on []onName
	for _, o := range r.On {
		o = onName(strings.ToLower(string(o)))
		switch {
		case o != onInsert && o != onUpdate && o != onDelete:
			return fault.Field(fault.InvalidRule, "on", "%.64q is not one of insert, update, delete", string(o))
		case !slices.Contains(on, o):
			on = append(on, o)
		}
	}
	r.On = on
	return nil
}

// watches says whether a rule is about changes of this kind.
func (r *alertRule) watches(topic string, on onName) bool {
	return slices.Contains(r.Topics, topic) && slices.Contains(r.On, on)
}
