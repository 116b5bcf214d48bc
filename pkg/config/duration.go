package config

import (
	"errors"
	"time"

	"github.com/spf13/pflag"
)

// aDuration is what people may write for one.
const aDuration = "a duration such as 30s, 10m, 1h30m or 14d"

// DurationVar adds a flag that is written as settings are, in days, too; it sets d,
// which has its default now.
func DurationVar(fs *pflag.FlagSet, d *time.Duration, name string, byDefault time.Duration, usage string) {
	*d = byDefault
	fs.Var((*durationFlag)(d), name, usage)
}

type durationFlag time.Duration

// Set is pflag's.
func (f *durationFlag) Set(s string) error {
	d, err := parseDuration(s)
	if err != nil {
		return errors.New("is not " + aDuration)
	}
	*f = durationFlag(d)
	return nil
}

// String is pflag's; --help shows no default of "0".
func (f *durationFlag) String() string {
	if *f == 0 {
		return "0"
	}
	return formatDuration(time.Duration(*f))
}

// Type is the word in --help.
func (f *durationFlag) Type() string { return "duration" }
