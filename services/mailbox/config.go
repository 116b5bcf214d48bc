package mailbox

import (
	"cmp"
	"time"

	"github.com/belfry-events/belfry/pkg/config"
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
	return cmp.Or(
		config.Between("mailbox.expire_after", c.ExpireAfter, time.Hour, 10*365*24*time.Hour),
		config.Between("mailbox.warn_before", c.WarnBefore, 0, c.ExpireAfter),
		config.Between("mailbox.grace", c.Grace, 0, 365*24*time.Hour),
		config.Between("mailbox.sweep_every", c.SweepEvery, time.Second, time.Hour),
		config.Between("mailbox.max_subscriptions", c.MaxSubscriptions, 1, 100_000),
		config.Between("mailbox.max_locks", c.MaxLocks, 1, 10_000),
		config.Between("mailbox.max_backlog", c.MaxBacklog, 1, 1<<40),
		config.Between("mailbox.look_every", c.LookEvery, time.Second, time.Minute),
	)
}
