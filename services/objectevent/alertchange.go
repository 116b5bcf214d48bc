package objectevent

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
)

// change is one event as rules see it. It is decoded once, and only as far as some
// rule asks; numbers are doubles, as in JSON.
type change struct {
	event.Event
	at     event.Cursor
	stored time.Time
	topic  string // in lower case
	on     onName
	verb   string // in lower case

	doc      *event.Change
	old, new map[string]any
	changed  []string // sorted
	decoded  bool
	spent    uint64 // of changeCost, by the rules that were asked
	weighed  bool
	light    bool // see small
	values   map[string]ref.Val
}

// newChange reads an event of the log. on is "" for one that tells no change.
func newChange(m relay.Message) *change {
	return changeOf(event.Decode(m.Subject, m.Header, m.Data, event.Stored{Cursor: m.At, Time: m.Stored}), m.At, m.Stored)
}

func changeOf(e event.Event, at event.Cursor, stored time.Time) *change {
	verb := subject.Fold(e.Verb)
	return &change{Event: e, at: at, stored: stored, topic: subject.Fold(e.Topic), verb: verb, on: onVerbs[verb], values: map[string]ref.Val{}}
}

// small says that no value of the change, nor all of them together, has more than
// quickBytes. What is no text in UTF-8 grows when it is read.
func (c *change) small() bool {
	if !c.weighed {
		n := len(c.Data)
		for _, s := range []string{c.Tenant, c.Topic, c.Verb, c.Subject, c.SenderUser, c.SenderDevice, c.SenderFeature} {
			n += len(s)
		}
		c.weighed, c.light = true, n <= quickBytes && utf8.Valid(c.Data)
	}
	return c.light
}

// told is the document of the change.
func (c *change) told() *event.Change {
	if c.doc == nil {
		doc := c.Event.Change()
		c.doc = &doc
	}
	return c.doc
}

// object is the id of what was changed.
func (c *change) object() string { return c.told().Resource.ID }

// decode reads old and new, and what of them differs.
func (c *change) decode() {
	if c.decoded {
		return
	}
	c.decoded = true
	d := c.told()
	c.old, c.new = valuesOf(d.Old), valuesOf(d.New)
	if d.Old == nil && c.on == onDelete {
		c.old, c.new = c.new, map[string]any{} // a bare document of a deletion is what there was
	}
	for name, v := range c.new {
		if was, ok := c.old[name]; !ok || !reflect.DeepEqual(was, v) {
			c.changed = append(c.changed, name)
		}
	}
	for name := range c.old {
		if _, ok := c.new[name]; !ok {
			c.changed = append(c.changed, name)
		}
	}
	slices.Sort(c.changed)
}

func valuesOf(raw json.RawMessage) map[string]any {
	values := map[string]any{}
	if len(raw) > 0 {
		if json.Unmarshal(raw, &values) != nil {
			return map[string]any{}
		}
	}
	return values
}

// ResolveName implements CEL's Activation.
func (c *change) ResolveName(name string) (any, bool) {
	if v, ok := c.values[name]; ok {
		return v, true
	}
	v, ok := c.resolve(name)
	if ok {
		c.values[name] = v
	}
	return v, ok
}

// Parent implements CEL's Activation.
func (*change) Parent() cel.Activation { return nil }

func (c *change) resolve(name string) (ref.Val, bool) {
	switch name {
	case varOld:
		c.decode()
		return celMap(c.old), true
	case varNew:
		c.decode()
		return celMap(c.new), true
	case varChanged:
		c.decode()
		return types.NewStringList(types.DefaultTypeAdapter, c.changed), true
	case varUser:
		return types.String(c.told().Actor.User), true
	case varDevice:
		return types.String(c.told().Actor.Device), true
	case varFeature:
		return types.String(c.told().Actor.Feature), true
	case varObject:
		return types.String(c.object()), true
	case varTopic:
		return types.String(c.topic), true
	case varTenant:
		return types.String(c.Tenant), true
	case varOn:
		return types.String(c.on), true
	case varTime:
		return types.Timestamp{Time: c.Time}, true
	}
	return nil, false
}

// celMap turns a JSON object into CEL's values once, instead of at every look.
func celMap(values map[string]any) ref.Val {
	converted := make(map[ref.Val]ref.Val, len(values))
	for name, v := range values {
		converted[types.String(name)] = celValue(v)
	}
	return types.NewRefValMap(types.DefaultTypeAdapter, converted)
}

func celValue(v any) ref.Val {
	switch v := v.(type) {
	case nil:
		return types.NullValue
	case bool:
		return types.Bool(v)
	case float64:
		return types.Double(v)
	case string:
		return types.String(v)
	case map[string]any:
		return celMap(v)
	case []any:
		list := make([]ref.Val, len(v))
		for i := range v {
			list[i] = celValue(v[i])
		}
		return types.NewRefValList(types.DefaultTypeAdapter, list)
	}
	return types.NewErr("a value that JSON does not have")
}

// differing are the values of a side that differ, as raw as they came.
func (c *change) differing(side map[string]any, limit int) (part map[string]any, cut bool) {
	part = map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(side)) {
		if _, found := slices.BinarySearch(c.changed, name); !found {
			continue
		}
		text, err := json.Marshal(side[name])
		if err != nil || len(name)+len(text) > limit {
			cut = true
			continue
		}
		limit -= len(name) + len(text)
		part[name] = json.RawMessage(text)
	}
	return part, cut
}
