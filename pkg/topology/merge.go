package topology

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Settings that JetStream does not change on what exists, by their JSON names.
var (
	fixedForStreams = []string{"storage", "retention", "mirror", "allow_msg_counter", "persist_mode", "first_seq"}
	// onlyOn can be switched on, and never off again.
	onlyOn            = []string{"sealed", "deny_delete", "deny_purge", "allow_msg_ttl", "allow_msg_schedules"}
	fixedForConsumers = []string{
		"deliver_policy", "ack_policy", "replay_policy", "mem_storage", "priority_policy", "max_waiting",
	}
	// onlyAtCreation say where a new consumer begins; later they mean nothing.
	onlyAtCreation = []string{"opt_start_seq", "opt_start_time"}
)

// merge is want with the fixed settings of have. changed and fixed name the
// settings that differ: those that can be changed and those that cannot.
func merge[T any](have, want T, unchangeable []string) (merged T, changed, fixed []string, err error) {
	h, err := asMap(have)
	if err != nil {
		return merged, nil, nil, err
	}
	w, err := asMap(want)
	if err != nil {
		return merged, nil, nil, err
	}
	for _, field := range differing(h, w) {
		stuck := slices.Contains(onlyOn, field) && w[field] != true
		if !stuck && !slices.Contains(unchangeable, field) {
			changed = append(changed, field)
			continue
		}
		fixed = append(fixed, field)
		if v, ok := h[field]; ok {
			w[field] = v
		} else {
			delete(w, field)
		}
	}
	b, err := json.Marshal(w)
	if err == nil {
		err = json.Unmarshal(b, &merged)
	}
	if err != nil {
		return merged, nil, nil, fmt.Errorf("merge settings: %w", err)
	}
	return merged, changed, fixed, nil
}

func asMap(v any) (m map[string]any, err error) {
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return nil, fmt.Errorf("compare settings: %w", err)
	}
	return m, nil
}

// differing lists the keys whose values differ, sorted. Absent is the zero
// value: JetStream's JSON leaves most of those out, but not all.
func differing(a, b map[string]any) (fields []string) {
	zero := func(v any) any {
		switch v {
		case nil, false, float64(0), "":
			return nil
		}
		if m, ok := v.(map[string]any); ok && len(m) == 0 {
			return nil
		}
		return v
	}
	for k, v := range a {
		if !reflect.DeepEqual(zero(v), zero(b[k])) {
			fields = append(fields, k)
		}
	}
	for k, v := range b {
		if _, both := a[k]; !both && zero(v) != nil {
			fields = append(fields, k)
		}
	}
	slices.Sort(fields)
	return fields
}

// asStored fills in what the server fills in, so that a stream does not differ
// from its own definition.
func asStored(c jetstream.StreamConfig) jetstream.StreamConfig {
	unlimited := func(n int64) int64 {
		if n == 0 {
			return -1
		}
		return n
	}
	c.MaxMsgs, c.MaxBytes = unlimited(c.MaxMsgs), unlimited(c.MaxBytes)
	c.MaxMsgsPerSubject = unlimited(c.MaxMsgsPerSubject)
	c.MaxMsgSize = int32(unlimited(int64(c.MaxMsgSize)))
	c.MaxConsumers = int(unlimited(int64(c.MaxConsumers)))
	c.Replicas = max(c.Replicas, 1)
	if c.Duplicates == 0 && c.Mirror == nil && len(c.Sources) == 0 {
		c.Duplicates = duplicates
		if c.MaxAge > 0 {
			c.Duplicates = min(c.Duplicates, c.MaxAge)
		}
	}
	// Delete markers need both; schedules need rollup.
	c.AllowMsgTTL = c.AllowMsgTTL || c.SubjectDeleteMarkerTTL > 0
	c.AllowRollup = c.AllowRollup || c.SubjectDeleteMarkerTTL > 0 || c.AllowMsgSchedules
	return c
}

// withServers is our metadata and what others, the server among them, wrote
// beside it. The map is a new one.
func withServers(ours, stored map[string]string) map[string]string {
	all := make(map[string]string, len(ours)+len(stored)+2)
	maps.Copy(all, stored)
	maps.Copy(all, ours)
	return all
}
