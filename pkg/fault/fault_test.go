package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// One walk over the table: every code is complete, and its close code alone
// says the same about coming back as its kind does.
func TestEveryCode(t *testing.T) {
	t.Parallel()
	text := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[int]Code{}
	for _, c := range Codes() {
		if !text.MatchString(string(c)) {
			t.Errorf("%s: codes are lower-case words", c)
		}
		if http.StatusText(c.HTTPStatus()) == "" || c.HTTPStatus() < 400 {
			t.Errorf("%s: status %d", c, c.HTTPStatus())
		}
		if c.Kind() == Ours && c != Internal {
			t.Errorf("%s: has no kind", c)
		}
		if exit := c.ExitCode(); exit < 1 || exit > 9 {
			t.Errorf("%s: exit code %d", c, exit)
		}
		n := c.CloseCode()
		if n < 4000 || n > 4999 {
			t.Errorf("%s: close code %d is not an application's", c, n)
		}
		if other, taken := seen[n]; taken {
			t.Errorf("%s and %s share close code %d", c, other, n)
		}
		seen[n] = c
		// A slow reader loses nothing by coming back, other limits stay.
		again := c.Kind() == Down || c.Kind() == Ours || c == SlowConsumer
		if Reconnects(n) != again {
			t.Errorf("%s: close code %d, but kind %s", c, n, c.Kind())
		}
	}
}

// Every constant is in the table: a code that is not has no kind, no close code
// and no line in the wire book.
func TestEveryConstantIsInTheTable(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("codes.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`Code = "([a-z_]+)"`).FindAllSubmatch(source, -1)
	for _, m := range found {
		if _, ok := table[Code(m[1])]; !ok {
			t.Errorf("%s is not in the table", m[1])
		}
	}
	if len(found) != len(Codes()) {
		t.Errorf("%d constants, %d rows", len(found), len(Codes()))
	}
}

// The wire book has a line for every code, with its close code.
func TestWireBook(t *testing.T) {
	t.Parallel()
	book, err := os.ReadFile("../../proto/README.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(book), "\n")
	for _, c := range Codes() {
		found := false
		for _, line := range lines {
			row := strings.HasPrefix(strings.TrimSpace(line), "|")
			found = found || row && strings.Contains(line, "`"+string(c)+"`") && strings.Contains(line, strconv.Itoa(c.CloseCode()))
		}
		if !found {
			t.Errorf("no table row has `%s` and %d", c, c.CloseCode())
		}
	}
}

func TestEveryKind(t *testing.T) {
	t.Parallel()
	texts, exits := map[string]bool{}, map[int]bool{}
	for k := range kinds {
		kind := Kind(k)
		if kind.String() == "" || texts[kind.String()] || exits[kinds[k].exit] {
			t.Errorf("kind %d: text %q and exit code %d must be its own", k, kind, kinds[k].exit)
		}
		texts[kind.String()], exits[kinds[k].exit] = true, true
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk on fire")
	for name, c := range map[string]struct {
		err  error
		code Code
		text string
	}{
		"a fault":      {Field(InvalidRequest, "limit", "%d is above the maximum of %d", 5000, 1000), InvalidRequest, "limit: 5000 is above the maximum of 1000"},
		"wrapped":      {fmt.Errorf("publishing: %w", New(Draining, "going away")), Draining, "going away"},
		"with a cause": {Wrap(Unavailable, cause, "the log does not answer"), Unavailable, "the log does not answer"},
		"a deadline":   {fmt.Errorf("reading: %w", context.DeadlineExceeded), Unavailable, "the call did not finish in time"},
		"a cancel":     {context.Canceled, Unavailable, "the call did not finish in time"},
		"anything":     {cause, Internal, "internal error"},
	} {
		f := From(c.err)
		if f.Code() != c.code || f.Error() != c.text || CodeOf(c.err) != c.code || !errors.Is(f, c.code.Err()) {
			t.Errorf("%s: %s %q", name, f.Code(), f)
		}
	}
	if From(nil) != nil || CodeOf(nil) != "" {
		t.Error("no error is no fault")
	}
	if wrapped := Wrap(Unavailable, cause, "x"); !errors.Is(wrapped, cause) || errors.Is(wrapped, Internal.Err()) {
		t.Error("the cause must stay within reach, and other codes not")
	}
}

// A detail added to one fault is not added to those it was made from.
func TestInField(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	err := InField(fmt.Errorf("subscribe: %w", Wrap(TenantForbidden, cause, "tenant: is not yours").With("field", "tenant")), "compCode")
	if f := From(err); f.Error() != "compCode: is not yours" || f.Details()["field"] != "compCode" || f.Code() != TenantForbidden || !errors.Is(err, cause) {
		t.Errorf("%q %v %v", f.Error(), f.Details(), f.Code())
	}
	for _, err := range []error{nil, cause, New(Unavailable, "no field")} {
		if got := InField(err, "compCode"); got != err { //nolint:errorlint // the same one
			t.Errorf("%v became %v", err, got)
		}
	}
}

func TestWithCopies(t *testing.T) {
	t.Parallel()
	base := New(NotFound, "no such thing").With("a", "1")
	if more := base.With("b", "2"); len(base.Details()) != 1 || len(more.Details()) != 2 {
		t.Errorf("%v %v", base.Details(), more.Details())
	}
}

func TestJSONRoundTrip(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]*Error{
		`{"code":"cursor_gone","message":"cursor: too old","details":{"field":"cursor"}}`: Field(CursorGone, "cursor", "too old"),
		`{"code":"internal","message":"internal error"}`:                                  From(errors.New("secret")),
		`{"code":"from_the_future","message":"x"}`:                                        New("from_the_future", "x"),
	} {
		b, err := json.Marshal(f)
		if err != nil || string(b) != want {
			t.Errorf("%s %v, want %s", b, err, want)
		}
		var back Error
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if back.Code() != f.Code() || back.Error() != f.Error() || !cmp.Equal(back.Details(), f.Details()) {
			t.Errorf("%s came back as %v %v %v", b, back.Code(), back.Error(), back.Details())
		}
	}
	var f Error
	if json.Unmarshal([]byte(`{"code":5}`), &f) == nil {
		t.Error("a number is no code")
	}
	if future := Code("from_the_future"); future.Kind() != Ours || future.CloseCode() != Internal.CloseCode() {
		t.Errorf("an unknown code counts as internal, not %s %d", future.Kind(), future.CloseCode())
	}
}

func TestNATSHeaders(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	New(EventTooLarge, "too large").SetHeader(func(key, value string) { got[key] = value })
	want := map[string]string{HeaderCode: "413", HeaderError: "event_too_large: too large", HeaderFault: "event_too_large"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
