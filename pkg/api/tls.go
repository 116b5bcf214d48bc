package api

import (
	"crypto/tls"

	"github.com/belfry-events/belfry/pkg/fault"
)

// LoadTLS reads a certificate and key (PEM files) once: a renewed certificate
// needs a restart. Both empty = nil, plain HTTP. section names the settings in
// errors: "http" for http.tls_cert and http.tls_key. Code invalid_config.
func LoadTLS(section, cert, key string) (*tls.Config, error) {
	switch {
	case cert == "" && key == "":
		return nil, nil //nolint:nilnil // no TLS is a configuration, not a failure
	case cert == "":
		return nil, fault.Field(fault.InvalidConfig, section+".tls_cert", "is needed beside %s.tls_key", section)
	case key == "":
		return nil, fault.Field(fault.InvalidConfig, section+".tls_key", "is needed beside %s.tls_cert", section)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidConfig, err, "%s.tls_cert: %s", section, err).With("field", section+".tls_cert")
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}
