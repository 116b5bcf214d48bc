package main

import (
	"context"
	"log/slog"
	"net"
	"strconv"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/certs"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
)

// embedded is the process.Embedder: a NATS server inside, reached without a
// socket, with a listener for everybody else.
func embedded(ctx context.Context, c process.Config, log *slog.Logger) (*process.Embedded, error) {
	o, err := embedOptions(c, log)
	if err != nil {
		return nil, err
	}
	s, err := embed.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	return &process.Embedded{
		Bus: bus.Options{
			Config:    bus.Config{User: embed.ServiceUser, Password: s.ServicePassword()},
			InProcess: s.InProcess(),
		},
		URL: s.ClientURL(), Check: s.Healthz, Stop: s.Stop, Stats: s.Collector(),
	}, nil
}

// embedOptions is what the settings mean for the server.
func embedOptions(c process.Config, log *slog.Logger) (embed.Options, error) {
	o := embed.Options{
		DataDir: c.DataDir, SyncAlways: c.NATS.Sync == "always", MaxEventBytes: c.Events.MaxBytes,
		TLS: certs.FilesOf("nats.server_tls", c.NATS.TLSCert, c.NATS.TLSKey, c.NATS.ClientCA), Log: log,
	}
	if c.NATS.Addr == "" {
		o.NoListen = true
		return o, nil
	}
	var err error
	o.Host, o.Port, err = hostPort("nats.addr", c.NATS.Addr)
	return o, err
}

// hostPort reads an address; port 0 becomes -1, which is NATS' word for any free
// port. Code invalid_config, naming the key.
func hostPort(key, addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	switch {
	case err != nil || port < 0 || port > 65535:
		return "", 0, fault.Field(fault.InvalidConfig, key, "%q is not host:port", addr)
	case port == 0:
		port = -1
	}
	if host == "" {
		host = "0.0.0.0" // as in ":4222"
	}
	return host, port, nil
}
