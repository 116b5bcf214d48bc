package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Remove deletes a message, without overwriting its bytes, which takes 200 times as
// long. That it is not there is no error.
func (s Stream) Remove(ctx context.Context, seq uint64) error {
	return s.delete(ctx, fmt.Appendf(nil, `{"seq":%d,"no_erase":true}`, seq), seq)
}

// Erase deletes a message and overwrites its bytes on the disk. That it is not there is
// no error.
func (s Stream) Erase(ctx context.Context, seq uint64) error {
	return s.delete(ctx, fmt.Appendf(nil, `{"seq":%d}`, seq), seq)
}

// delete takes the leader's word for what a refusal means: its code does not tell a
// message that has gone from one that could not be deleted.
func (s Stream) delete(ctx context.Context, body []byte, seq uint64) error {
	failed := s.Call(ctx, "STREAM.MSG.DELETE", body, &struct{}{})
	if _, refused := errors.AsType[*jetstream.APIError](failed); !refused {
		return failed
	}
	if _, there, err := s.At(ctx, seq); err != nil || there {
		return errors.Join(failed, err)
	}
	return nil
}

// Purge deletes what matches filter and lies below a sequence; 0 = all of it.
func (s Stream) Purge(ctx context.Context, filter string, below uint64) error {
	body, err := json.Marshal(struct {
		Filter string `json:"filter"`
		Below  uint64 `json:"seq,omitempty"`
	}{filter, below})
	if err != nil {
		return fmt.Errorf("ask stream %s: %w", s.Name, err)
	}
	return s.Call(ctx, "STREAM.PURGE", body, &struct{}{})
}
