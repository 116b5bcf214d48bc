package objectevent

import (
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Config is what an operator may set; keys are under "objectevent.".
type Config struct {
	ReportWait time.Duration `config:"objectevent.report_wait" usage:"how long Report waits for the events of its operations before it answers that they are queued"`
	Linger     time.Duration `config:"objectevent.linger" usage:"how long a batch of operations waits to be filled; 0 takes what is there"`
	Hooks      HookConfig
	Alerts     AlertConfig
}

// Default suits a machine of any size. Batches fill themselves while the one before
// is being stored, so waiting for more would only make each one later.
func Default() Config {
	return Config{ReportWait: 5 * time.Second, Hooks: DefaultHooks(), Alerts: DefaultAlerts()}
}

// maxLinger is what an event may be late for the sake of its batch.
const maxLinger = time.Second

// Validate names the first key whose value is impossible; code invalid_config.
func (c Config) Validate() error {
	switch {
	case c.ReportWait < 0 || c.ReportWait > time.Minute:
		return fault.Field(fault.InvalidConfig, "objectevent.report_wait", "%s is outside 0s to 1m", c.ReportWait)
	case c.Linger < 0 || c.Linger > maxLinger:
		return fault.Field(fault.InvalidConfig, "objectevent.linger", "%s is outside 0s to %s", c.Linger, maxLinger)
	}
	if err := c.Hooks.Validate(); err != nil {
		return err
	}
	return c.Alerts.Validate()
}
