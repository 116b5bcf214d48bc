package scheduler

import (
	"cmp"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/services/scheduler/calendar"
)

// Config is what an operator may set; keys are under "scheduler.".
type Config struct {
	// The default is UTC, not the zone of the machine: every replica must have the
	// same one, and the machine's is whatever its image was built with. Nor is it
	// any country's: a wrong noon that looks right is found late.
	Zone          string        `config:"scheduler.zone" usage:"time zone of the platform's clock times, an IANA name such as Europe/Prague"`
	Zones         []string      `config:"scheduler.zones" usage:"tenants with clock times in a zone of their own, each tenant=zone"`
	Clock         []string      `config:"scheduler.clock" usage:"clock times and intervals other than the usual, each name=value: Noon=12:02, timeNew=2m, EOD=off"`
	MaxPerTenant  int           `config:"scheduler.max_per_tenant" usage:"schedules one tenant may have"`
	KeepEnded     time.Duration `config:"scheduler.keep_ended" usage:"how long a schedule that will not fire again is still shown"`
	NotifyTimeout time.Duration `config:"scheduler.notify_timeout" usage:"how long one notice to windows may take"`
	NotifyAtOnce  int           `config:"scheduler.notify_at_once" usage:"notices under way at once"`
}

// Default is a Config with the times of the AyMINE text.
func Default() Config {
	return Config{
		Zone:          "UTC",
		MaxPerTenant:  100_000,
		KeepEnded:     7 * 24 * time.Hour,
		NotifyTimeout: 5 * time.Second,
		NotifyAtOnce:  64,
	}
}

// Validate names the first key whose value is impossible; code invalid_config.
func (c Config) Validate() error {
	if err := cmp.Or(
		config.Between("scheduler.max_per_tenant", c.MaxPerTenant, 1, 10_000_000),
		config.Between("scheduler.keep_ended", c.KeepEnded, time.Second, 366*24*time.Hour),
		config.Between("scheduler.notify_timeout", c.NotifyTimeout, 100*time.Millisecond, time.Minute),
		config.Between("scheduler.notify_at_once", c.NotifyAtOnce, 1, 4096),
	); err != nil {
		return err
	}
	_, err := c.strikes(time.Now())
	return err
}

// zoneOfTenant is one entry of Zones.
type zoneOfTenant struct{ tenant, zone string }

// zones are the platform's zone and those of tenants.
func (c Config) zones() ([]zoneOfTenant, error) {
	list := []zoneOfTenant{{subject.Platform, c.Zone}}
	if _, err := calendar.Zone(c.Zone); err != nil {
		return nil, fault.Field(fault.InvalidConfig, "scheduler.zone", "%q is no time zone of the IANA list (Europe/Prague)", c.Zone)
	}
	seen := map[string]bool{}
	for _, entry := range c.Zones {
		tenant, zone, ok := strings.Cut(entry, "=")
		tenant, zone = strings.TrimSpace(tenant), strings.TrimSpace(zone)
		if !ok || subject.CheckTenant(tenant) != nil {
			return nil, fault.Field(fault.InvalidConfig, "scheduler.zones", "%q is not tenant=zone", entry)
		}
		if _, err := calendar.Zone(zone); err != nil || zone == "" {
			return nil, fault.Field(fault.InvalidConfig, "scheduler.zones", "%s: %q is no time zone of the IANA list (Europe/Prague)", tenant, zone)
		}
		if seen[tenant] {
			return nil, fault.Field(fault.InvalidConfig, "scheduler.zones", "%s is there twice", tenant)
		}
		seen[tenant] = true
		list = append(list, zoneOfTenant{tenant, zone})
	}
	return list, nil
}
