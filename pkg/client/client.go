package client

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/eventlog"
	"github.com/belfry-events/belfry/pkg/fault"
)

// Options configure Connect. The zero value connects without credentials, as
// the user that may publish events and read the log.
type Options struct {
	// Name is shown in the server's list of connections. Default "belfry-client".
	Name string
	// Source is the CloudEvents source of events that name none, a URI
	// reference such as "/billing". Default "/nats".
	Source string

	// User and Password, or CredsFile (a NATS .creds file), authenticate.
	User, Password string
	CredsFile      string
	// TLS is used when set, or when the URL's scheme is tls.
	TLS *tls.Config

	// MaxPending (default 4096, rounded up to a power of two) and
	// MaxPendingBytes (default 8 MiB) bound what is published and not yet
	// acknowledged. PublishAsync waits when either is reached.
	MaxPending      int
	MaxPendingBytes int
	// AckWait is how long an event may stay unanswered before it is sent again;
	// default 5 s. GiveUp is how long before it fails; default 60 s, and at most
	// two minutes, in which the log recognises what it has.
	AckWait time.Duration
	GiveUp  time.Duration

	// Log receives connection changes (info) and resends (debug). Default: none.
	Log *slog.Logger
}

// maxGiveUp is EVENTS' duplicate window.
const maxGiveUp = 2 * time.Minute

func (o Options) withDefaults() (Options, error) {
	set(&o.Name, "belfry-client")
	set(&o.MaxPending, 4096)
	set(&o.MaxPendingBytes, 8<<20)
	set(&o.AckWait, 5*time.Second)
	set(&o.GiveUp, time.Minute)
	set(&o.Log, slog.New(slog.DiscardHandler))
	switch {
	case o.MaxPending < 0 || o.MaxPending > 1<<20:
		return o, fault.Field(fault.InvalidConfig, "MaxPending", "%d is not between 1 and 1048576", o.MaxPending)
	case o.MaxPendingBytes < 0:
		return o, fault.Field(fault.InvalidConfig, "MaxPendingBytes", "%d is negative", o.MaxPendingBytes)
	case o.AckWait < 0:
		return o, fault.Field(fault.InvalidConfig, "AckWait", "%s is negative", o.AckWait)
	case o.GiveUp < 0 || o.GiveUp > maxGiveUp:
		return o, fault.Field(fault.InvalidConfig, "GiveUp", "%s is not between 0 and %s", o.GiveUp, maxGiveUp)
	}
	return o, nil
}

func set[T comparable](v *T, byDefault T) {
	var zero T
	if *v == zero {
		*v = byDefault
	}
}

// Client is a connection to Belfry over NATS. It is safe for concurrent use.
type Client struct {
	nc     *nats.Conn
	log    *slog.Logger
	source string
	reader *eventlog.Reader
	box    *outbox
}

// Connect connects and reads the state of the log, so that a wrong address, a
// refused user or a missing log shows at once (code unavailable, token_invalid
// for refused credentials). url may list several servers, separated by commas.
// Afterwards the client reconnects by itself, for ever.
func Connect(ctx context.Context, url string, o Options) (*Client, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(url, o.nats(ctx)...)
	if err != nil {
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) {
			return nil, fault.Wrap(fault.TokenInvalid, err, "the NATS server refused the credentials")
		}
		return nil, fault.Wrap(fault.Unavailable, err, "cannot connect to the NATS server")
	}
	c := &Client{nc: nc, log: o.Log, source: o.Source, reader: eventlog.NewReader(nc)}
	epoch, err := c.epoch(ctx)
	if err == nil {
		c.box, err = newOutbox(nc, o, epoch, c.epoch)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

func (o Options) nats(ctx context.Context) []nats.Option {
	opts := []nats.Option{
		nats.Name(o.Name),
		nats.PermissionErrOnSubscribe(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(400*time.Millisecond, 400*time.Millisecond),
		// What is published while the server is away waits in the outbox, in
		// order; nats.go must not keep and reorder a second copy.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			o.Log.Info("disconnected", "err", err)
		}),
		nats.ReconnectHandler(func(*nats.Conn) { o.Log.Info("reconnected") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			o.Log.Warn("nats reports an error", "err", err)
		}),
	}
	if deadline, ok := ctx.Deadline(); ok {
		opts = append(opts, nats.Timeout(time.Until(deadline)))
	}
	if o.User != "" {
		opts = append(opts, nats.UserInfo(o.User, o.Password))
	}
	if o.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(o.CredsFile))
	}
	if o.TLS != nil {
		opts = append(opts, nats.Secure(o.TLS))
	}
	return opts
}

func (c *Client) epoch(ctx context.Context) (string, error) {
	s, err := c.reader.State(ctx)
	if err != nil {
		return "", err
	}
	return s.Epoch, nil
}

// Close waits until what was published is acknowledged, or ctx ends, and
// closes the connection. Tails end. The error says that something published
// failed or was still unacknowledged. Safe to call twice.
func (c *Client) Close(ctx context.Context) error {
	err := c.Flush(ctx)
	c.box.close()
	c.nc.Close()
	return err
}
