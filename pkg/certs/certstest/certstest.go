package certstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	File string // PEM of its certificate
}

// Pair is the files of a certificate and its key.
type Pair struct{ Cert, Key string }

// serial numbers certificates, so that a test can tell which one it was shown.
var serial atomic.Int64

// New makes an authority.
func New(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t}
	template := a.template("belfry tests")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	a.key = a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	a.check(err)
	a.cert, err = x509.ParseCertificate(der)
	a.check(err)
	a.File = filepath.Join(t.TempDir(), "ca.pem")
	a.write(a.File, "CERTIFICATE", der)
	return a
}

// Issue makes a certificate for localhost, 127.0.0.1 and the name, in files.
func (a *Authority) Issue(name string) Pair {
	a.t.Helper()
	dir := a.t.TempDir()
	p := Pair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	a.Renew(p, name)
	return p
}

// Renew replaces the files of a pair by those of a new certificate and gives its
// serial number.
func (a *Authority) Renew(p Pair, name string) *big.Int {
	a.t.Helper()
	template := a.template(name)
	template.DNSNames, template.IPAddresses = []string{name, "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	key := a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	a.check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	a.check(err)
	a.write(p.Cert, "CERTIFICATE", der)
	a.write(p.Key, "PRIVATE KEY", private)
	return template.SerialNumber
}

// Client is the configuration of a client that trusts this authority and shows
// the certificates.
func (a *Authority) Client(show ...Pair) *tls.Config {
	a.t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	c.RootCAs.AddCert(a.cert)
	for _, p := range show {
		pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
		a.check(err)
		c.Certificates = append(c.Certificates, pair)
	}
	return c
}

func (a *Authority) template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
}

func (a *Authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.check(err)
	return key
}

// write replaces a file in one step, as those who renew certificates do.
func (a *Authority) write(file, kind string, der []byte) {
	b := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	a.check(os.WriteFile(file+".new", b, 0o600))
	a.check(os.Rename(file+".new", file))
}

func (a *Authority) check(err error) {
	if err != nil {
		a.t.Helper()
		a.t.Fatal(err)
	}
}
