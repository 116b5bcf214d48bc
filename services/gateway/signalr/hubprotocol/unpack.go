package hubprotocol

import (
	"errors"
	"math"
	"unicode/utf8"
)

// reader takes MessagePack values off the front of b. After the first thing that
// is wrong it takes nothing more, and err says what that was. It never allocates
// for a length that it has only read.
type reader struct {
	b    []byte
	left int // elements of the message that have not been read
	err  error
}

func (r *reader) fail(why string) {
	if r.err == nil {
		r.err = errors.New(why)
		r.b = nil
	}
}

// element reads the message's next one, which must be there.
func (r *reader) element(read func()) {
	if r.left == 0 {
		r.fail("it has too few elements")
	}
	r.optional(read)
}

func (r *reader) optional(read func()) {
	if r.left > 0 && r.err == nil {
		r.left--
		read()
	}
}

// take is the next n bytes.
func (r *reader) take(n uint64) []byte {
	if uint64(len(r.b)) < n {
		r.fail("it ends too early")
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// first is the next byte, which says what follows.
func (r *reader) first() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return unused
}

// number is the next n bytes as an unsigned number; n is 1, 2, 4 or 8.
func (r *reader) number(n int) (v uint64) {
	for _, b := range r.take(uint64(n)) {
		v = v<<8 | uint64(b)
	}
	return v
}

// array is the size of the array that begins here; there are at least that many
// bytes. What is no array fails.
func (r *reader) array() int {
	switch c := r.first(); {
	case c&0xf0 == fixArray:
		return r.size(uint64(c & 0x0f))
	case c == array16 || c == array32:
		return r.size(r.number(2 << (c - array16)))
	}
	r.fail("an array is missing")
	return 0
}

// size checks that so many elements can be here at all: each has a byte or more.
func (r *reader) size(n uint64) int {
	if r.err != nil || n > uint64(len(r.b)) {
		r.fail("it ends too early")
		return 0
	}
	return int(n)
}

func (r *reader) integer() int64 {
	switch c := r.first(); {
	case c <= math.MaxInt8:
		return int64(c)
	case c >= negative:
		return int64(int8(c))
	case c >= uint8_ && c <= uint64_:
		if n := r.number(1 << (c - uint8_)); n <= math.MaxInt64 {
			return int64(n)
		}
	case c >= int8_ && c <= int64_:
		return r.signed(1 << (c - int8_))
	}
	r.fail("a whole number is missing")
	return 0
}

// signed is the next n bytes in two's complement.
func (r *reader) signed(n int) int64 {
	shift := 64 - 8*n
	return int64(r.number(n)<<shift) >> shift
}

func (r *reader) boolean() bool {
	switch r.first() {
	case yes:
		return true
	case no:
	default:
		r.fail("true or false is missing")
	}
	return false
}

func (r *reader) text() string {
	b, ok := r.string(r.first())
	if !ok {
		r.fail("a text is missing")
	}
	if !utf8.Valid(b) {
		r.fail("a text is not valid UTF-8")
		return ""
	}
	return string(b)
}

func (r *reader) textOrNil() string {
	if len(r.b) > 0 && r.b[0] == null {
		r.first()
		return ""
	}
	return r.text()
}

// string is the rest of a text that began with c.
func (r *reader) string(c byte) (b []byte, ok bool) {
	switch {
	case c >= fixString && c < null:
		return r.take(uint64(c & 0x1f)), true
	case c >= string8 && c <= string32:
		return r.take(r.number(1 << (c - string8))), true
	}
	return nil, false
}

// skip passes one value, whatever it is.
func (r *reader) skip() {
	for open := uint64(1); open > 0 && r.err == nil; open-- {
		switch c := r.first(); {
		case c < fixMap, c >= negative, c == null, c == no, c == yes:
		case c < fixArray:
			open += 2 * uint64(c&0x0f)
		case c < fixString:
			open += uint64(c & 0x0f)
		case c < null:
			r.take(uint64(c & 0x1f))
		case c >= bin8 && c < ext8:
			r.take(r.number(1 << (c - bin8)))
		case c >= ext8 && c < float32_:
			r.take(r.number(1<<(c-ext8)) + 1)
		case c == float32_ || c == float64_:
			r.take(4 << (c - float32_))
		case c >= uint8_ && c <= uint64_:
			r.take(1 << (c - uint8_))
		case c >= int8_ && c <= int64_:
			r.take(1 << (c - int8_))
		case c >= fixExt1 && c <= fixExt16:
			r.take(1<<(c-fixExt1) + 1)
		case c >= string8 && c <= string32:
			r.take(r.number(1 << (c - string8)))
		case c == array16 || c == array32:
			open += uint64(r.size(r.number(2 << (c - array16))))
		case c == map16 || c == map32:
			open += 2 * uint64(r.size(r.number(2<<(c-map16))))
		default:
			r.fail("it contains a byte that begins nothing")
		}
	}
}
