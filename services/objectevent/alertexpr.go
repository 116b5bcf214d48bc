package objectevent

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Names that expressions see. The actor's are three variables, not a map: so a name
// that does not exist is refused when the rule is saved.
const (
	varOld     = "old"     // values before, {} for an insert
	varNew     = "new"     // values after, {} for a delete
	varChanged = "changed" // names of the members of old and new that differ
	varUser    = "actor.user"
	varDevice  = "actor.device"
	varFeature = "actor.feature"
	varObject  = "object"
	varTopic   = "topic"
	varTenant  = "tenant"
	varOn      = "on"
	varTime    = "time"
)

// Costs are CEL's own units, about one for each step and each ten bytes compared.
// A unit takes some forty nanoseconds here: an expression that has them all less than
// a millisecond, all rules of a tenant together, about one change, forty.
const (
	alertCost  = 20_000
	changeCost = 50 * alertCost

	// What the estimate takes values of a change to be, where it must know. Larger
	// ones are caught when they come.
	assumedElements = 100
	assumedBytes    = 1000

	alertNesting = 64

	// Counting costs more than most expressions do. One that cannot cost more than
	// quickCost about a change of up to quickBytes is not counted there, but charged
	// what it may cost: a thousand rules then have no more than changeCost.
	quickCost  = changeCost / 1000
	quickBytes = 1024
)

// alertEnv is what expressions are checked against. It has CEL's standard functions
// and no others: their cost is known.
var alertEnv = sync.OnceValues(func() (*cel.Env, error) {
	values := cel.MapType(cel.StringType, cel.DynType)
	return cel.NewEnv(
		cel.Variable(varOld, values), cel.Variable(varNew, values), cel.Variable(varChanged, cel.ListType(cel.StringType)),
		cel.Variable(varUser, cel.StringType), cel.Variable(varDevice, cel.StringType), cel.Variable(varFeature, cel.StringType),
		cel.Variable(varObject, cel.StringType), cel.Variable(varTopic, cel.StringType), cel.Variable(varTenant, cel.StringType),
		cel.Variable(varOn, cel.StringType), cel.Variable(varTime, cel.TimestampType),
		cel.CrossTypeNumericComparisons(true), cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true),
		cel.ParserRecursionLimit(alertNesting), cel.ParserExpressionSizeLimit(maxAlertCondition),
	)
})

// expression is one that was checked, ready to be asked.
type expression struct {
	text    string
	ast     *ast.AST
	program cel.Program // counts what it costs
	quick   cel.Program // does not; nil = there is none
	always  uint64      // what quick may cost at most; 0 = more than quickCost
	small   uint64      // what it may cost about a small change; 0 = more than quickCost
}

// compileExpression checks one expression of a field, which begins at line and
// column (from 1) of it. want is the type it must have, nil = any. Code invalid_rule
// with field, line and column.
func compileExpression(field, text string, line, column int, want *cel.Type) (*expression, error) {
	env, err := alertEnv()
	if err != nil {
		return nil, fmt.Errorf("make the environment of rules: %w", err)
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		l, c := first.Location.Line(), first.Location.Column()+1
		if l <= 1 {
			c += column - 1
		}
		return nil, ruleFault(field, max(l, 1)+line-1, max(c, 1), "%s", oneLine(first.Message))
	}
	got := checked.OutputType()
	if want != nil && !got.IsExactType(want) {
		return nil, ruleFault(field, line, column, "gives %s, not %s", cel.FormatCELType(got), cel.FormatCELType(want))
	}
	e := &expression{text: text, ast: checked.NativeRep()}
	most := func(about sizes) (uint64, error) {
		bound, err := env.EstimateCost(checked, about)
		return bound.Max, err
	}
	likely, err := most(sizes{})
	if err == nil && likely > alertCost {
		// It depends on values how much it costs: with usual ones it must be little.
		likely, err = most(sizes{elements: assumedElements, bytes: assumedBytes})
	}
	if err != nil {
		return nil, ruleFault(field, line, column, "its cost cannot be told: %s", oneLine(err.Error()))
	}
	if likely > alertCost {
		return nil, ruleFault(field, line, column, "may cost %d, the maximum is %d: it goes through lists within lists, or long texts, too often", likely, alertCost)
	}
	for about, bound := range map[sizes]*uint64{{}: &e.always, {elements: quickBytes, bytes: quickBytes}: &e.small} {
		if n, err := most(about); err == nil && n <= quickCost {
			*bound = max(n, 1)
		}
	}
	return e, e.plan(env, field, line, column)
}

