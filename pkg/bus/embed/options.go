package embed

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Defaults of Options.
const (
	DefaultHost       = "127.0.0.1"
	DefaultPort       = 4222
	DefaultServerName = "belfry"

	routeUser = "route"

	// payloadRoom is what a message may be above the stored maximum before
	// the server cuts the publisher's connection instead of answering it.
	payloadRoom = 64 << 10

	// maxEventBytes keeps a message far below the server's buffer per client.
	maxEventBytes = 8 << 20

	maxLameDuck = time.Hour
)

func (o Options) withDefaults() Options {
	if o.Host == "" {
		o.Host = DefaultHost
	}
	if o.Port == 0 {
		o.Port = DefaultPort
	}
	if o.ServerName == "" && o.Cluster.Name == "" {
		o.ServerName = DefaultServerName
	}
	if o.Cluster.Host == "" {
		o.Cluster.Host = DefaultHost
	}
	if o.MaxEventBytes == 0 {
		o.MaxEventBytes = topology.DefaultMaxEventBytes
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) validate() error {
	invalid := func(field, format string, args ...any) error {
		return fault.Field(fault.InvalidConfig, field, format, args...)
	}
	switch {
	case o.DataDir == "":
		return invalid("data_dir", "must not be empty")
	case o.MaxEventBytes < 0 || o.MaxEventBytes > maxEventBytes:
		return invalid("max_event_bytes", "%d is not between 1 and %d", o.MaxEventBytes, maxEventBytes)
	case o.LameDuck < 0 || o.LameDuck > maxLameDuck:
		return invalid("cluster.lame_duck", "%s is not between 0s and %s", o.LameDuck, maxLameDuck)
	case strings.ContainsFunc(o.ServicePassword, func(r rune) bool { return r <= ' ' || r > '~' }):
		return invalid("service_password", "must be printable ASCII without spaces")
	case o.Cluster.Name == "":
		return nil
	case o.ServerName == "":
		return invalid("server_name", "every node of a cluster needs a name of its own")
	case o.ServicePassword == "":
		return invalid("service_password", "the nodes of a cluster share one; it cannot be generated")
	}
	return nil
}

// probePorts finds out that a port is taken before a large store is recovered
// for nothing.
func (o Options) probePorts(ctx context.Context) error {
	if !o.NoListen {
		if err := probe(ctx, o.Host, o.Port); err != nil {
			return err
		}
	}
	if o.Cluster.Name != "" {
		return probe(ctx, o.Cluster.Host, o.Cluster.Port)
	}
	return nil
}

func probe(ctx context.Context, host string, port int) error {
	if port < 0 {
		return nil
	}
	address := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return portFault(err, address)
	}
	return l.Close()
}

// serverOptions are the settings of every Belfry server.
func (o Options) serverOptions(password string) (*server.Options, error) {
	stored := o.MaxEventBytes + topology.HeaderRoom
	options := &server.Options{
		ServerName: o.ServerName,
		Host:       o.Host,
		Port:       o.Port,
		DontListen: o.NoListen,
		NoSigs:     true, // signals belong to the process

		JetStream:              true,
		StoreDir:               o.DataDir,
		SyncAlways:             o.SyncAlways,
		MaxPayload:             int32(stored + payloadRoom),
		DisableJetStreamBanner: true,
		// Streams name their own limit; this one is for buckets and others
		// that cannot, which would otherwise stop at 1,000.
		JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: topology.DefaultMaxConsumers},
	}
	if o.LameDuck > 0 {
		// Clients are told first, and have this long to leave by themselves.
		options.LameDuckDuration, options.LameDuckGracePeriod = o.LameDuck, o.LameDuck/4
	}
	// Nobody needs the password of app: it is whoever gives none.
	text, err := Accounts([]User{
		{Name: ServiceUser, Role: RoleService, Password: password},
		{Name: AppUser, Role: RoleApp, Password: rand.Text()},
	}, AppUser)
	if err != nil {
		return nil, err
	}
	if err := options.ProcessConfigString(text); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the NATS server does not read its accounts")
	}
	if err := o.addTLS(options); err != nil {
		return nil, err
	}
	return options, o.addCluster(options, password)
}

func (o Options) addTLS(options *server.Options) error {
	config, err := o.TLS.Server(o.Log)
	if config == nil || err != nil {
		return err
	}
	options.TLS, options.TLSConfig, options.TLSVerify = true, config, o.TLS.CA != ""
	return nil
}

func (o Options) addCluster(options *server.Options, password string) error {
	if o.Cluster.Name == "" {
		return nil
	}
	options.Cluster = server.ClusterOpts{
		Name: o.Cluster.Name, Host: o.Cluster.Host, Port: o.Cluster.Port,
		Username: routeUser, Password: password,
	}
	for _, r := range o.Cluster.Routes {
		if _, _, err := net.SplitHostPort(r); err != nil {
			return fault.Field(fault.InvalidConfig, "cluster.routes", "%q is not host:port", r)
		}
		options.Routes = append(options.Routes, &url.URL{Scheme: "nats", Host: r, User: url.UserPassword(routeUser, password)})
	}
	var err error
	options.Cluster.TLSConfig, err = o.Cluster.TLS.Peer(o.Log)
	return err
}
