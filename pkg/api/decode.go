package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/belfry-events/belfry/pkg/fault"
)

// parseMessage reads a whole body into m as JSON says.
func parseMessage(b []byte, m protoreflect.Message, fold bool) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	if !utf8.Valid(b) {
		return wrong("body", "is not UTF-8")
	}
	if !json.Valid(b) {
		return wrong("body", "is not valid JSON")
	}
	return decoder{fold}.message(b, m, "")
}

// wrong is the fault of a field.
func wrong(path, format string, args ...any) error {
	if path == "" {
		path = "body"
	}
	return fault.Field(fault.InvalidRequest, path, format, args...)
}

// decoder reads JSON that is known to be valid.
type decoder struct{ fold bool }

func (d decoder) message(b []byte, m protoreflect.Message, path string) error {
	desc := m.Descriptor()
	if wellKnown(desc) {
		if err := readWellKnown.Unmarshal(b, m.Interface()); err != nil {
			return wrong(path, "is not a %s", strings.ToLower(string(desc.Name())))
		}
		return nil
	}
	if first(b) != '{' {
		return wrong(path, "must be a JSON object")
	}
	if f := spliced(desc); f != nil {
		m.Set(f, protoreflect.ValueOfBytes(bytes.Clone(bytes.TrimSpace(b))))
		return nil
	}
	seen := make([]bool, desc.Fields().Len())
	return members(b, func(name string, value []byte) error {
		at := name
		if path != "" {
			at = path + "." + name
		}
		f := d.field(desc.Fields(), name)
		if f == nil {
			return wrong(at, "is not a field of %s, which has %s", desc.Name(), names(desc.Fields()))
		}
		if seen[f.Index()] {
			return wrong(at, "is there twice")
		}
		seen[f.Index()] = true
		if string(value) == "null" {
			return nil
		}
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() && m.WhichOneof(o) != nil {
			return wrong(at, "excludes %s; send one of them", m.WhichOneof(o).JSONName())
		}
		return d.set(m, f, value, at)
	})
}

// field finds a field by its JSON name or its name in the contract.
func (d decoder) field(fields protoreflect.FieldDescriptors, name string) protoreflect.FieldDescriptor {
	if f := fields.ByJSONName(name); f != nil {
		return f
	}
	if f := fields.ByTextName(name); f != nil || !d.fold {
		return f
	}
	for i := range fields.Len() {
		if f := fields.Get(i); strings.EqualFold(f.JSONName(), name) || strings.EqualFold(f.TextName(), name) {
			return f
		}
	}
	return nil
}

func names(fields protoreflect.FieldDescriptors) string {
	if fields.Len() == 0 {
		return "none"
	}
	all := make([]string, fields.Len())
	for i := range all {
		all[i] = fields.Get(i).JSONName()
	}
	return strings.Join(all, ", ")
}

func (d decoder) set(m protoreflect.Message, f protoreflect.FieldDescriptor, b []byte, path string) error {
	switch {
	case f.IsList():
		if first(b) != '[' {
			return wrong(path, "must be an array")
		}
		list := m.Mutable(f).List()
		return elements(b, func(i int, b []byte) error {
			v, err := d.value(f, b, path+"["+strconv.Itoa(i)+"]", list.NewElement)
			if err != nil {
				return err
			}
			list.Append(v)
			return nil
		})
	case f.IsMap():
		if first(b) != '{' {
			return wrong(path, "must be a JSON object")
		}
		if f.MapKey().Kind() != protoreflect.StringKind {
			return wrong(path, "cannot be read")
		}
		entries := m.Mutable(f).Map()
		return members(b, func(name string, b []byte) error {
			v, err := d.value(f.MapValue(), b, path+"."+name, entries.NewValue)
			if err != nil {
				return err
			}
			entries.Set(protoreflect.ValueOfString(name).MapKey(), v)
			return nil
		})
	}
	v, err := d.value(f, b, path, func() protoreflect.Value { return m.NewField(f) })
	if err == nil {
		m.Set(f, v)
	}
	return err
}

// value reads one value; empty makes the message to fill where it is one.
func (d decoder) value(f protoreflect.FieldDescriptor, b []byte, path string, empty func() protoreflect.Value) (v protoreflect.Value, err error) {
	switch f.Kind() {
	case protoreflect.BoolKind:
		if s := string(b); s == "true" || s == "false" {
			return protoreflect.ValueOfBool(s == "true"), nil
		}
		return v, wrong(path, "must be true or false")
	case protoreflect.StringKind:
		s, ok := text(b)
		if !ok {
			return v, wrong(path, "must be a string")
		}
		return protoreflect.ValueOfString(s), nil
	case protoreflect.BytesKind:
		s, ok := text(b)
		data, err := base64.StdEncoding.DecodeString(s)
		if !ok || err != nil {
			return v, wrong(path, "must be a string in base64")
		}
		return protoreflect.ValueOfBytes(data), nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		n, ok := whole(b, math.MinInt32, math.MaxInt32)
		if !ok {
			return v, wrong(path, "must be a whole number of 32 bits")
		}
		return protoreflect.ValueOfInt32(int32(n)), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		n, ok := whole(b, 0, math.MaxUint32)
		if !ok {
			return v, wrong(path, "must be a whole number from 0 of 32 bits")
		}
		return protoreflect.ValueOfUint32(uint32(n)), nil
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		n, err := strconv.ParseFloat(string(b), 64)
		switch {
		case err != nil:
			return v, wrong(path, "must be a number")
		case f.Kind() == protoreflect.FloatKind:
			return protoreflect.ValueOfFloat32(float32(n)), nil
		}
		return protoreflect.ValueOfFloat64(n), nil
	case protoreflect.EnumKind:
		return enum(f, b, path)
	case protoreflect.MessageKind, protoreflect.GroupKind:
		v = empty()
		return v, d.message(b, v.Message(), path)
	}
	return v, wrong(path, "cannot be read")
}

func enum(f protoreflect.FieldDescriptor, b []byte, path string) (v protoreflect.Value, err error) {
	s, _ := text(b)
	values := f.Enum().Values()
	for i := range values.Len() {
		if e := values.Get(i); strings.EqualFold(string(e.Name()), s) {
			return protoreflect.ValueOfEnum(e.Number()), nil
		}
	}
	if n, ok := whole(b, 0, math.MaxInt32); ok {
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)), nil
	}
	return v, wrong(path, "is not a %s", f.Enum().Name())
}

// first is the first byte that is no space.
func first(b []byte) byte {
	if b = bytes.TrimSpace(b); len(b) > 0 {
		return b[0]
	}
	return 0
}

// text reads a JSON string.
func text(b []byte) (string, bool) {
	if b = bytes.TrimSpace(b); len(b) < 2 || b[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b[1 : len(b)-1]), true // the rest is as it stands
	}
	var s string
	return s, json.Unmarshal(b, &s) == nil
}

// whole reads a whole number, also one written as text, 1e2 or 5.0.
func whole(b []byte, low, high float64) (int64, bool) {
	s := string(bytes.TrimSpace(b))
	if t, ok := text(b); ok {
		s = t
	}
	n, err := strconv.ParseFloat(s, 64) // exact far beyond 32 bits
	if err != nil || n != math.Trunc(n) || n < low || n > high {
		return 0, false
	}
	return int64(n), true
}
