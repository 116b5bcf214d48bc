package event

import (
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

const (
	epochDigits  = 8  // length of an epoch in a cursor's text
	seqDigits    = 16 // hex digits of a sequence in a cursor's text
	hexDigits    = "0123456789abcdef"
	cursorLength = epochDigits + 1 + seqDigits
)

// Cursor is a position in the log: a sequence of EVENTS, and the epoch of the
// stream it counts in. Clients treat its text as opaque. The zero Cursor is "not stored".
type Cursor struct {
	Epoch string // 8 characters of [0-9A-Za-z], renewed with the stream
	Seq   uint64 // JetStream sequence, from 1
}

// IsZero says that there is no position.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// String is "<epoch>-<16 lower-case hex digits>", so that cursors of one epoch
// sort as text; "" for the zero cursor.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	return string(c.append(make([]byte, 0, cursorLength)))
}

func (c Cursor) append(dst []byte) []byte {
	dst = append(append(dst, c.Epoch...), '-')
	for shift := 4 * (seqDigits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[c.Seq>>shift&15])
	}
	return dst
}

// ParseCursor reads what String wrote, and nothing else: code invalid_cursor.
func ParseCursor(s string) (Cursor, error) {
	if len(s) != cursorLength || s[epochDigits] != '-' {
		return Cursor{}, fault.Field(fault.InvalidCursor, "cursor", "is not the text of a cursor")
	}
	c := Cursor{Epoch: s[:epochDigits]}
	for i := range epochDigits {
		if !alphanumeric(s[i]) {
			return Cursor{}, fault.Field(fault.InvalidCursor, "cursor", "its epoch is not 8 letters and digits")
		}
	}
	for i := epochDigits + 1; i < cursorLength; i++ {
		digit := unhex(s[i])
		// Upper-case digits would give one position two texts that sort apart.
		if digit < 0 || 'A' <= s[i] && s[i] <= 'F' {
			return Cursor{}, fault.Field(fault.InvalidCursor, "cursor", "its sequence is not 16 lower-case hex digits")
		}
		c.Seq = c.Seq<<4 | uint64(digit)
	}
	return c, nil
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// unhex is the value of one hex digit in either case, or -1.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// Stored is where and when the log keeps an event. For a message that is not
// stored the cursor is zero, and Time may be its arrival.
type Stored struct {
	Cursor Cursor
	Time   time.Time
}
