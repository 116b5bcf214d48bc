package topology

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/fault"
)

const (
	infoTimeout    = 5 * time.Second
	streamNotFound = 10059 // JetStream's code for a stream that does not exist
)

// Log is where EVENTS stands.
type Log struct {
	Epoch   string // changes when the stream is created anew
	Version int    // topology version of the stream, 0 if it carries none
	First   uint64 // sequence of the oldest message kept; Last+1 when there is none
	Last    uint64 // sequence of the newest message, 0 before the first
}

// EventsState asks the leader of EVENTS where the log stands: only leaders
// answer STREAM.INFO, so a publish acknowledged before the call is in Last. It
// needs no other permission than that one subject. Codes unavailable, and
// stream_lost when there is no such stream.
func EventsState(ctx context.Context, nc *nats.Conn) (Log, error) {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.INFO."+Events, nil)
	if err != nil {
		return Log{}, fault.Wrap(fault.Unavailable, err, "the log does not answer")
	}
	var info struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
		Config struct {
			Metadata map[string]string `json:"metadata"`
		} `json:"config"`
		State struct {
			First uint64 `json:"first_seq"`
			Last  uint64 `json:"last_seq"`
			Count uint64 `json:"messages"`
		} `json:"state"`
	}
	if err := json.Unmarshal(m.Data, &info); err != nil {
		return Log{}, fmt.Errorf("read the state of %s: %w", Events, err)
	}
	switch {
	case info.Error != nil && info.Error.Code == streamNotFound:
		return Log{}, fault.Wrap(fault.StreamLost, errors.New(info.Error.Description), "there is no stream %s", Events)
	case info.Error != nil:
		return Log{}, fault.Wrap(fault.Unavailable, errors.New(info.Error.Description), "the log does not answer")
	}
	l := Log{Epoch: info.Config.Metadata[EpochKey], First: info.State.First, Last: info.State.Last}
	l.Version = version(info.Config.Metadata)
	if info.State.Count == 0 {
		l.First = l.Last + 1
	}
	return l, nil
}

// version is the topology version in a stream's metadata, 0 if there is none.
func version(metadata map[string]string) int {
	v, err := strconv.Atoi(metadata[VersionKey])
	if err != nil {
		return 0 // not ours, or from before there were versions
	}
	return v
}
