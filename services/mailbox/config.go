package mailbox

import (
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Config is what an operator may set; keys are under "mailbox.".
type Config struct {
	ExpireAfter      time.Duration `config:"mailbox.expire_after" usage:"a subscriber that polls none of its mailboxes for so long loses them with their backlog"`
	WarnBefore       time.Duration `config:"mailbox.warn_before" usage:"how long before that the event mailboxes.expiring says so"`
	Grace            time.Duration `config:"mailbox.grace" usage:"how long nothing expires after the platform itself was down"`
	SweepEvery       time.Duration `config:"mailbox.sweep_every" usage:"how often expired mailboxes are looked for"`
	MaxSubscriptions int           `config:"mailbox.max_subscriptions" usage:"mailboxes one subscriber may have"`
	MaxLocks         int           `config:"mailbox.max_locks" usage:"messages one subscriber may hold received and unconfirmed"`
	MaxBacklog       int           `config:"mailbox.max_backlog" usage:"messages waiting for one subscriber above which replay and redrive are refused; events are always kept"`
	LookEvery        time.Duration `config:"mailbox.look_every" usage:"how often a waiting Peek looks for itself, should a notice be lost"`
}

// Default is the ITAS text's ten days, and quotas that no partner in good order
// meets.
func Default() Config {
	return Config{
		ExpireAfter:      10 * 24 * time.Hour,
		WarnBefore:       24 * time.Hour,
		Grace:            24 * time.Hour,
		SweepEvery:       5 * time.Minute,
		MaxSubscriptions: 1000,
		MaxLocks:         256,
		MaxBacklog:       1_000_000,
		LookEvery:        10 * time.Second,
	}
}

// Validate names the first key whose value is impossible; code invalid_config.
func (c Config) Validate() error {
	for _, n := range []struct {
		key      string
		value    int64
		min, max int64
	}{
		{"mailbox.expire_after", int64(c.ExpireAfter), int64(time.Hour), int64(10 * 365 * 24 * time.Hour)},
		{"mailbox.warn_before", int64(c.WarnBefore), 0, int64(c.ExpireAfter)},
		{"mailbox.grace", int64(c.Grace), 0, int64(365 * 24 * time.Hour)},
		{"mailbox.sweep_every", int64(c.SweepEvery), int64(time.Second), int64(time.Hour)},
		{"mailbox.max_subscriptions", int64(c.MaxSubscriptions), 1, 100_000},
		{"mailbox.max_locks", int64(c.MaxLocks), 1, 10_000},
		{"mailbox.max_backlog", int64(c.MaxBacklog), 1, 1 << 40},
		{"mailbox.look_every", int64(c.LookEvery), int64(time.Second), int64(time.Minute)},
	} {
		if n.value < n.min || n.value > n.max {
			return fault.Field(fault.InvalidConfig, n.key, "%d is outside %d to %d", n.value, n.min, n.max)
		}
	}
	return nil
}
