package hubprotocol

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
)

// value is the next value as JSON; nil if it is something that JSON cannot hold.
func (r *reader) value() json.RawMessage {
	before := r.b
	r.skip()
	if r.err != nil {
		return nil
	}
	raw := reader{b: before[:len(before)-len(r.b)]}
	text := raw.appendJSON(nil, maxDepth)
	if raw.err != nil {
		return nil
	}
	return text
}

// maxDepth is how deep arrays and maps of an argument may be nested.
const maxDepth = 64

// errNoJSON marks what JSON has no form for: extensions, NaN, names that are no
// text.
var errNoJSON = errors.New("not to be had as JSON")

// appendJSON writes the next value, which is well-formed.
func (r *reader) appendJSON(dst []byte, depth int) []byte {
	c := r.first()
	if text, ok := r.string(c); ok {
		return appendString(dst, string(text))
	}
	switch {
	case depth == 0 || r.err != nil:
		r.err = errNoJSON
	case c == null:
		return append(dst, "null"...)
	case c == no || c == yes:
		return strconv.AppendBool(dst, c == yes)
	case c <= math.MaxInt8:
		return strconv.AppendUint(dst, uint64(c), 10)
	case c >= negative:
		return strconv.AppendInt(dst, int64(int8(c)), 10)
	case c >= uint8_ && c <= uint64_:
		return strconv.AppendUint(dst, r.number(1<<(c-uint8_)), 10)
	case c >= int8_ && c <= int64_:
		return strconv.AppendInt(dst, r.signed(1<<(c-int8_)), 10)
	case c == float32_:
		return r.appendFloat(dst, float64(math.Float32frombits(uint32(r.number(4)))), 32)
	case c == float64_:
		return r.appendFloat(dst, math.Float64frombits(r.number(8)), 64)
	case c >= bin8 && c < ext8:
		dst = base64.StdEncoding.AppendEncode(append(dst, '"'), r.take(r.number(1<<(c-bin8))))
		return append(dst, '"')
	case c&0xf0 == fixArray:
		return r.appendElements(dst, uint64(c&0x0f), depth)
	case c == array16 || c == array32:
		return r.appendElements(dst, r.number(2<<(c-array16)), depth)
	case c&0xf0 == fixMap:
		return r.appendMembers(dst, uint64(c&0x0f), depth)
	case c == map16 || c == map32:
		return r.appendMembers(dst, r.number(2<<(c-map16)), depth)
	default:
		r.err = errNoJSON
	}
	return dst
}

func (r *reader) appendFloat(dst []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		r.err = errNoJSON
		return dst
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

func (r *reader) appendElements(dst []byte, n uint64, depth int) []byte {
	dst = append(dst, '[')
	for i := range int(n) {
		dst = r.appendJSON(comma(dst, i), depth-1)
	}
	return append(dst, ']')
}

func (r *reader) appendMembers(dst []byte, n uint64, depth int) []byte {
	dst = append(dst, '{')
	for i := range int(n) {
		name, ok := r.string(r.first())
		if !ok {
			r.err = errNoJSON
			return dst
		}
		dst = append(appendString(comma(dst, i), string(name)), ':')
		dst = r.appendJSON(dst, depth-1)
	}
	return append(dst, '}')
}
