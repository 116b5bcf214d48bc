package gateway

import (
	"cmp"
	"time"

	"github.com/belfry-events/belfry/pkg/config"
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
	return cmp.Or(
		config.Between("gateway.ping_every", c.PingEvery, time.Second, time.Hour),
		config.Between("gateway.queue_bytes", c.QueueBytes, 64<<10, 1<<30),
		config.Between("gateway.write_timeout", c.WriteTimeout, time.Second, time.Hour),
		config.Between("gateway.store_timeout", c.StoreTimeout, time.Second, time.Hour),
		config.Between("gateway.max_subscriptions", c.MaxSubscriptions, 1, 10_000),
		config.Between("gateway.max_connections", c.MaxConnections, 0, 10_000_000),
		config.Between("gateway.max_user_connections", c.MaxUserConnections, 0, 10_000_000),
		config.Between("gateway.max_tenant_connections", c.MaxTenantConnections, 0, 10_000_000),
		config.Between("gateway.max_frame_rate", c.MaxFrameRate, 0, 1_000_000),
		config.Between("gateway.max_frame_bytes", c.MaxFrameBytes, 1<<10, 16<<20),
		config.Between("gateway.check_every", c.CheckEvery, 100*time.Millisecond, time.Hour),
		config.Between("gateway.log_reads", c.LogReads, 1, 4096),
		config.Between("gateway.expiry_warning", c.ExpiryWarning, 0, time.Hour),
		config.Between("gateway.drain_window", c.DrainWindow, 0, 10*time.Minute),
		config.Between("gateway.presence_grace", c.PresenceGrace, 0, time.Minute),
		config.Between("gateway.recent_bytes", c.RecentBytes, 0, 64<<30),
		config.Between("gateway.recent_for", c.RecentFor, time.Second, 24*time.Hour),
	)
}
