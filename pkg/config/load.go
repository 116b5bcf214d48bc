package config

import (
	"bytes"
	"errors"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Options says where Load looks.
type Options struct {
	File      string         // YAML; "" = the environment variable <EnvPrefix>_CONFIG, else none
	EnvPrefix string         // default "BELFRY"
	Environ   []string       // "NAME=value"; nil = os.Environ()
	Flags     *pflag.FlagSet // parsed, made by AddFlags; may be nil
}

// Load fills the structs that dst point to and validates them. Codes
// unknown_config_key (with the nearest key that exists) and invalid_config, both
// naming the key; on error dst is half filled and must not be used.
func Load(o Options, dst ...any) (*Values, error) {
	if o.EnvPrefix == "" {
		o.EnvPrefix = "BELFRY"
	}
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	l := loader{
		fields: fieldsOf(dst), prefix: o.EnvPrefix,
		layers: viper.New(), source: map[string]Source{},
	}
	for _, step := range []func(Options) error{l.readFile, l.readEnviron, l.readFlags} {
		if err := step(o); err != nil {
			return nil, err
		}
	}
	values := &Values{Warnings: l.warnings}
	for _, f := range l.fields {
		source, ok := l.source[f.key]
		if ok {
			if err := f.set(l.layers.Get(f.key), source.String()); err != nil {
				return nil, err
			}
		}
		values.Entries = append(values.Entries, entryOf(f, source, o.EnvPrefix))
	}
	return values, validate(dst)
}

// loader lays one source over the other; what viper holds for a key is always
// the value of the highest so far.
type loader struct {
	fields   []field
	prefix   string
	layers   *viper.Viper
	source   map[string]Source // absent = default
	warnings []string
}

// yamlSays is what is wrong with a file, on one line and without viper's preface.
func yamlSays(err error) string {
	if cause := errors.Unwrap(err); cause != nil {
		err = cause
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

func (l *loader) readFile(o Options) error {
	path := o.File
	if path == "" {
		path, _ = lookup(o.Environ, o.EnvPrefix+"_CONFIG")
	}
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return fault.Wrap(fault.InvalidConfig, err, "config: cannot read %s: %s", path, err).With("field", "config")
	}
	l.layers.SetConfigType("yaml") // of which JSON is a part
	if err := l.layers.ReadConfig(bytes.NewReader(b)); err != nil {
		return fault.Wrap(fault.InvalidConfig, err, "config: %s is not YAML with keys: %s", path, yamlSays(err)).With("field", "config")
	}
	for _, key := range l.layers.AllKeys() {
		if !l.layers.IsSet(key) { // "key:" without a value
			continue
		}
		if err := l.check(key, path); err != nil {
			return err
		}
		l.source[key] = Source{File, path}
	}
	return nil
}

func (l *loader) readEnviron(o Options) error {
	for _, f := range l.fields {
		name := f.env(o.EnvPrefix)
		if v, ok := lookup(o.Environ, name); ok {
			l.layers.Set(f.key, v)
			l.source[f.key] = Source{Environment, name}
		}
	}
	l.warnings = unknownEnviron(o, l.fields)
	return nil
}

func (l *loader) readFlags(o Options) error {
	if o.Flags == nil {
		return nil
	}
	var err error
	// Visit goes through the flags that were given, in order of their names.
	o.Flags.Visit(func(fl *pflag.Flag) {
		if key, ok := flagKey(fl); ok {
			l.layers.Set(key, fl.Value.String())
			l.source[key] = Source{Flag, "--" + fl.Name}
		}
		if fl.Name != setFlag || err != nil {
			return
		}
		set, ok := fl.Value.(pflag.SliceValue)
		if !ok { // somebody else's flag of the same name
			return
		}
		for _, pair := range set.GetSlice() {
			key, v, ok := strings.Cut(pair, "=")
			if !ok {
				err = fault.New(fault.UsageError, "--set %q: must be <key>=<value>", pair)
				return
			}
			if err = l.check(key, "--set"); err != nil {
				return
			}
			l.layers.Set(key, v)
			l.source[key] = Source{Flag, "--set " + key}
		}
	})
	return err
}

// check says whether a key from a file or flag exists.
func (l *loader) check(key, where string) error {
	var inside []string
	for _, f := range l.fields {
		if f.key == key {
			return nil
		}
		if strings.HasPrefix(key, f.key+".") {
			return fault.Field(fault.InvalidConfig, f.key, "takes a value, not a section (from %s)", where)
		}
		if strings.HasPrefix(f.key, key+".") {
			inside = append(inside, f.key)
		}
	}
	if inside != nil {
		return fault.Field(fault.InvalidConfig, key, "is a section with the keys %s (from %s)", strings.Join(inside, ", "), where)
	}
	hint := ""
	if near := nearest(key, l.fields); near != "" {
		hint = "; did you mean " + near + "?"
	}
	return fault.Field(fault.UnknownConfigKey, key, "no such key (from %s)%s", where, hint)
}
