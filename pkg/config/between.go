package config

import (
	"fmt"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Between is nil, or says that a key's value is outside its bounds, in the words that
// settings are written in; cmp.Or of several says the first. Code invalid_config.
func Between[T int | time.Duration](key string, value, low, high T) error {
	if value >= low && value <= high {
		return nil
	}
	return fault.Field(fault.InvalidConfig, key, "%s is outside %s to %s", written(value), written(low), written(high))
}

func written[T int | time.Duration](v T) string {
	if d, ok := any(v).(time.Duration); ok {
		return formatDuration(d)
	}
	return fmt.Sprint(v)
}
