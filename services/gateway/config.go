package gateway

import (
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Config is what an operator may set; keys are under "gateway.".
type Config struct {
	PingEvery            time.Duration `config:"gateway.ping_every" usage:"how often an idle connection is pinged; one that answers nothing for twice as long is dropped"`
	QueueBytes           int           `config:"gateway.queue_bytes" usage:"bytes that may wait for one connection before it is closed as slow"`
	WriteTimeout         time.Duration `config:"gateway.write_timeout" usage:"how long one write to a connection may take"`
	StoreTimeout         time.Duration `config:"gateway.store_timeout" usage:"how long a publisher over HTTP waits for the log to confirm"`
	MaxSubscriptions     int           `config:"gateway.max_subscriptions" usage:"subscriptions one connection may hold"`
	MaxConnections       int           `config:"gateway.max_connections" usage:"connections this process may hold; 0 = no limit"`
	MaxUserConnections   int           `config:"gateway.max_user_connections" usage:"connections one user may have on this process; 0 = no limit"`
	MaxTenantConnections int           `config:"gateway.max_tenant_connections" usage:"connections all users of a tenant may have on this process; 0 = no limit"`
	MaxFrameRate         int           `config:"gateway.max_frame_rate" usage:"frames per second one client may send, after five seconds' worth at once; 0 = no limit"`
	MaxFrameBytes        int           `config:"gateway.max_frame_bytes" usage:"largest frame a client may send"`
	CheckEvery           time.Duration `config:"gateway.check_every" usage:"how often the live feed is compared with the log"`
	LogReads             int           `config:"gateway.log_reads" usage:"pages of the log read at once for clients that resume"`
	RecentBytes          int           `config:"gateway.recent_bytes" usage:"bytes of recent events kept in memory, so that clients that come back soon need not read the log; 0 = none"`
	RecentFor            time.Duration `config:"gateway.recent_for" usage:"how long recent events are kept in memory"`
	ExpiryWarning        time.Duration `config:"gateway.expiry_warning" usage:"how long before its token's end a client is told to send a newer one"`
	DrainWindow          time.Duration `config:"gateway.drain_window" usage:"over how long a gateway that stops spreads the goodbyes to its connections; shorter if there are few"`
	PresenceGrace        time.Duration `config:"gateway.presence_grace" usage:"how long a user whose last connection closed stays online, so that a page that loads anew does not flap; the same on all gateways"`
	AllowedOrigins       []string      `config:"gateway.allowed_origins" usage:"hosts of browser pages, beside our own, that may open connections; * allows all"`
	Compression          bool          `config:"gateway.compression" usage:"compress what goes to WebSockets that can take it (permessage-deflate): less on the line, several times the CPU for each event and connection"`
	Console              bool          `config:"gateway.console" usage:"serve the console page at /"`
}

// Default is a Config that suits a machine of any size.
func Default() Config {
	return Config{
		PingEvery:        25 * time.Second, // below the 60 s at which common proxies drop a silent socket
		QueueBytes:       1 << 20,
		WriteTimeout:     10 * time.Second,
		StoreTimeout:     10 * time.Second,
		MaxSubscriptions: 128,
		MaxFrameBytes:    64 << 10,
		MaxFrameRate:     100, // a program that subscribes to all it wants at once, and nobody's fingers
		CheckEvery:       3 * time.Second,
		LogReads:         64,
		ExpiryWarning:    30 * time.Second,
		DrainWindow:      5 * time.Second, // with the time to leave below the 30 s that Kubernetes gives
		PresenceGrace:    3 * time.Second, // longer than a page, or an event stream's retry, takes to come back
		RecentBytes:      32 << 20,
		RecentFor:        time.Minute, // longer than a restart or a change of networks takes
		Console:          true,
	}
}

// Validate names the first key whose value is impossible; code invalid_config.
func (c Config) Validate() error {
	for _, n := range []struct {
		key      string
		value    int64
		min, max int64
	}{
		{"gateway.ping_every", int64(c.PingEvery), int64(time.Second), int64(time.Hour)},
		{"gateway.queue_bytes", int64(c.QueueBytes), 64 << 10, 1 << 30},
		{"gateway.write_timeout", int64(c.WriteTimeout), int64(time.Second), int64(time.Hour)},
		{"gateway.store_timeout", int64(c.StoreTimeout), int64(time.Second), int64(time.Hour)},
		{"gateway.max_subscriptions", int64(c.MaxSubscriptions), 1, 10_000},
		{"gateway.max_connections", int64(c.MaxConnections), 0, 10_000_000},
		{"gateway.max_user_connections", int64(c.MaxUserConnections), 0, 10_000_000},
		{"gateway.max_tenant_connections", int64(c.MaxTenantConnections), 0, 10_000_000},
		{"gateway.max_frame_rate", int64(c.MaxFrameRate), 0, 1_000_000},
		{"gateway.max_frame_bytes", int64(c.MaxFrameBytes), 1 << 10, 16 << 20},
		{"gateway.check_every", int64(c.CheckEvery), int64(100 * time.Millisecond), int64(time.Hour)},
		{"gateway.log_reads", int64(c.LogReads), 1, 4096},
		{"gateway.expiry_warning", int64(c.ExpiryWarning), 0, int64(time.Hour)},
		{"gateway.drain_window", int64(c.DrainWindow), 0, int64(10 * time.Minute)},
		{"gateway.presence_grace", int64(c.PresenceGrace), 0, int64(time.Minute)},
		{"gateway.recent_bytes", int64(c.RecentBytes), 0, 64 << 30},
		{"gateway.recent_for", int64(c.RecentFor), int64(time.Second), int64(24 * time.Hour)},
	} {
		if n.value < n.min || n.value > n.max {
			return fault.Field(fault.InvalidConfig, n.key, "%d is outside %d to %d", n.value, n.min, n.max)
		}
	}
	return nil
}
