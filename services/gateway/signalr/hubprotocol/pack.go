package hubprotocol

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
)

// What we write and read of MessagePack is this small, works on bytes that are
// all there, and must not trust a length it reads; a library for it would be
// asked for ten of its functions.

// First bytes (MessagePack specification, "formats"). Those with a size in their
// low bits are named fix…. Formats that come in several sizes lie one behind the
// other, from the smallest: uint8_+1 is that of 16 bits.
const (
	fixMap    = 0x80 // to 0x8f
	fixArray  = 0x90 // to 0x9f
	fixString = 0xa0 // to 0xbf
	null      = 0xc0
	unused    = 0xc1
	no        = 0xc2
	yes       = 0xc3
	bin8      = 0xc4 // 16 and 32 follow, as with all of these
	ext8      = 0xc7
	float32_  = 0xca
	float64_  = 0xcb
	uint8_    = 0xcc
	uint64_   = 0xcf
	int8_     = 0xd0
	int64_    = 0xd3
	fixExt1   = 0xd4 // 2, 4, 8 and 16 follow
	fixExt16  = 0xd8
	string8   = 0xd9
	string16  = 0xda
	string32  = 0xdb
	array16   = 0xdc
	array32   = 0xdd
	map16     = 0xde
	map32     = 0xdf
	negative  = 0xe0 // to 0xff: -32 to -1
)

func packArray(b []byte, n int) []byte { return packSize(b, n, 15, fixArray, array16) }
func packMap(b []byte, n int) []byte   { return packSize(b, n, 15, fixMap, map16) }

// packSize writes how many elements follow, in the least bytes.
func packSize(b []byte, n, most int, fix, size16 byte) []byte {
	switch {
	case n <= most:
		return append(b, fix|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, size16), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, size16+1), uint32(n))
}

func packString(b []byte, s string) []byte {
	if n := len(s); n > 31 && n <= math.MaxUint8 {
		b = append(b, string8, byte(n))
	} else {
		b = packSize(b, n, 31, fixString, string16)
	}
	return append(b, s...)
}

func packStringOrNil(b []byte, s string) []byte {
	if s == "" {
		return append(b, null)
	}
	return packString(b, s)
}

func packBool(b []byte, v bool) []byte {
	if v {
		return append(b, yes)
	}
	return append(b, no)
}

// packInt writes a whole number in the least bytes.
func packInt(b []byte, n int64) []byte {
	switch {
	case n >= 0:
		return packUint(b, uint64(n))
	case n >= -32:
		return append(b, byte(n))
	case n >= math.MinInt8:
		return append(b, int8_, byte(n))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, int8_+1), uint16(n))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, int8_+2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, int64_), uint64(n))
}

func packUint(b []byte, n uint64) []byte {
	switch {
	case n <= math.MaxInt8:
		return append(b, byte(n))
	case n <= math.MaxUint8:
		return append(b, uint8_, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, uint8_+1), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, uint8_+2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, uint64_), n)
}

// packJSON writes a JSON value, members in their order. Sizes come before
// elements, so the text is read twice: to count, and to write. What is no JSON
// is written as nil.
func packJSON(b []byte, text json.RawMessage) []byte {
	sizes, ok := countJSON(text)
	if !ok {
		return append(b, null)
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	for {
		token, err := in.Token()
		if err != nil { // the end: countJSON has seen it all
			return b
		}
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{':
				b, sizes = packMap(b, sizes[0]/2), sizes[1:]
			case '[':
				b, sizes = packArray(b, sizes[0]), sizes[1:]
			default: // an end
			}
		case string:
			b = packString(b, v)
		case json.Number:
			b = packNumber(b, v.String())
		case bool:
			b = packBool(b, v)
		default:
			b = append(b, null)
		}
	}
}

// countJSON answers how many values are in each object (names count, too) and
// array, in the order in which they begin.
func countJSON(text []byte) (sizes []int, ok bool) {
	if !json.Valid(text) {
		return nil, false
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	var open []int // of sizes
	for {
		token, err := in.Token()
		if err != nil {
			return sizes, true
		}
		d, isDelim := token.(json.Delim)
		if isDelim && (d == '}' || d == ']') {
			open = open[:len(open)-1]
			continue
		}
		if len(open) > 0 {
			sizes[open[len(open)-1]]++
		}
		if isDelim {
			sizes = append(sizes, 0)
			open = append(open, len(sizes)-1)
		}
	}
}

// packNumber writes whole numbers as such, and everything else as a float.
func packNumber(b []byte, text string) []byte {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && text != "-0" {
		return packInt(b, n)
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return packUint(b, n)
	}
	f, _ := strconv.ParseFloat(text, 64) // above the range: infinity, the nearest there is
	return binary.BigEndian.AppendUint64(append(b, float64_), math.Float64bits(f))
}
