package objectevent

import (
	"math"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/parser"
)

// path is where a value is: a variable, and members within it; or, under
// computedRoot, the text of an expression.
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

// computedRoot begins the paths of values that only CEL can tell.
const computedRoot = "\x01"

// part is a part of a condition.
type part struct {
	expr ast.Expr
	of   *ast.AST
}

// place is where the value of an expression is. Rules that have the same expression
// in them, letter for letter, share the place, and its value.
func (r reader) place(e ast.Expr) (path, *part, bool) {
	if p, ok := pathOf(e); ok {
		return p, nil, true
	}
	if e.Kind() == ast.LiteralKind {
		return path{}, nil, false
	}
	text, err := parser.Unparse(e, r.of.SourceInfo())
	return path{computedRoot, text}, &part{e, r.of}, err == nil
}

// program makes a part something that can be asked. Its types are checked already, as
// part of the whole.
func (p *part) program() (*expression, error) {
	env, err := alertEnv()
	if err != nil {
		return nil, err
	}
	e := &expression{ast: ast.NewCheckedAST(ast.NewAST(p.expr, p.of.SourceInfo()), p.of.TypeMap(), p.of.ReferenceMap())}
	return e, e.plan(env, "condition", 1, 1)
}

// computed is what a change has where an expression says so. An error, and whatever
// is no scalar, is for CEL to judge.
func (c *change) computed(e *expression) found {
	v, err := e.ask(c)
	if err != nil {
		return found{presence: nowhere}
	}
	return found{scalar: scalarOfValue(v)}
}

func scalarOfValue(v ref.Val) scalar {
	switch v := v.(type) {
	case types.String:
		return scalar{kind: 's', text: string(v)}
	case types.Bool:
		return scalarValue(bool(v))
	case types.Double:
		if !math.IsNaN(float64(v)) { // it cannot be compared
			return scalar{kind: 'n', num: float64(v)}
		}
	case types.Int:
		if -maxExact <= v && v <= maxExact {
			return scalar{kind: 'n', num: float64(v)}
		}
	case types.Uint:
		if v <= maxExact {
			return scalar{kind: 'n', num: float64(v)}
		}
	}
	return scalar{}
}
