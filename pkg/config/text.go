package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

var durationType = reflect.TypeFor[time.Duration]()

// set gives a field the value raw: text from a flag or the environment, or what
// YAML made of the file. Code invalid_config, naming the key and the source.
func (f field) set(raw any, source string) error {
	bad := func(want string) error {
		shown := fmt.Sprintf("%.64q", fmt.Sprint(raw))
		if f.secret {
			shown = "the value"
		}
		return fault.Field(fault.InvalidConfig, f.key, "%s is not %s (from %s)", shown, want, source)
	}
	s, isText := raw.(string)
	switch {
	case f.value.Type() == durationType:
		d, err := parseDuration(s)
		if !isText || err != nil {
			return bad(aDuration)
		}
		f.value.SetInt(int64(d))
	case f.value.Kind() == reflect.String:
		if !isText { // YAML would read 0123 as a number, and write 83
			return bad("text: put it in quotes")
		}
		f.value.SetString(s)
	case f.value.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(fmt.Sprint(raw))
		if err != nil {
			return bad("true or false")
		}
		f.value.SetBool(b)
	case f.value.CanInt():
		n, err := f.parseInt(fmt.Sprint(raw))
		if err != nil || f.value.OverflowInt(n) {
			if f.isBytes() {
				return bad("a size such as 100, 64KiB or 1MiB")
			}
			return bad("a whole number")
		}
		f.value.SetInt(n)
	case f.value.CanFloat():
		n, err := strconv.ParseFloat(fmt.Sprint(raw), 64)
		if err != nil {
			return bad("a number")
		}
		f.value.SetFloat(n)
	case f.value.Type() == reflect.TypeFor[[]string]():
		list, ok := toList(raw)
		if !ok {
			return bad("a list of texts")
		}
		f.value.Set(reflect.ValueOf(list))
	default:
		panic("config: key " + f.key + " has a type that cannot be set: " + f.value.Type().String())
	}
	return nil
}

func toList(raw any) ([]string, bool) {
	switch v := raw.(type) {
	case string:
		list := []string{}
		for item := range strings.SplitSeq(v, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		return list, true
	case []any:
		list := make([]string, len(v))
		for i := range v {
			s, ok := v[i].(string)
			if !ok {
				return nil, false
			}
			list[i] = s
		}
		return list, true
	}
	return nil, false
}

// units are binary; KB and the like would leave open which thousand is meant.
var units = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func (f field) parseInt(s string) (int64, error) {
	if f.isBytes() {
		for _, u := range units {
			if num, ok := strings.CutSuffix(s, u.name); ok {
				n, err := strconv.ParseInt(strings.TrimSpace(num), 10, 64)
				if err == nil && n != n*u.size/u.size {
					err = strconv.ErrRange
				}
				return n * u.size, err
			}
		}
	}
	return strconv.ParseInt(s, 10, 64)
}

const day = 24 * time.Hour

// parseDuration is time.ParseDuration with days in front: "14d", "1d12h".
func parseDuration(s string) (time.Duration, error) {
	num, tail, ok := strings.Cut(s, "d")
	if !ok {
		return time.ParseDuration(s)
	}
	days, err := strconv.ParseUint(num, 10, 16)
	if err != nil {
		return 0, err
	}
	var d time.Duration
	if tail != "" {
		if d, err = time.ParseDuration(tail); err != nil || d < 0 {
			return 0, strconv.ErrSyntax
		}
	}
	return time.Duration(days)*day + d, nil
}

// text is the value as set would read it back.
func (f field) text() string {
	switch v := f.value.Interface().(type) {
	case time.Duration:
		return formatDuration(v)
	case []string:
		return strings.Join(v, ",")
	default:
		if f.isBytes() && f.value.CanInt() {
			return formatBytes(f.value.Int())
		}
		return fmt.Sprint(v)
	}
}

func formatBytes(n int64) string {
	for _, u := range units[:3] {
		if n != 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func formatDuration(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
