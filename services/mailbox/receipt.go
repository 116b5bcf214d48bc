package mailbox

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
)

// receipt says which lock confirmed a message.
type receipt struct{ seq, lock uint64 }

// maxReceipts is for how many messages a repeated Confirm is recognised (MB3).
const maxReceipts = 100

// receiptRing is the last receipts, oldest first. Its text is base64 of 16 bytes
// each: with every confirm the document is written, so it is kept short.
type receiptRing []receipt

const receiptSize = 16

// and is the ring with one more in it.
func (r receiptRing) and(v receipt) receiptRing {
	if len(r) >= maxReceipts {
		r = r[len(r)-maxReceipts+1:]
	}
	return append(r, v)
}

// of is the receipt of a message.
func (r receiptRing) of(seq uint64) (receipt, bool) {
	for _, v := range slices.Backward(r) {
		if v.seq == seq {
			return v, true
		}
	}
	return receipt{}, false
}

// MarshalText implements encoding.TextMarshaler.
func (r receiptRing) MarshalText() ([]byte, error) {
	b := make([]byte, 0, len(r)*receiptSize)
	for _, v := range r {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, v.seq), v.lock)
	}
	return base64.RawStdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *receiptRing) UnmarshalText(text []byte) error {
	b, err := base64.RawStdEncoding.AppendDecode(nil, text)
	if err != nil || len(b)%receiptSize != 0 {
		return fmt.Errorf("%d bytes are no receipts", len(text))
	}
	*r = make(receiptRing, len(b)/receiptSize)
	for i := range *r {
		at := b[i*receiptSize:]
		(*r)[i] = receipt{binary.BigEndian.Uint64(at), binary.BigEndian.Uint64(at[8:])}
	}
	return nil
}