// plan makes the programs.
func (e *expression) plan(env *cel.Env, field string, line, column int) (err error) {
	optimize := cel.EvalOptions(cel.OptOptimize)
	if e.always != 0 || e.small != 0 {
		e.quick, err = env.PlanProgram(e.ast, optimize)
	}
	if err == nil && e.always == 0 {
		e.program, err = env.PlanProgram(e.ast, optimize, cel.CostLimit(alertCost))
	}
	if err != nil {
		return ruleFault(field, line, column, "%s", oneLine(err.Error()))
	}
	return nil
}

// ask asks the expression about a change. The error is the expression's own: a value
// that is not there, types that do not fit, a cost above the limit.
func (e *expression) ask(c *change) (ref.Val, error) {
	if c.spent > changeCost {
		return nil, errSpent
	}
	v, cost, err := e.eval(c)
	if c.spent += cost; err != nil {
		return nil, fmt.Errorf("%s", oneLine(err.Error())) //nolint:err113 // text for the rule's owner
	}
	return v, nil
}

// eval asks the program that fits, and answers what it cost, or may have.
func (e *expression) eval(c *change) (ref.Val, uint64, error) {
	cost := e.always
	if cost == 0 && c.small() {
		cost = e.small
	}
	if cost != 0 {
		v, _, err := e.quick.Eval(c)
		return v, cost, err
	}
	v, details, err := e.program.Eval(c)
	return v, costOf(details), err
}

// errSpent is the failure of rules whose tenant's others have used up a change's time.
var errSpent = fault.New(fault.InvalidRule, "the rules before it, by name, cost all that a tenant's rules may cost for one change")

// costOf is what an expression cost; one that was ended has had it all.
func costOf(d *cel.EvalDetails) uint64 {
	if d == nil || d.ActualCost() == nil {
		return alertCost
	}
	return *d.ActualCost()
}

// holds asks a condition.
func (e *expression) holds(c *change) (bool, error) {
	v, err := e.ask(c)
	if err != nil {
		return false, err
	}
	return v == types.True, nil
}

// ruleFault says where a rule is wrong.
func ruleFault(field string, line, column int, format string, args ...any) error {
	return fault.Field(fault.InvalidRule, field, "line %d, column %d: %s", line, column, fmt.Sprintf(format, args...)).
		With("line", strconv.Itoa(line)).With("column", strconv.Itoa(column))
}

// oneLine keeps what CEL says in one line of bounded length.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxAlertError {
		s = strings.ToValidUTF8(s[:maxAlertError], "") + "…"
	}
	return s
}

const maxAlertError = 300

// sizes are how large values are taken to be; zero = nothing is known.
type sizes struct{ elements, bytes uint64 }

// EstimateSize implements CEL's estimator.
func (s sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	if len(n.Path()) == 1 && s.bytes == 0 {
		switch n.Path()[0] {
		case varObject, varTopic, varTenant, varOn:
			return &cost.SizeEstimate{Max: 255} // subject.MaxToken
		}
	}
	switch {
	case s.bytes == 0:
		return nil
	case n.Type() != nil && n.Type().Kind() == types.StringKind:
		return &cost.SizeEstimate{Max: s.bytes}
	}
	return &cost.SizeEstimate{Max: s.elements}
}

// EstimateCallCost implements CEL's estimator: the standard functions' costs hold.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
