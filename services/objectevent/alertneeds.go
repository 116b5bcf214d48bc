package objectevent

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// need is one of the conditions that a rule's condition joins with &&, where it is
// simple enough to be decided without CEL: a value held against constants. In CEL
// "false && x" is false whatever x is, an error too, so a rule one of whose needs is
// certainly false need not be asked.
type need struct {
	path      path
	op        string   // of operators; In: one of keys; hasOp
	keys      []scalar // constants: one, or for In any number
	sheltered bool     // has(path) is among the rule's conditions: without a value it is false
}

// hasOp is the need that a value is there.
const hasOp = "has"

// path is where a value is: a variable, and members within it.
type path struct {
	root    string
	members string // joined by NUL, so that paths compare
}

func (p path) names() []string {
	if p.members == "" {
		return nil
	}
	return strings.Split(p.members, "\x00")
}

// scalar is a value that can be compared without CEL.
type scalar struct {
	kind byte // 's', 'n', 'b'; 0 = none
	text string
	num  float64
}

// maxExact is up to where every integer is a double.
const maxExact = 1 << 53

// needsOf finds the needs of a condition.
func needsOf(a *ast.AST) []need {
	var all []need
	var present []path
	for _, e := range conjuncts(a.Expr(), nil) {
		n, ok := needOf(e)
		if !ok {
			continue
		}
		if n.op == hasOp {
			present = append(present, n.path)
		}
		all = append(all, n)
	}
	for i := range all {
		all[i].sheltered = slices.Contains(present, all[i].path)
	}
	return all
}

// conjuncts takes a && b apart.
func conjuncts(e ast.Expr, all []ast.Expr) []ast.Expr {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.LogicalAnd {
		for _, arg := range e.AsCall().Args() {
			all = conjuncts(arg, all)
		}
		return all
	}
	return append(all, e)
}

// mirrored is each comparison with its sides exchanged.
var mirrored = map[string]string{
	operators.Equals: operators.Equals, operators.NotEquals: operators.NotEquals,
	operators.Less: operators.Greater, operators.LessEquals: operators.GreaterEquals,
	operators.Greater: operators.Less, operators.GreaterEquals: operators.LessEquals,
}

func needOf(e ast.Expr) (need, bool) {
	switch e.Kind() {
	case ast.SelectKind:
		s := e.AsSelect()
		p, ok := pathOf(s.Operand())
		return need{path: p.member(s.FieldName()), op: hasOp}, ok && s.IsTestOnly() && memberful(p.root)
	case ast.CallKind:
	default:
		return need{}, false
	}
	args := e.AsCall().Args()
	if len(args) != 2 {
		return need{}, false
	}
	op := e.AsCall().FunctionName()
	if op == operators.In {
		return inNeed(args[0], args[1])
	}
	other, compares := mirrored[op]
	if !compares {
		return need{}, false
	}
	if p, ok := pathOf(args[0]); ok && p.root != varChanged {
		k, ok := scalarOf(args[1])
		return need{path: p, op: op, keys: []scalar{k}}, ok
	}
	p, ok := pathOf(args[1])
	k, constant := scalarOf(args[0])
	return need{path: p, op: other, keys: []scalar{k}}, ok && constant && p.root != varChanged
}

// inNeed is "x" in changed, or value in [constants].
func inNeed(element, list ast.Expr) (need, bool) {
	if p, ok := pathOf(list); ok {
		k, constant := scalarOf(element)
		return need{path: p, op: operators.In, keys: []scalar{k}}, constant && p == path{root: varChanged} && k.kind == 's'
	}
	p, ok := pathOf(element)
	if !ok || p.root == varChanged || list.Kind() != ast.ListKind || len(list.AsList().OptionalIndices()) > 0 {
		return need{}, false
	}
	n := need{path: p, op: operators.In}
	for _, e := range list.AsList().Elements() {
		k, constant := scalarOf(e)
		if !constant {
			return need{}, false
		}
		n.keys = append(n.keys, k)
	}
	return n, len(n.keys) > 0
}

// pathOf reads new.a.b, new["a"], actor.user.
func pathOf(e ast.Expr) (path, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		switch name := e.AsIdent(); name {
		case varOld, varNew, varChanged, varUser, varDevice, varFeature, varObject, varTopic, varTenant, varOn:
			return path{root: name}, true
		}
	case ast.SelectKind:
		s := e.AsSelect()
		p, ok := pathOf(s.Operand())
		return p.member(s.FieldName()), ok && !s.IsTestOnly() && memberful(p.root)
	case ast.CallKind:
		c := e.AsCall()
		if c.FunctionName() != operators.Index || len(c.Args()) != 2 {
			return path{}, false
		}
		p, ok := pathOf(c.Args()[0])
		k, constant := scalarOf(c.Args()[1])
		return p.member(k.text), ok && constant && k.kind == 's' && memberful(p.root)
	}
	return path{}, false
}

func memberful(root string) bool { return root == varOld || root == varNew }

func (p path) member(name string) path {
	if strings.Contains(name, "\x00") {
		return path{root: "\x00"} // nobody's
	}
	if p.members != "" {
		name = p.members + "\x00" + name
	}
	return path{p.root, name}
}

func scalarOf(e ast.Expr) (scalar, bool) {
	if e.Kind() != ast.LiteralKind {
		return scalar{}, false
	}
	switch v := e.AsLiteral().(type) {
	case types.String:
		return scalar{kind: 's', text: string(v)}, true
	case types.Double:
		return scalar{kind: 'n', num: float64(v)}, true
	case types.Int:
		return scalar{kind: 'n', num: float64(v)}, -maxExact <= v && v <= maxExact
	case types.Bool:
		k := scalar{kind: 'b'}
		if v {
			k.num = 1
		}
		return k, true
	}
	return scalar{}, false
}
