package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// appendMessage writes m as JSON says.
func appendMessage(dst []byte, m protoreflect.Message) ([]byte, error) {
	d := m.Descriptor()
	if wellKnown(d) {
		return writeWellKnown.MarshalAppend(dst, m.Interface())
	}
	if f := spliced(d); f != nil {
		b := m.Get(f).Bytes()
		if len(b) == 0 {
			return nil, fmt.Errorf("%s has no JSON", d.FullName())
		}
		return append(dst, b...), nil
	}
	dst = append(dst, '{')
	first := true
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if f.HasPresence() && !m.Has(f) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(append(dst, '"'), f.JSONName()...), '"', ':')
		var err error
		if dst, err = appendField(dst, f, m.Get(f)); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendField(dst []byte, f protoreflect.FieldDescriptor, v protoreflect.Value) (_ []byte, err error) {
	switch {
	case f.IsList():
		dst = append(dst, '[')
		for i := range v.List().Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendValue(dst, f, v.List().Get(i)); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case f.IsMap():
		return appendMap(dst, f, v.Map())
	}
	return appendValue(dst, f, v)
}

// appendMap writes the entries in the order of their keys, so that the same
// message always is the same text.
func appendMap(dst []byte, f protoreflect.FieldDescriptor, m protoreflect.Map) (_ []byte, err error) {
	var keys []string
	values := map[string]protoreflect.Value{}
	for k, v := range m.Range {
		keys = append(keys, k.String())
		values[k.String()] = v
	}
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, k), ':')
		if dst, err = appendValue(dst, f.MapValue(), values[k]); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendValue(dst []byte, f protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return strconv.AppendBool(dst, v.Bool()), nil
	case protoreflect.StringKind:
		return appendString(dst, v.String()), nil
	case protoreflect.BytesKind:
		dst = base64.StdEncoding.AppendEncode(append(dst, '"'), v.Bytes())
		return append(dst, '"'), nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		if n := v.Float(); math.IsNaN(n) || math.IsInf(n, 0) {
			return nil, fmt.Errorf("%s: %v is not a number that JSON has", f.FullName(), n)
		}
		b, err := json.Marshal(v.Float())
		return append(dst, b...), err
	case protoreflect.EnumKind:
		if d := f.Enum().Values().ByNumber(v.Enum()); d != nil {
			return appendString(dst, string(d.Name())), nil
		}
		return strconv.AppendInt(dst, int64(v.Enum()), 10), nil
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return appendMessage(dst, v.Message())
	}
	return nil, fmt.Errorf("%s: %s is outside the contract's rules", f.FullName(), f.Kind())
}

// appendString writes a JSON string; most are ids and cursors that need no
// escape.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			b, _ := json.Marshal(s) // a string cannot fail
			return append(dst, b...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}
