package objectevent

import (
	"cmp"
	"slices"
	"strings"

	"cel.dev/cel-go/common/operators"
)

// presence is whether there is a value at a path.
type presence byte

const (
	there   presence = iota
	absent           // what would hold it is an object, and does not have it
	nowhere          // there is not even what would hold it
)

// found is what a change has at a path.
type found struct {
	presence
	scalar // kind 0: something that is compared by CEL only
}

// at looks a path up.
func (c *change) look(p path) found {
	switch p.root {
	case varOld, varNew:
		c.decode()
		values := c.old
		if p.root == varNew {
			values = c.new
		}
		return lookUp(values, p.names())
	case varUser:
		return textFound(c.told().Actor.User)
	case varDevice:
		return textFound(c.told().Actor.Device)
	case varFeature:
		return textFound(c.told().Actor.Feature)
	case varObject:
		return textFound(c.object())
	case varTopic:
		return textFound(c.topic)
	case varTenant:
		return textFound(c.Tenant)
	case varOn:
		return textFound(string(c.on))
	}
	return found{presence: nowhere}
}

func textFound(s string) found { return found{scalar: scalar{kind: 's', text: s}} }

func lookUp(values map[string]any, names []string) found {
	if len(names) == 0 {
		return found{} // the object itself
	}
	for i, name := range names {
		v, ok := values[name]
		switch {
		case !ok && i == len(names)-1:
			return found{presence: absent}
		case !ok:
			return found{presence: nowhere}
		case i == len(names)-1:
			return found{scalar: scalarValue(v)}
		}
		if values, ok = v.(map[string]any); !ok {
			return found{presence: nowhere}
		}
	}
	return found{presence: nowhere}
}

func scalarValue(v any) scalar {
	switch v := v.(type) {
	case string:
		return scalar{kind: 's', text: v}
	case float64:
		return scalar{kind: 'n', num: v}
	case bool:
		if v {
			return scalar{kind: 'b', num: 1}
		}
		return scalar{kind: 'b'}
	}
	return scalar{}
}

// fails says that a need, which has no alternatives, is certainly false. What CEL would
// call an error is not: then it must say so itself.
func (n *need) fails(c *change, f *found) bool {
	if n.path.root == varChanged {
		c.decode()
		_, in := slices.BinarySearch(c.changed, n.keys[0].text)
		return in == (n.op == notInOp)
	}
	switch n.op {
	case hasOp:
		return f.presence == absent
	case hasNotOp:
		return f.presence == there
	}
	switch f.presence {
	case absent:
		return n.sheltered
	case nowhere:
		return false
	}
	switch n.op {
	case operators.In:
		return f.kind != 0 && !slices.Contains(n.keys, f.scalar)
	case notInOp:
		return slices.Contains(n.keys, f.scalar)
	case operators.Equals:
		return f.kind != 0 && f.scalar != n.keys[0]
	case operators.NotEquals:
		return f.scalar == n.keys[0]
	}
	if f.kind != n.keys[0].kind || f.kind == 0 {
		return false // an error, or for CEL to compare
	}
	switch n.op {
	case isOp:
		return f.scalar != n.keys[0]
	case beginsOp:
		return !strings.HasPrefix(f.text, n.keys[0].text)
	case endsOp:
		return !strings.HasSuffix(f.text, n.keys[0].text)
	case holdsOp:
		return !strings.Contains(f.text, n.keys[0].text)
	}
	return n.outOfOrder(f.scalar)
}

// outOfOrder says that a value is not above or below the constant as it must be.
func (n *need) outOfOrder(v scalar) bool {
	order := cmp.Compare(v.num, n.keys[0].num)
	if v.kind == 's' {
		order = strings.Compare(v.text, n.keys[0].text)
	}
	switch n.op {
	case operators.Less:
		return order >= 0
	case operators.LessEquals:
		return order > 0
	case operators.Greater:
		return order <= 0
	case operators.GreaterEquals:
		return order < 0
	}
	return false
}
