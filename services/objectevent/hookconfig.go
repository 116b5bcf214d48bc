package objectevent

import (
	"net/netip"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

// HookConfig is what an operator may set about before-events; keys are under
// "objectevent.".
type HookConfig struct {
	Budget      time.Duration `config:"objectevent.hook_budget" usage:"how long BeforeDelete may take in all, however many hooks there are"`
	DeletionTTL time.Duration `config:"objectevent.deletion_ttl" usage:"how long a verdict holds: the deletion must be reported by then"`
	Networks    []string      `config:"objectevent.hook_networks" usage:"private networks that hooks may be called in, e.g. 10.0.0.0/8,127.0.0.1/32, also over plain http; empty = public addresses over https only"`
	CA          string        `config:"objectevent.hook_ca" usage:"PEM file of authorities that hooks' certificates are checked against; empty = the system's"`
	KeyFile     string        `config:"objectevent.hook_key_file" usage:"file with keys, one per line, that hooks' secrets are sealed with in the store: the first seals, all open; empty = they lie there as they are"`
	MaxHooks    int           `config:"objectevent.max_hooks" usage:"hooks that one tenant may register"`
	Failures    int           `config:"objectevent.hook_failures" usage:"failures in a row after which a hook is not asked for a while"`
	Pause       time.Duration `config:"objectevent.hook_pause" usage:"how long it is not asked, before one call tries it again"`
}

// DefaultHooks are the defaults. Five seconds are what a person who has clicked on
// "delete" still waits for; Kubernetes gives its webhooks ten.
func DefaultHooks() HookConfig {
	return HookConfig{
		Budget: 5 * time.Second, DeletionTTL: 15 * time.Minute,
		MaxHooks: 64, Failures: 5, Pause: 30 * time.Second,
	}
}

// maxBudget is below the minute for which NATS keeps the way back of a call open.
const maxBudget = 30 * time.Second

// Validate names the first key whose value is impossible; code invalid_config.
func (c HookConfig) Validate() error {
	invalid := func(key, format string, args ...any) error {
		return fault.Field(fault.InvalidConfig, "objectevent."+key, format, args...)
	}
	if _, err := c.networks(); err != nil {
		return invalid("hook_networks", "%s", err)
	}
	switch {
	case c.Budget < 100*time.Millisecond || c.Budget > maxBudget:
		return invalid("hook_budget", "%s is outside 100ms to %s", c.Budget, maxBudget)
	case c.DeletionTTL < time.Second || c.DeletionTTL > deletionsKept:
		return invalid("deletion_ttl", "%s is outside 1s to %s", c.DeletionTTL, deletionsKept)
	case c.MaxHooks < 1 || c.MaxHooks > 256:
		return invalid("max_hooks", "%d is outside 1 to 256", c.MaxHooks)
	case c.Failures < 1 || c.Failures > 1000:
		return invalid("hook_failures", "%d is outside 1 to 1000", c.Failures)
	case c.Pause < time.Second || c.Pause > time.Hour:
		return invalid("hook_pause", "%s is outside 1s to 1h", c.Pause)
	}
	return nil
}

// networks are the private networks that are allowed.
func (c HookConfig) networks() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range c.Networks {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
