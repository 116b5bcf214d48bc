package objectevent

import (
	"slices"

	"cel.dev/cel-go/common/operators"
)

// alertIndex is the rules about one kind of change of one topic, arranged so that a
// change meets few of them: a rule that needs a value to be one of some constants is
// found by the value, a rule with other needs is held against those, and only what is
// left is asked in CEL.
type alertIndex struct {
	rules []*compiledAlert // by name
	needs [][]indexed      // of each rule
	paths []path           // that needs look at, each once
	slots []slotIndex      // one for each path
	scan  []int            // rules that no value finds
	named map[string][]int // rules that need a member to be among the changed
}

// slotIndex finds rules by the value at one path.
type slotIndex struct {
	byValue map[scalar][]int
	exposed []int // rules for which having no value there is an error: they must be asked
}

// indexed is a need with the slot of its path.
type indexed struct {
	need
	slot int
}

// newAlertIndex arranges rules, which are in order of their names.
func newAlertIndex(rules []*compiledAlert) *alertIndex {
	x := &alertIndex{rules: rules, needs: make([][]indexed, len(rules)), named: map[string][]int{}}
	slots := map[path]int{}
	for i, r := range rules {
		for _, n := range r.needs {
			slot, known := slots[n.path]
			if !known {
				slot = len(x.paths)
				slots[n.path] = slot
				x.paths, x.slots = append(x.paths, n.path), append(x.slots, slotIndex{})
			}
			x.needs[i] = append(x.needs[i], indexed{n, slot})
		}
		x.place(i)
	}
	return x
}

// place puts a rule where its best need finds it.
func (x *alertIndex) place(i int) {
	for _, n := range x.needs[i] {
		if n.path.root == varChanged || n.op != operators.Equals && n.op != operators.In {
			continue
		}
		s := &x.slots[n.slot]
		if s.byValue == nil {
			s.byValue = map[scalar][]int{}
		}
		for k, key := range n.keys {
			if !slices.Contains(n.keys[:k], key) {
				s.byValue[key] = append(s.byValue[key], i)
			}
		}
		if !n.sheltered {
			s.exposed = append(s.exposed, i)
		}
		return
	}
	for _, n := range x.needs[i] {
		if n.path.root == varChanged {
			x.named[n.keys[0].text] = append(x.named[n.keys[0].text], i)
			return
		}
	}
	x.scan = append(x.scan, i)
}

// candidates are the rules that a change may fulfil, in order of their names.
func (x *alertIndex) candidates(c *change, found []found) []int {
	list := make([]int, 0, 16)
	add := func(some []int) {
		for _, i := range some {
			if !x.fails(i, c, found) {
				list = append(list, i)
			}
		}
	}
	add(x.scan)
	for slot := range x.slots {
		s := &x.slots[slot]
		switch {
		case s.byValue == nil:
		case found[slot].presence == absent:
			add(s.exposed)
		case found[slot].presence == there && found[slot].kind != 0:
			add(s.byValue[found[slot].scalar])
		default: // an error, or something that only CEL compares
			for _, some := range s.byValue {
				add(some)
			}
		}
	}
	if len(x.named) > 0 {
		c.decode()
		for _, name := range c.changed {
			add(x.named[name])
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// look is what a change has at each path of the index.
func (x *alertIndex) look(c *change) []found {
	list := make([]found, len(x.paths))
	for i, p := range x.paths {
		list[i] = c.look(p)
	}
	return list
}

// fails says that one of a rule's needs certainly is false.
func (x *alertIndex) fails(rule int, c *change, found []found) bool {
	for i := range x.needs[rule] {
		n := &x.needs[rule][i]
		if n.fails(c, &found[n.slot]) {
			return true
		}
	}
	return false
}
