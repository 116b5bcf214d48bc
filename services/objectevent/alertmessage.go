package objectevent

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	maxAlertText   = 4096 // bytes of a message with its values
	maxAlertHoles  = 32
	openHole       = "{{"
	closeHole      = "}}"
	maxAlertInText = 256 // bytes of one value in it
)

// alertText is a message: text with holes, each of which is an expression. So the
// simplest template is also as able as a condition, and checked like one.
type alertText struct {
	parts []string      // one more than holes
	holes []*expression // between them
}

// compileText checks a message. Code invalid_rule with line and column.
func compileText(text string) (*alertText, error) {
	t := &alertText{}
	rest, at := text, 0
	for {
		plain, behind, found := strings.Cut(rest, openHole)
		t.parts = append(t.parts, plain)
		if !found {
			return t, nil
		}
		at += len(plain) + len(openHole)
		line, column := position(text, at)
		inside, after, closed := strings.Cut(behind, closeHole)
		switch {
		case !closed:
			return nil, ruleFault("message", line, column, "{{ is not closed by }}")
		case strings.TrimSpace(inside) == "":
			return nil, ruleFault("message", line, column, "{{}} names no value")
		case len(t.holes) == maxAlertHoles:
			return nil, ruleFault("message", line, column, "more than %d values", maxAlertHoles)
		}
		e, err := compileExpression("message", inside, line, column, nil)
		if err != nil {
			return nil, err
		}
		t.holes = append(t.holes, e)
		rest, at = after, at+len(inside)+len(closeHole)
	}
}

// position is the line and column, from 1, of a byte of a text.
func position(text string, at int) (line, column int) {
	before := text[:at]
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
}

// render is the message about a change. A value that is not there is left out: what
// an alert says never keeps it from being raised.
func (t *alertText) render(c *change) string {
	var b strings.Builder
	for i, part := range t.parts {
		b.WriteString(part)
		if i == len(t.holes) {
			break
		}
		if v, err := t.holes[i].ask(c); err == nil {
			b.WriteString(shorten(textOf(v), maxAlertInText))
		}
	}
	return shorten(b.String(), maxAlertText)
}

// textOf is a value as people read it.
func textOf(v ref.Val) string {
	switch v := v.(type) {
	case types.String:
		return string(v)
	case types.Double:
		return strconv.FormatFloat(float64(v), 'f', -1, 64)
	case types.Null:
		return ""
	}
	if s, ok := v.ConvertToType(types.StringType).(types.String); ok {
		return string(s)
	}
	native, err := v.ConvertToNative(types.JSONValueType)
	if err != nil {
		return ""
	}
	p, ok := native.(*structpb.Value)
	if !ok {
		return ""
	}
	text, err := json.Marshal(p.AsInterface())
	if err != nil {
		return ""
	}
	return string(text)
}

func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
