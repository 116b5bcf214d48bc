package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
)

// connect is the client for commands: at nats.url, else where "belfry run" with the
// same settings listens. Codes invalid_config and those of client.Connect.
func (s *settings) connect(ctx context.Context) (*client.Client, error) {
	n := s.process.NATS
	url, err := natsURL(n)
	if err != nil {
		return nil, err
	}
	o := client.Options{Name: "belfry-cli", User: n.User, CredsFile: n.CredsFile}
	if o.Password, err = n.ServicePassword(); err != nil {
		return nil, err
	}
	if o.TLS, err = clientTLS(n); err != nil {
		return nil, err
	}
	c, err := client.Connect(ctx, url, o)
	if fault.CodeOf(err) == fault.Unavailable {
		return nil, fault.Wrap(fault.Unavailable, errors.Unwrap(err), "%s: %s (is belfry run running? belfry doctor knows more)", bus.Redact(url), err)
	}
	return c, err
}

// natsURL is where NATS is, for somebody outside the process that runs it.
func natsURL(n process.NATS) (string, error) {
	switch {
	case n.URL != "":
		return n.URL, nil
	case n.Addr != "":
		return "nats://" + n.Addr, nil
	}
	return "", fault.Field(fault.InvalidConfig, "nats.url", "is needed, because nats.addr is empty")
}

// clientTLS is nil unless a setting asks for more than the URL's scheme does.
func clientTLS(n process.NATS) (*tls.Config, error) {
	if n.CA == "" && n.ClientCert == "" {
		return nil, nil //nolint:nilnil // the client then decides by the URL
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if n.CA != "" {
		pem, err := os.ReadFile(n.CA)
		c.RootCAs = x509.NewCertPool()
		if err != nil || !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fault.Wrap(fault.InvalidConfig, err, "nats.tls_ca: %s holds no certificate that can be read", n.CA).With("field", "nats.tls_ca")
		}
	}
	if n.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(n.ClientCert, n.ClientKey)
		if err != nil {
			return nil, fault.Wrap(fault.InvalidConfig, err, "nats.tls_cert: %s", err).With("field", "nats.tls_cert")
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
