package objectevent

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
)

// need is one of the conditions that a rule's condition joins with &&, where it is
// simple enough to be decided without CEL: a value held against constants. In CEL
// "false && x" is false whatever x is, an error too, so a rule one of whose needs is
// certainly false need not be asked. A need with alternatives, a || b, is certainly
// false if each of them is.
type need struct {
	path      path
	op        string   // of operators, or one of those below
	keys      []scalar // constants: one, or for In any number
	sheltered bool     // has(path) is among the rule's conditions: without a value it is false
	either    [][]need // of operators.LogicalOr: the needs of each alternative
	computed  *part    // of a path under computedRoot
}

// Needs that are no operators of CEL.
const (
	hasOp    = "has"      // there is a value
	hasNotOp = "!has"     // there is none
	isOp     = "is"       // it is the key, true or false, and an error if it is neither
	notInOp  = "!in"      // it is none of keys
	beginsOp = "begins"   // a text begins with the key
	endsOp   = "ends"     // ends with it
	holdsOp  = "contains" // has it inside
)

// needsOf finds the needs of a condition.
func needsOf(a *ast.AST) []need {
	return reader{a}.needs(signed{a.Expr(), true}, nil)
}

// reader takes a condition apart.
type reader struct{ of *ast.AST }

// needs are those of an expression. present are paths that are known to have a value
// where it counts.
func (r reader) needs(e signed, present []path) (all []need) {
	parts := conjuncts(e, nil)
	for _, part := range parts {
		if p, ok := hasNeed(part.Expr); ok && part.is {
			present = append(slices.Clip(present), p)
		}
	}
	for _, part := range parts {
		n, ok := r.needOf(part, present)
		if ok {
			n.sheltered = slices.Contains(present, n.path)
			all = append(all, n)
		}
	}
	return all
}

// signed is an expression that must be true, or must be false.
type signed struct {
	ast.Expr
	is bool
}

// calls says whether it is a call of a function.
func (e signed) calls(function string) bool {
	return e.Kind() == ast.CallKind && e.AsCall().FunctionName() == function
}

// joins says whether it is a || b, or !(a && b).
func (e signed) joins() bool {
	return e.is && e.calls(operators.LogicalOr) || !e.is && e.calls(operators.LogicalAnd)
}

// conjuncts takes a && b apart, and !(a || b).
func conjuncts(e signed, all []signed) []signed {
	switch {
	case e.calls(operators.LogicalNot):
		return conjuncts(signed{e.AsCall().Args()[0], !e.is}, all)
	case e.is && e.calls(operators.LogicalAnd), !e.is && e.calls(operators.LogicalOr):
		for _, arg := range e.AsCall().Args() {
			all = conjuncts(signed{arg, e.is}, all)
		}
		return all
	}
	return append(all, e)
}

// either is a need with alternatives; not ok if one of them needs nothing.
func (r reader) either(e signed, present []path) (need, bool) {
	n := need{op: operators.LogicalOr}
	for _, arg := range e.AsCall().Args() {
		needs := r.needs(signed{arg, e.is}, present)
		if len(needs) == 0 {
			return need{}, false
		}
		n.either = append(n.either, needs)
	}
	return n, true
}

// mirrored is each comparison with its sides exchanged, opposite what it is when it
// must be false. Values that cannot be compared are an error in both.
var (
	mirrored = map[string]string{
		operators.Equals: operators.Equals, operators.NotEquals: operators.NotEquals,
		operators.Less: operators.Greater, operators.LessEquals: operators.GreaterEquals,
		operators.Greater: operators.Less, operators.GreaterEquals: operators.LessEquals,
	}
	opposite = map[string]string{
		operators.Equals: operators.NotEquals, operators.NotEquals: operators.Equals,
		operators.Less: operators.GreaterEquals, operators.LessEquals: operators.Greater,
		operators.Greater: operators.LessEquals, operators.GreaterEquals: operators.Less,
		operators.In: notInOp, hasOp: hasNotOp,
	}
	textOps = map[string]string{overloads.StartsWith: beginsOp, overloads.EndsWith: endsOp, overloads.Contains: holdsOp}
)

// needOf is the need that an expression is. One that is nothing simpler needs its own
// value to be what it must be.
func (r reader) needOf(e signed, present []path) (need, bool) {
	if e.joins() {
		return r.either(e, present)
	}
	n, ok := r.simple(e.Expr)
	if ok && !e.is {
		n.op, ok = opposite[n.op]
	}
	if ok {
		return n, true
	}
	at, part, ok := r.place(e.Expr)
	k := scalar{kind: 'b'}
	if e.is {
		k.num = 1
	}
	return need{path: at, computed: part, op: isOp, keys: []scalar{k}}, ok && at.root != varChanged
}

// simple is has(a.b), a == 1, 1 < a, a in [1, 2], "a" in changed, a.startsWith("b").
func (r reader) simple(e ast.Expr) (need, bool) {
	if p, ok := hasNeed(e); ok {
		return need{path: p, op: hasOp}, true
	}
	if e.Kind() != ast.CallKind {
		return need{}, false
	}
	c := e.AsCall()
	args := c.Args()
	if op, known := textOps[c.FunctionName()]; known && c.IsMemberFunction() && len(args) == 1 {
		k, constant := scalarOf(args[0])
		return r.held(c.Target(), op, constant && k.kind == 's', k)
	}
	if len(args) != 2 {
		return need{}, false
	}
	op := c.FunctionName()
	if op == operators.In {
		return r.in(args[0], args[1])
	}
	other, compares := mirrored[op]
	if !compares {
		return need{}, false
	}
	if k, constant := scalarOf(args[1]); constant {
		return r.held(args[0], op, true, k)
	}
	k, constant := scalarOf(args[0])
	return r.held(args[1], other, constant, k)
}

// held is a value held against constants.
func (r reader) held(e ast.Expr, op string, ok bool, keys ...scalar) (need, bool) {
	if !ok {
		return need{}, false
	}
	at, part, ok := r.place(e)
	return need{path: at, computed: part, op: op, keys: keys}, ok && at.root != varChanged
}

// in is "x" in changed, or value in [constants].
func (r reader) in(element, list ast.Expr) (need, bool) {
	if p, ok := pathOf(list); ok {
		k, constant := scalarOf(element)
		return need{path: p, op: operators.In, keys: []scalar{k}}, constant && p == path{root: varChanged} && k.kind == 's'
	}
	if list.Kind() != ast.ListKind || len(list.AsList().OptionalIndices()) > 0 {
		return need{}, false
	}
	var keys []scalar
	for _, e := range list.AsList().Elements() {
		k, constant := scalarOf(e)
		if !constant {
			return need{}, false
		}
		keys = append(keys, k)
	}
	return r.held(element, operators.In, len(keys) > 0, keys...)
}

// hasNeed reads has(new.a).
func hasNeed(e ast.Expr) (path, bool) {
	if e.Kind() != ast.SelectKind || !e.AsSelect().IsTestOnly() {
		return path{}, false
	}
	p, ok := pathOf(e.AsSelect().Operand())
	return p.member(e.AsSelect().FieldName()), ok && memberful(p.root)
}
