package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/bus/embed"
	"github.com/belfry-events/belfry/pkg/certs"
	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/run"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

// node is the settings of a NATS server beyond those of the embedded one.
type node struct {
	Name    string   `config:"nats.server_name" flag:"name" usage:"name of this server; every node of a cluster needs its own"`
	Cluster string   `config:"cluster.name" flag:"cluster-name" usage:"name of the cluster; empty = a single server"`
	Listen  string   `config:"cluster.listen" flag:"cluster-listen" usage:"address for the other nodes"`
	Routes  []string `config:"cluster.routes" flag:"routes" usage:"host:port of the nodes' cluster addresses, separated by commas"`
	TLSCert string   `config:"cluster.tls_cert" usage:"PEM file of this node's certificate for the other nodes"`
	TLSKey  string   `config:"cluster.tls_key" usage:"PEM file of its key"`
	TLSCA   string   `config:"cluster.tls_ca" usage:"PEM file of the authorities that the nodes' certificates are of"`

	LameDuck time.Duration `config:"cluster.lame_duck" usage:"how long a node that stops takes to send its clients to the others; 0s = at once"`
}

func newNATS(std stdio) *cobra.Command {
	s := newSettings()
	n := &node{Listen: "127.0.0.1:6222"}
	cmd := &cobra.Command{
		Use:   "nats",
		Short: "Run only a NATS server with our settings, or one node of a cluster",
		Long: `Run a NATS server with the users, permissions and limits that Belfry needs, for
services in processes of their own.

Clients connect without credentials and may publish events and read what is public.
Services connect as user "service" with the password that is kept in the data
directory. The nodes of a cluster share one password: give all the same file.`,
		Example: `  belfry nats --data-dir ./nats
  gateway --nats-url nats://127.0.0.1:4222 --nats-user service \
    --nats-password-file ./nats/nats-service.password

  belfry nats --name n1 --nats :4222 --cluster-name c1 --cluster-listen :6222 \
    --routes n1:6222,n2:6222,n3:6222 --nats-password-file ./password`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, _, err := process.Load(cmd.Flags(), cmd.ErrOrStderr(), &s.process, append(s.services(), n)...)
			if err != nil {
				return err
			}
			return n.run(cmd.Context(), s.process, log, std)
		},
	}
	fs := cmd.Flags()
	config.AddFlags(fs, n)
	s.flags(fs, "nats", "data-dir", "sync", "nats-password-file", "admin", "log-level", "log-format", "set")
	return cmd
}

// run serves until ctx ends.
func (n *node) run(ctx context.Context, c process.Config, log *slog.Logger, std stdio) error {
	o, err := n.options(c, log)
	if err != nil {
		return err
	}
	health := telemetry.NewHealth()
	tls, err := api.LoadTLS("admin", c.AdminTLSCert, c.AdminTLSKey, c.AdminClientCA, log)
	if err != nil {
		return err
	}
	var parts []run.Part
	registry := telemetry.NewRegistry("nats", process.Version())
	if c.Admin != "" {
		parts = append(parts, run.Part{Name: "admin", New: func(context.Context) (run.Service, error) {
			handler := telemetry.AdminHandler(registry, health)
			return api.NewServer(api.ServerOptions{Key: "admin.addr", Addr: c.Admin, TLS: tls, Log: log, Handler: api.Routes(handler)}), nil
		}})
	}
	parts = append(parts, run.Part{Name: "nats", StopWithin: n.LameDuck + run.StopWithin}.Open(func(ctx context.Context) (func(context.Context) error, error) {
		server, err := embed.Start(ctx, o)
		if err != nil {
			return nil, err
		}
		health.Add("nats", func(context.Context) error { return server.Healthz() })
		registry.MustRegister(server.Collector())
		_, _ = fmt.Fprintf(std.out, "NATS is ready at %s. Services connect as user %q with the password in\n  %s\n",
			server.ClientURL(), embed.ServiceUser, n.passwordFile(c))
		return server.Stop, nil
	}))
	return run.NewGroup(log, parts...).Run(ctx)
}

// options adds name, cluster and password to those of the embedded server.
func (n *node) options(c process.Config, log *slog.Logger) (embed.Options, error) {
	o, err := embedOptions(c, log)
	if err != nil {
		return o, err
	}
	o.ServerName, o.LameDuck = n.Name, n.LameDuck
	if o.ServicePassword, err = c.NATS.ServicePassword(); err != nil || n.Cluster == "" {
		return o, err
	}
	o.Cluster = embed.Cluster{Name: n.Cluster, Routes: n.Routes, TLS: certs.Files{
		Cert: n.TLSCert, Key: n.TLSKey, CA: n.TLSCA,
		CertKey: "cluster.tls_cert", KeyKey: "cluster.tls_key", CAKey: "cluster.tls_ca",
	}}
	o.Cluster.Host, o.Cluster.Port, err = hostPort("cluster.listen", n.Listen)
	return o, err
}

func (n *node) passwordFile(c process.Config) string {
	if c.NATS.PasswordFile != "" {
		return c.NATS.PasswordFile
	}
	return filepath.Join(c.DataDir, embed.PasswordFile)
}
