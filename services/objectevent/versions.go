package objectevent

// versions remembers the last versions of objects, the most recent ones, so that an
// operation that comes out of order is seen. It lives as long as a worker is in its
// place, and is a guard against mistakes, not a record: what is too old to be in it
// goes through, and what is in the trash has its version there.
//
// Two generations: the older one is thrown away when the younger one is full.
type versions struct {
	young, old map[string]int64
}

// generation is how many objects one holds; with eight partitions some 15 MiB at
// most, at names of 50 bytes.
const generation = 8192

func newVersions() *versions {
	return &versions{young: map[string]int64{}, old: map[string]int64{}}
}

func (v *versions) last(object string) (int64, bool) {
	n, ok := v.young[object]
	if !ok {
		n, ok = v.old[object]
	}
	return n, ok
}

func (v *versions) set(object string, n int64) {
	if len(v.young) >= generation {
		v.young, v.old = map[string]int64{}, v.young
	}
	v.young[object] = n
}

func (v *versions) forget(object string) {
	delete(v.young, object)
	delete(v.old, object)
}
