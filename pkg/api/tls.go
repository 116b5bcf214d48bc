package api

import (
	"crypto/tls"
	"log/slog"

	"github.com/belfry-events/belfry/pkg/certs"
)

// LoadTLS is the configuration of an HTTP listener, reloaded when its files
// change; nil without files: plain HTTP. section names the settings in errors:
// "http" for http.tls_cert, http.tls_key and http.tls_client_ca. Code
// invalid_config.
func LoadTLS(section, cert, key, clientCA string, log *slog.Logger) (*tls.Config, error) {
	return certs.FilesOf(section+".tls", cert, key, clientCA).Server(log, "h2", "http/1.1")
}
