package lean

import (
	"encoding/binary"
	"sync"
)

// First bytes of whole frames: unmasked, as servers send them, and not
// fragmented (RFC 6455 §5.2).
const (
	finText   = 0x81
	finBinary = 0x82
	finClose  = 0x88
)

// AppendHeader begins a data frame of a size.
func AppendHeader(b []byte, binaryData bool, size int) []byte {
	first := byte(finText)
	if binaryData {
		first = finBinary
	}
	switch {
	case size < 126:
		return append(b, first, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, first, 126), uint16(size))
	default:
		return binary.BigEndian.AppendUint64(append(b, first, 127), uint64(size))
	}
}

// buffers hold a batch while it is written, so that idle connections have none.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// Buffer is an empty one, to be given back by Free.
func Buffer() *[]byte {
	p := buffers.Get().(*[]byte) //nolint:errcheck,forcetypeassert // nothing else is ever put there
	*p = (*p)[:0]
	return p
}

// Free gives b back, which has grown to its present size.
func Free(p *[]byte) {
	const rare = 128 << 10 // a huge event's must not stay
	if cap(*p) <= rare {
		buffers.Put(p)
	}
}
