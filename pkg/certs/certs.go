package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/belfry-events/belfry/pkg/fault"
)

// Files are what an operator names. All empty: no TLS.
type Files struct {
	Cert string // PEM of the certificate, and of those between it and its root
	Key  string // PEM of its key
	CA   string // PEM of authorities; set, clients must show a certificate of theirs

	// The settings that hold them, for errors: "http.tls_cert".
	CertKey, KeyKey, CAKey string
}

// FilesOf is Files whose settings are <prefix>_cert, <prefix>_key and
// <prefix>_client_ca: "http.tls".
func FilesOf(prefix, cert, key, clientCA string) Files {
	return Files{
		Cert: cert, Key: key, CA: clientCA,
		CertKey: prefix + "_cert", KeyKey: prefix + "_key", CAKey: prefix + "_client_ca",
	}
}

// Server is the configuration of a listener: TLS 1.2 or newer, and with CA only
// clients that show a certificate. protocols are those of ALPN, best first. nil
// without files. Code invalid_config, naming the setting.
func (f Files) Server(log *slog.Logger, protocols ...string) (*tls.Config, error) {
	s, err := f.open(log)
	if s == nil || err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, GetCertificate: s.certificate}
	if f.CA == "" {
		return c, nil
	}
	// A resumed session would remember a client whose authority is gone.
	c.ClientAuth, c.SessionTicketsDisabled = tls.RequireAndVerifyClientCert, true
	c.ClientCAs = s.current().pool
	base := c.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := base.Clone()
		c.ClientCAs = s.current().pool
		return c, nil
	}
	return c, nil
}

// Peer is Server for machines that call each other: it also shows the
// certificate when it calls, and trusts the same authorities then. CA is
// required. What it trusts when it calls is read once; the rest is reloaded.
func (f Files) Peer(log *slog.Logger) (*tls.Config, error) {
	c, err := f.Server(log)
	if c == nil || err != nil {
		return nil, err
	}
	if f.CA == "" {
		return nil, fault.Field(fault.InvalidConfig, f.CAKey, "is needed beside %s: nodes check each other", f.CertKey)
	}
	certificate := c.GetCertificate
	c.RootCAs = c.ClientCAs
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate(nil) }
	return c, nil
}

// source is the files and what was last read from them.
type source struct {
	files Files
	log   *slog.Logger

	mu     sync.Mutex
	last   loaded
	stamps [3]stamp
	failed string // the last error, logged already
}

type loaded struct {
	pair *tls.Certificate
	pool *x509.CertPool
}

func (f Files) open(log *slog.Logger) (*source, error) {
	missing := func(key, beside string) error {
		return fault.Field(fault.InvalidConfig, key, "is needed beside %s", beside)
	}
	switch {
	case f.Cert == "" && f.Key == "" && f.CA == "":
		return nil, nil
	case f.Cert == "" && f.Key != "":
		return nil, missing(f.CertKey, f.KeyKey)
	case f.Cert == "":
		return nil, missing(f.CertKey, f.CAKey)
	case f.Key == "":
		return nil, missing(f.KeyKey, f.CertKey)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &source{files: f, log: log, stamps: f.stamps()}
	var err error
	s.last, err = f.load()
	return s, err
}

// load reads all files. Code invalid_config, naming the setting.
func (f Files) load() (l loaded, err error) {
	bad := func(key string, err error) error {
		return fault.Wrap(fault.InvalidConfig, err, "%s: %s", key, err).With("field", key)
	}
	cert, err := os.ReadFile(f.Cert)
	if err != nil {
		return l, bad(f.CertKey, err)
	}
	key, err := os.ReadFile(f.Key)
	if err != nil {
		return l, bad(f.KeyKey, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	switch { // its text says which of the two, and never what is in it
	case err != nil && strings.Contains(err.Error(), "key input"):
		return l, bad(f.KeyKey, errors.New(f.Key+": "+err.Error()))
	case err != nil:
		return l, bad(f.CertKey, errors.New(f.Cert+" and "+f.Key+": "+err.Error()))
	}
	l.pair = &pair
	if f.CA == "" {
		return l, nil
	}
	ca, err := os.ReadFile(f.CA)
	if err != nil {
		return l, bad(f.CAKey, err)
	}
	l.pool = x509.NewCertPool()
	if !l.pool.AppendCertsFromPEM(ca) {
		return l, bad(f.CAKey, errors.New(f.CA+" holds no certificate in PEM"))
	}
	return l, nil
}

func (s *source) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.current().pair, nil
}

// current is what the files hold, or held when they last could be used.
func (s *source) current() loaded {
	s.mu.Lock()
	defer s.mu.Unlock()
	stamps := s.files.stamps() // before reading: what changes meanwhile is seen the next time
	if stamps == s.stamps && s.failed == "" && settled(stamps) {
		return s.last
	}
	next, err := s.files.load()
	switch {
	case err == nil:
		if s.failed != "" || stamps != s.stamps {
			s.log.Info("certificate reloaded", "file", s.files.Cert, "expires", next.pair.Leaf.NotAfter)
		}
		s.last, s.failed = next, ""
	case err.Error() != s.failed:
		s.failed = err.Error()
		s.log.Error("certificate cannot be reloaded; the last one stays in use", "err", s.failed)
	}
	s.stamps = stamps
	return s.last
}

// stamp tells two states of a file apart.
type stamp struct {
	time int64
	size int64
}

func (f Files) stamps() (all [3]stamp) {
	for i, name := range []string{f.Cert, f.Key, f.CA} {
		if info, err := os.Stat(name); err == nil { // through links, as Kubernetes mounts secrets
			all[i] = stamp{info.ModTime().UnixNano(), info.Size()}
		}
	}
	return all
}

// settle is the coarsest clock a file system may have: a file as young as this
// may change again without looking changed.
const settle = 2 * time.Second

func settled(all [3]stamp) bool {
	now := time.Now().UnixNano()
	for _, s := range all {
		if age := now - s.time; s.time != 0 && age < int64(settle) && age > -int64(settle) {
			return false
		}
	}
	return true
}
