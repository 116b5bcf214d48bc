package realtime

import (
	"encoding/json"
	"errors"
)

// Headers of requests on rt.….
const (
	// HeaderProbe, "1", asks who is there without delivering anything. The
	// event's type, if the request has one, narrows the question to connections
	// that want it.
	HeaderProbe = "Belfry-Probe"
	// HeaderType is the event's type, its code.
	HeaderType = "ce-type"
)

// Answer is what one gateway answers, to a probe and to an event that was sent as
// a request: JSON.
type Answer struct {
	Gateway     string `json:"gateway"`     // its id, another one after each start
	Connections int    `json:"connections"` // of the recipient, here, that want the event
	Gateways    int    `json:"gateways"`    // at how many gateways the recipient is, this one included
}

// maxGateways and maxConnections are more than any platform has; an answer above
// them is not a gateway's.
const (
	maxGateways    = 10_000
	maxConnections = 100_000_000
	maxAnswer      = 1024 // bytes
)

var errNoAnswer = errors.New("not the answer of a gateway")

// ParseAnswer reads an Answer, and refuses what no gateway says.
func ParseAnswer(data []byte) (a Answer, err error) {
	if len(data) > maxAnswer {
		return a, errNoAnswer
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return Answer{}, errNoAnswer
	}
	if a.Gateway == "" || a.Connections < 0 || a.Connections > maxConnections || a.Gateways < 0 || a.Gateways > maxGateways {
		return Answer{}, errNoAnswer
	}
	return a, nil
}

// Reach is what the gateways' answers come to.
type Reach struct {
	Gateways    int  // that answered
	Connections int  // that were reached, or would be
	Complete    bool // every gateway that was to answer has
}

// gathering is what has been answered so far.
type gathering struct {
	seen   map[string]bool
	expect int // answers, as far as known
	reach  Reach
}

// add counts one answer, once per gateway.
func (g *gathering) add(a Answer) {
	if g.seen[a.Gateway] {
		return
	}
	if g.seen == nil {
		g.seen = map[string]bool{}
	}
	g.seen[a.Gateway] = true
	g.expect = max(g.expect, a.Gateways, 1)
	g.reach.Gateways++
	g.reach.Connections += a.Connections
	g.reach.Complete = g.reach.Gateways >= g.expect
}
