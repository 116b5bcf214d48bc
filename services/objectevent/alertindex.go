package objectevent

import (
	"cmp"
	"slices"

	"cel.dev/cel-go/common/operators"
)

// alertIndex is the rules about one kind of change of one topic, arranged so that a
// change meets few of them: a rule that needs a value to be one of some constants, or
// above or below a number, is found by the value, a rule with other needs is held
// against those, and only what is left is asked in CEL. An expression that several
// rules have in them is asked once for all.
type alertIndex struct {
	rules []*compiledAlert // by name
	needs [][]indexed      // of each rule
	paths []path           // that needs look at, each once
	asked []*expression    // of each path: what computes its value, nil = it is there
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
	slot   int
	either [][]indexed
}

// newAlertIndex arranges rules, which are in order of their names.
func newAlertIndex(rules []*compiledAlert) *alertIndex {
	x := &alertIndex{rules: rules, needs: make([][]indexed, len(rules)), named: map[string][]int{}}
	m := maker{x, map[path]int{}, map[path]int{}}
	for _, r := range rules {
		m.count(r.needs)
	}
	for i, r := range rules {
		x.needs[i] = m.indexed(r.needs)
		x.place(i)
	}
	for i := range x.slots {
		x.slots[i].above.sort()
		x.slots[i].below.sort()
	}
	return x
}

// maker makes an index.
type maker struct {
	x     *alertIndex
	uses  map[path]int // of computed paths
	slots map[path]int
}

func (m maker) count(needs []need) {
	for i := range needs {
		if needs[i].computed != nil {
			m.uses[needs[i].path]++
		}
		for _, alternative := range needs[i].either {
			m.count(alternative)
		}
	}
}

// indexed gives needs their slots. What is computed for one rule alone is left to the
// rule itself, and so is a need of which one alternative needs nothing then.
func (m maker) indexed(needs []need) (list []indexed) {
	for _, n := range needs {
		with := indexed{need: n}
		ok := true
		switch {
		case n.either != nil:
			for _, alternative := range n.either {
				some := m.indexed(alternative)
				with.either, ok = append(with.either, some), ok && len(some) > 0
			}
		case n.computed != nil && m.uses[n.path] < 2:
			ok = false
		default:
			with.slot, ok = m.slot(&n)
		}
		if ok {
			list = append(list, with)
		}
	}
	return list
}

// slot is that of a need's path, a new one if need be.
func (m maker) slot(n *need) (int, bool) {
	if slot, known := m.slots[n.path]; known {
		return slot, true
	}
	var asked *expression
	if n.computed != nil {
		var err error
		if asked, err = n.computed.program(); err != nil {
			return 0, false
		}
	}
	slot := len(m.x.paths)
	m.slots[n.path] = slot
	m.x.paths, m.x.asked, m.x.slots = append(m.x.paths, n.path), append(m.x.asked, asked), append(m.x.slots, slotIndex{})
	return slot, true
}

func (l limits) sort() {
	slices.SortFunc(l, func(a, b limit) int { return cmp.Compare(a.number, b.number) })
}

// place puts a rule where its best need finds it: by a value, by one of several, by a
// limit.
func (x *alertIndex) place(i int) {
	value := func(n *indexed) bool { return n.isValue() }
	limit := func(n *indexed) bool { return n.isLimit() }
	for _, findable := range []func(*indexed) bool{
		value, func(n *indexed) bool { return n.each(value) },
		limit, func(n *indexed) bool { return n.each(func(n *indexed) bool { return n.isValue() || n.isLimit() }) },
	} {
		if n := first(x.needs[i], findable); n != nil {
			x.placeBy(n, i)
			return
		}
	}
	for _, n := range x.needs[i] {
		if n.path.root == varChanged && n.op == operators.In {
			x.named[n.keys[0].text] = append(x.named[n.keys[0].text], i)
			return
		}
	}
	x.scan = append(x.scan, i)
}

func first(needs []indexed, findable func(*indexed) bool) *indexed {
	if j := slices.IndexFunc(needs, func(n indexed) bool { return findable(&n) }); j >= 0 {
		return &needs[j]
	}
	return nil
}

// each says that all alternatives of a need can be found.
func (n *indexed) each(findable func(*indexed) bool) bool {
	return n.either != nil && !slices.ContainsFunc(n.either, func(alternative []indexed) bool { return first(alternative, findable) == nil })
}

func (x *alertIndex) placeBy(n *indexed, rule int) {
	if n.either == nil {
		x.slots[n.slot].place(&n.need, rule)
		return
	}
	for _, alternative := range n.either {
		found := first(alternative, func(n *indexed) bool { return n.isValue() })
		if found == nil {
			found = first(alternative, func(n *indexed) bool { return n.isLimit() })
		}
		x.placeBy(found, rule)
	}
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
		if e := x.asked[i]; e != nil {
			list[i] = c.computed(e)
		} else {
			list[i] = c.look(p)
		}
	}
	return list
}

// fails says that one of a rule's needs certainly is false.
func (x *alertIndex) fails(rule int, c *change, found []found) bool {
	return anyFails(x.needs[rule], c, found)
}

func anyFails(needs []indexed, c *change, found []found) bool {
	for i := range needs {
		if needs[i].fails(c, found) {
			return true
		}
	}
	return false
}

// fails says that a need certainly is false: one with alternatives, if each is.
func (n *indexed) fails(c *change, found []found) bool {
	if n.either == nil {
		return n.need.fails(c, &found[n.slot])
	}
	for _, alternative := range n.either {
		if !anyFails(alternative, c, found) {
			return false
		}
	}
	return true
}
