package config

import (
	"reflect"

	"github.com/spf13/pflag"
)

// setFlag sets any key: --set gateway.queue_bytes=2MiB. Repeatable.
const setFlag = "set"

// keyAnnotation marks a flag that belongs to a key.
const keyAnnotation = "belfry_config_key"

// AddFlags adds --set, and one flag for every field of dst with a flag tag. Its
// default, shown in --help, is the value the struct has now.
func AddFlags(fs *pflag.FlagSet, dst ...any) {
	for _, f := range fieldsOf(dst) {
		if f.flag == "" {
			continue
		}
		v := &flagValue{text: f.text(), kind: flagKind(f)}
		fl := fs.VarPF(v, f.flag, "", f.usage)
		fl.Annotations = map[string][]string{keyAnnotation: {f.key}}
		if f.value.Kind() == reflect.Bool {
			fl.NoOptDefVal = "true"
		}
	}
	if fs.Lookup(setFlag) == nil {
		fs.StringArray(setFlag, nil, "set any other `key=value` of the configuration (repeatable)")
	}
}

func flagKey(fl *pflag.Flag) (string, bool) {
	key := fl.Annotations[keyAnnotation]
	return append(key, "")[0], len(key) > 0
}

// flagValue keeps the text; Load turns it into a value, with one kind of error
// for all sources.
type flagValue struct{ text, kind string }

func (v *flagValue) String() string     { return v.text }
func (v *flagValue) Set(s string) error { v.text = s; return nil }
func (v *flagValue) Type() string       { return v.kind }

// flagKind is the word --help shows for a flag's value.
func flagKind(f field) string {
	switch {
	case f.value.Type() == durationType:
		return "duration"
	case f.value.Kind() == reflect.Bool:
		return "bool"
	case f.isBytes():
		return "size"
	case f.value.CanInt():
		return "int"
	case f.value.Kind() == reflect.Slice:
		return "list"
	}
	return "string"
}
