package config

import (
	"reflect"
	"strings"

	"github.com/belfry-events/belfry/pkg/fault"
)

// field is one key of a struct.
type field struct {
	key    string
	flag   string // name of its own flag; "" = only --set
	usage  string
	secret bool
	value  reflect.Value // settable
}

// env is the environment variable of a key: http.addr -> BELFRY_HTTP_ADDR.
func (f field) env(prefix string) string {
	return prefix + "_" + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
}

// isBytes says that a key is a size, by its name.
func (f field) isBytes() bool { return strings.HasSuffix(f.key, "bytes") }

// fieldsOf lists the keys of the structs that dst point to, in their order. It
// panics when two fields have one key: a defect, not an input.
func fieldsOf(dst []any) []field {
	var all []field
	seen := map[string]bool{}
	for _, d := range dst {
		walk(reflect.ValueOf(d).Elem(), func(f field) {
			if seen[f.key] {
				panic("config: two fields for key " + f.key)
			}
			seen[f.key] = true
			all = append(all, f)
		})
	}
	return all
}

func walk(v reflect.Value, visit func(field)) {
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		if key, ok := sf.Tag.Lookup("config"); ok {
			visit(field{key, sf.Tag.Get("flag"), sf.Tag.Get("usage"), sf.Tag.Get("secret") == "true", v.Field(i)})
		} else if sf.Type.Kind() == reflect.Struct && sf.IsExported() {
			walk(v.Field(i), visit)
		}
	}
}

// validate asks every struct that can say whether its values are possible. What
// is not already a fault becomes invalid_config.
func validate(dst []any) error {
	for _, d := range dst {
		if v, ok := d.(interface{ Validate() error }); ok {
			if err := v.Validate(); err != nil {
				if fault.CodeOf(err) == fault.Internal {
					err = fault.Wrap(fault.InvalidConfig, err, "%s", err)
				}
				return err
			}
		}
	}
	return nil
}
