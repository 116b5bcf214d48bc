package bus

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Config is how to reach NATS: an operator's settings.
type Config struct {
	URL       string // nats://host:4222, several separated by commas
	User      string // with Password; neither belongs into the URL
	Password  string
	CredsFile string // JWT and seed, instead of user and password
	TLS       TLS
	Name      string // of the connection, shown by the server's monitoring
}

// TLS are files for a connection over TLS. All empty: TLS only if the server or
// the URL (tls://) asks for it, checked against the system's authorities.
type TLS struct {
	CA   string // PEM of the authorities to trust instead of the system's
	Cert string // PEM of our certificate, for servers that verify clients
	Key  string // PEM of its key
}

// Options are what a caller passes to Connect.
type Options struct {
	Config
	Log       *slog.Logger
	Registry  prometheus.Registerer      // nil: no metrics
	InProcess nats.InProcessConnProvider // an embedded server: no socket, URL unused
}

// Bus is one connection to NATS with its JetStream context.
type Bus struct {
	NC *nats.Conn
	JS jetstream.JetStream

	log     *slog.Logger
	metrics *metrics
	closed  chan struct{} // the client library has let go of the connection
}

const (
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 250 * time.Millisecond
	pingInterval    = 20 * time.Second // two unanswered, and the connection counts as broken

	// inboxPrefix keeps the answers to services apart from everybody else's:
	// the user app may listen to all of _INBOX.
	inboxPrefix = "_INBOX_SERVICE"
)

// Connect connects once and reconnects for ever after. Code unavailable if no
// server answers, invalid_config if a file cannot be read or the server refuses
// the credentials; the text names the URL, never the password.
func Connect(ctx context.Context, o Options) (*Bus, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b := &Bus{log: o.Log, metrics: newMetrics(), closed: make(chan struct{})}
	options := o.natsOptions(b)
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "connect to NATS at %s: cancelled", o.where())
	}
	if deadline, ok := ctx.Deadline(); ok {
		options = append(options, nats.Timeout(time.Until(deadline)))
	}
	var err error
	if b.NC, err = nats.Connect(o.URL, options...); err != nil {
		return nil, o.connectFault(err)
	}
	if b.JS, err = jetstream.New(b.NC); err != nil {
		b.NC.Close()
		return nil, fault.Wrap(fault.Internal, err, "open JetStream at %s", o.where())
	}
	b.metrics.register(o.Registry)
	return b, nil
}

// Close drains: subscriptions stop, what was received is handled, what was
// published is flushed. When ctx ends first the connection is cut. Closing
// twice is closing once.
func (b *Bus) Close(ctx context.Context) error {
	if err := b.NC.Drain(); err != nil {
		// Not connected or already draining: nothing can be flushed.
		b.NC.Close()
	}
	select {
	case <-b.closed:
		return nil
	case <-ctx.Done():
		b.NC.Close()
		<-b.closed
		return fault.Wrap(fault.Unavailable, ctx.Err(), "drain the NATS connection")
	}
}

func (o Options) natsOptions(b *Bus) []nats.Option {
	options := []nats.Option{
		nats.Name(o.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.PingInterval(pingInterval),
		nats.CustomInboxPrefix(inboxPrefix),
		nats.ClosedHandler(func(*nats.Conn) { close(b.closed) }),
	}
	if o.InProcess != nil {
		options = append(options, nats.InProcessServer(o.InProcess))
	}
	if o.User != "" {
		options = append(options, nats.UserInfo(o.User, o.Password))
	}
	if o.CredsFile != "" {
		options = append(options, nats.UserCredentials(o.CredsFile))
	}
	if o.TLS.CA != "" {
		options = append(options, nats.RootCAs(o.TLS.CA))
	}
	if o.TLS.Cert != "" || o.TLS.Key != "" {
		options = append(options, nats.ClientCert(o.TLS.Cert, o.TLS.Key))
	}
	return append(options, b.handlers()...)
}

func (o Options) connectFault(err error) error {
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) {
		return fault.Wrap(fault.InvalidConfig, err, "NATS at %s refuses these credentials", o.where())
	}
	return fault.Wrap(fault.Unavailable, err, "no NATS server answers at %s", o.where())
}

// where is the address for people: without credentials.
func (o Options) where() string {
	if o.InProcess != nil {
		return "the embedded server"
	}
	urls := strings.Split(o.URL, ",")
	for i, s := range urls {
		urls[i] = Redact(s)
	}
	return strings.Join(urls, ",")
}

// Redact is one server URL without the user and password that may be in it.
func Redact(server string) string {
	server = strings.TrimSpace(server)
	if u, err := url.Parse(server); err == nil && u.Host != "" {
		u.User = nil
		return u.String()
	}
	_, host, found := strings.Cut(server, "@") // no scheme: user:pw@host
	if found {
		return host
	}
	return server
}
