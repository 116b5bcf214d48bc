package objectevent

import "cel.dev/cel-go/cel"

// compiledAlert is a rule that can be asked. It is made once for each revision.
type compiledAlert struct {
	alertRule
	condition *expression // nil = always
	text      *alertText
	needs     []need
	broken    error // it was accepted once, and does not compile with this program
}

// defaultAlertMessage is what an alert says whose rule says nothing.
const defaultAlertMessage = ": {{topic}} {{object}}"

// compileAlert checks the expressions of a rule. Code invalid_rule with field, line
// and column.
func compileAlert(r alertRule) (*compiledAlert, error) {
	c := &compiledAlert{alertRule: r}
	var err error
	if r.Condition != "" {
		if c.condition, err = compileExpression("condition", r.Condition, 1, 1, cel.BoolType); err != nil {
			return nil, err
		}
		c.needs = needsOf(c.condition.ast)
	}
	message := r.Message
	if message == "" {
		message = r.Name + defaultAlertMessage // a name has no braces
	}
	c.text, err = compileText(message)
	return c, err
}

// holds asks the rule about a change of a kind that it watches.
func (r *compiledAlert) holds(c *change) (bool, error) {
	switch {
	case r.broken != nil:
		return false, r.broken
	case r.condition == nil:
		return true, nil
	}
	return r.condition.holds(c)
}
