package objectevent

import (
	"cmp"
	"slices"

	"cel.dev/cel-go/common/operators"
)

// alertIndex is the rules about one kind of change of one topic, arranged so that a
// change meets few of them: a rule that needs a value to be one of some constants, or
// above or below a number, is found by the value, a rule with other needs is held
// against those, and only what is left is asked in CEL.
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
	above   limits // rules that need a number above theirs, or equal to it
	below   limits
	all     []int // of these
	exposed []int // those for which having no value is an error: they must be asked
}

// limits are numbers, lowest first, with the rule that has each.
type limits []limit

type limit struct {
	number float64
	rule   int
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
	for i := range x.slots {
		x.slots[i].above.sort()
		x.slots[i].below.sort()
	}
	return x
}

func (l limits) sort() {
	slices.SortFunc(l, func(a, b limit) int { return cmp.Compare(a.number, b.number) })
}

// place puts a rule where its best need finds it.
func (x *alertIndex) place(i int) {
	for _, findable := range []func(*need) bool{(*need).isValue, (*need).isLimit} {
		for j := range x.needs[i] {
			if n := &x.needs[i][j]; findable(&n.need) {
				x.slots[n.slot].place(&n.need, i)
				return
			}
		}
	}
	for _, n := range x.needs[i] {
		if n.path.root == varChanged {
			x.named[n.keys[0].text] = append(x.named[n.keys[0].text], i)
			return
		}
	}
	x.scan = append(x.scan, i)
}

// isValue says that a need is one of constants.
func (n *need) isValue() bool {
	return n.path.root != varChanged && (n.op == operators.Equals || n.op == operators.In)
}

// isLimit says that a need is above or below a number.
func (n *need) isLimit() bool {
	switch n.op {
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return n.keys[0].kind == 'n'
	}
	return false
}

func (s *slotIndex) place(n *need, rule int) {
	s.all = append(s.all, rule)
	if !n.sheltered {
		s.exposed = append(s.exposed, rule)
	}
	switch n.op {
	case operators.Greater, operators.GreaterEquals:
		s.above = append(s.above, limit{n.keys[0].num, rule})
		return
	case operators.Less, operators.LessEquals:
		s.below = append(s.below, limit{n.keys[0].num, rule})
		return
	}
	if s.byValue == nil {
		s.byValue = map[scalar][]int{}
	}
	for k, key := range n.keys {
		if !slices.Contains(n.keys[:k], key) {
			s.byValue[key] = append(s.byValue[key], rule)
		}
	}
}

// find visits the rules that a value may fulfil.
func (s *slotIndex) find(f *found, visit func(rule int)) {
	visitAll := func(rules []int) {
		for _, rule := range rules {
			visit(rule)
		}
	}
	switch {
	case f.presence == absent:
		visitAll(s.exposed)
		return
	case f.presence != there || f.kind == 0: // an error, or something that only CEL compares
		visitAll(s.all)
		return
	}
	visitAll(s.byValue[f.scalar])
	if f.kind != 'n' { // compared with a number, it is an error
		for _, l := range s.above {
			visit(l.rule)
		}
		for _, l := range s.below {
			visit(l.rule)
		}
		return
	}
	for _, l := range s.above {
		if l.number > f.num {
			break
		}
		visit(l.rule)
	}
	for _, l := range slices.Backward(s.below) {
		if l.number < f.num {
			break
		}
		visit(l.rule)
	}
}

// candidates are the rules that a change may fulfil, in order of their names.
func (x *alertIndex) candidates(c *change, found []found) []int {
	list := make([]int, 0, 16)
	add := func(rule int) {
		if !x.fails(rule, c, found) {
			list = append(list, rule)
		}
	}
	for _, rule := range x.scan {
		add(rule)
	}
	for slot := range x.slots {
		x.slots[slot].find(&found[slot], add)
	}
	if len(x.named) > 0 {
		c.decode()
		for _, name := range c.changed {
			for _, rule := range x.named[name] {
				add(rule)
			}
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
