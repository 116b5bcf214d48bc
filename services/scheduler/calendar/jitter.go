package calendar

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

// Offset is how much later than its nominal time an occurrence is due, so that
// ten thousand schedules of seven o'clock do not come in one second: at least 0
// and less than Jitter, to the millisecond. It is a function of the schedule's
// id and the nominal time, so every replica, and every restart, says the same.
//
// An offset does not change what Next, Last and Missed say: those speak of
// nominal times. Where the jitter is longer than the distance between two
// fires, the second may be due before the first.
func (r Rule) Offset(id string, nominal time.Time) time.Duration {
	steps := uint64(r.Jitter / time.Millisecond)
	if steps == 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(id))
	h.Write(binary.BigEndian.AppendUint64([]byte{0}, uint64(nominal.UnixNano())))
	return time.Duration(spread(h.Sum64())%steps) * time.Millisecond
}

// spread makes neighbours strangers (the finalizer of splitmix64): FNV alone
// leaves the low bits of times that differ in one byte close to each other.
func spread(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
