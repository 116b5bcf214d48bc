package objectevent

import (
	"hash/fnv"
	"strconv"
	"time"
)

// A change that says it follows from maxAlertDepth alerts may be one of a circle
// through a program outside. It may also be anybody's: who publishes chooses its
// attributes, and no rule is to be silenced by what a change says of itself. So it is
// neither believed nor ignored. It raises its alerts like any other, but as if with a
// throttle: a rule raises at most one alert in deepThrottle about such changes in each
// of deepGroups groups of objects, whether it is one object that goes in a circle, or
// each time another.
const (
	deepThrottle = time.Minute
	deepGroups   = 16

	depthName = "alertdepth" // extension: how many alerts led to this change
)

// depth is how many alerts led to a change, as it says, up to maxAlertDepth.
func (c *change) depth() int {
	n := 0
	switch v := c.Extensions[depthName].(type) {
	case string:
		n, _ = strconv.Atoi(v) // what is no number is none
	case int32:
		n = int(v)
	}
	return min(max(n, 0), maxAlertDepth)
}

// deep says that a change says it follows from as many alerts as may be.
func (c *change) deep() bool { return c.depth() == maxAlertDepth }

// deepGroup is the group of objects that a deep change counts in, as a throttle names
// it: no object is named so.
func (c *change) deepGroup() string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(c.object())) // a hash never fails
	return "\x00deep " + strconv.Itoa(int(h.Sum32()%deepGroups))
}
