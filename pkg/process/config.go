package process

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Config is what an operator may set for any Belfry process; services add keys of
// their own.
type Config struct {
	HTTP         string `config:"http.addr" flag:"http" usage:"address to serve HTTP on"`
	HTTPTLSCert  string `config:"http.tls_cert" usage:"PEM file of the certificate; with http.tls_key, serve HTTPS"`
	HTTPTLSKey   string `config:"http.tls_key" usage:"PEM file of its key"`
	HTTPClientCA string `config:"http.tls_client_ca" usage:"PEM file of authorities; only clients with a certificate of theirs are served"`

	Admin         string `config:"admin.addr" flag:"admin" usage:"address for health, metrics and profiles; empty = none"`
	AdminTLSCert  string `config:"admin.tls_cert" usage:"PEM file of the certificate of the admin address"`
	AdminTLSKey   string `config:"admin.tls_key" usage:"PEM file of its key"`
	AdminClientCA string `config:"admin.tls_client_ca" usage:"PEM file of authorities, as http.tls_client_ca"`

	DataDir string `config:"data_dir" flag:"data-dir" usage:"directory of the embedded NATS server and the token secret"`

	NATS   NATS
	Auth   Auth
	Events Events
	Limits api.LimitConfig

	AuditFile string `config:"audit.file" usage:"file to append refused and administrative calls to, as JSON; empty = standard error"`

	LogLevel  string `config:"log.level" flag:"log-level" usage:"debug, info, warn or error"`
	LogFormat string `config:"log.format" flag:"log-format" usage:"text, json, or auto: text on a terminal"`

	TraceEndpoint string  `config:"trace.endpoint" usage:"URL of an OTLP/HTTP collector, e.g. http://127.0.0.1:4318; empty = no traces"`
	TraceSample   float64 `config:"trace.sample" usage:"share of new traces that are recorded, 0 to 1"`
}

// NATS is where events live: a server inside the process, or a cluster by URL.
type NATS struct {
	Addr     string `config:"nats.addr" flag:"nats" usage:"address of the embedded NATS server; empty = no listener"`
	Sync     string `config:"nats.sync" flag:"sync" usage:"when the embedded server syncs to disk: 2m, or always"`
	TLSCert  string `config:"nats.server_tls_cert" usage:"PEM file of the embedded server's certificate"`
	TLSKey   string `config:"nats.server_tls_key" usage:"PEM file of its key"`
	ClientCA string `config:"nats.server_tls_client_ca" usage:"PEM file of authorities; only NATS clients with a certificate of theirs may connect"`

	URL          string `config:"nats.url" flag:"nats-url" usage:"NATS servers to use, separated by commas; empty = embedded"`
	User         string `config:"nats.user" flag:"nats-user" usage:"user at nats.url"`
	Password     string `config:"nats.password" secret:"true" usage:"password at nats.url"`
	PasswordFile string `config:"nats.password_file" flag:"nats-password-file" usage:"file with the password at nats.url"`
	CredsFile    string `config:"nats.creds_file" flag:"nats-creds" usage:"credentials file (JWT and seed) at nats.url"`
	CA           string `config:"nats.tls_ca" usage:"PEM file of the authorities that nats.url is checked against"`
	ClientCert   string `config:"nats.tls_cert" usage:"PEM file of our certificate at nats.url"`
	ClientKey    string `config:"nats.tls_key" usage:"PEM file of its key"`

	Replicas     int  `config:"nats.replicas" flag:"replicas" usage:"copies of every stream: 1, or 3 on a cluster"`
	RecreateLost bool `config:"nats.recreate_lost" flag:"recreate-lost" usage:"make a stream that was lost anew, empty"`
}

// Auth is how tokens are verified.
type Auth struct {
	Secret     string        `config:"auth.secret" secret:"true" usage:"secret of the tokens (HS256), at least 32 bytes"`
	SecretFile string        `config:"auth.secret_file" usage:"file with secrets, one per line: the first signs, all verify; default <data_dir>/secret, made if missing"`
	Issuer     string        `config:"auth.issuer" usage:"claim iss that tokens must have; empty = any"`
	Audience   string        `config:"auth.audience" usage:"claim aud that tokens must have; empty = any"`
	Skew       time.Duration `config:"auth.skew" usage:"how far the clock of the issuer may differ"`
	MaxLife    time.Duration `config:"auth.max_life" usage:"the longest life of a token; longer ones are refused, and revocations are kept as long"`

	Keys        []string      `config:"auth.keys" usage:"files with public keys of the tokens (PEM, JWK or JWK set), separated by commas; with these the secret in data_dir counts no more"`
	JWKSURL     string        `config:"auth.jwks_url" usage:"https URL of the issuer's keys; with it the secret in data_dir counts no more"`
	JWKSRefresh time.Duration `config:"auth.jwks_refresh" usage:"how often the issuer's keys are read"`

	HMACKeysFile string        `config:"auth.hmac_keys_file" usage:"JSON file with the keys of servers that sign their requests; read again when it changes"`
	HMACWindow   time.Duration `config:"auth.hmac_window" usage:"how far the time of a signed request may be from ours"`
}

// Events is what the log keeps.
type Events struct {
	MaxAge   time.Duration `config:"events.max_age" usage:"how long events are kept"`
	MaxBytes int           `config:"events.max_bytes" usage:"largest data of one event"`
}

// defaultMaxLife lets a server have a token for a year. A token's life is bounded
// so that a revocation need not be kept for ever.
const defaultMaxLife = 366 * 24 * time.Hour

// syncEvery is the embedded server's period of syncing; the other choice is always.
const syncEvery = "2m"

// Default listens on the loopback only and keeps its data with the user's.
func Default() Config {
	return Config{
		HTTP: "127.0.0.1:8080", Admin: "127.0.0.1:9090", DataDir: dataHome(),
		NATS: NATS{Addr: "127.0.0.1:4222", Sync: syncEvery, Replicas: 1},
		Auth: Auth{
			Skew: 5 * time.Second, MaxLife: defaultMaxLife,
			JWKSRefresh: auth.DefaultJWKSRefresh, HMACWindow: auth.DefaultWindow,
		},
		Events:      Events{MaxAge: topology.DefaultEventsMaxAge, MaxBytes: topology.DefaultMaxEventBytes},
		LogLevel:    "info",
		LogFormat:   "auto",
		TraceSample: 1,
	}
}

// dataHome is belfry in the user's data home (XDG Base Directory); "" if there is
// no home, which Validate refuses where a directory is needed.
func dataHome() string {
	if d := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "belfry")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "share", "belfry")
}

// Bounds of events.max_bytes, and the shortest events.max_age that lets a client
// resume at all.
const (
	minEventBytes, maxEventBytes = 1 << 10, 8 << 20
	minMaxAge                    = time.Minute
)

// Validate names the first key whose value is impossible; code invalid_config.
// Addresses are checked by listening, files by reading them.
func (c Config) Validate() error {
	invalid := func(key, format string, args ...any) error {
		return fault.Field(fault.InvalidConfig, key, format, args...)
	}
	switch {
	case c.HTTP == "":
		return invalid("http.addr", "must not be empty")
	case c.NATS.Sync != syncEvery && c.NATS.Sync != "always":
		return invalid("nats.sync", "%q is not %s or always", c.NATS.Sync, syncEvery)
	case c.NATS.Replicas < 1 || c.NATS.Replicas > 5 || c.NATS.Replicas%2 == 0:
		return invalid("nats.replicas", "%d is not 1, 3 or 5", c.NATS.Replicas)
	case !natsServers(c.NATS.URL):
		return invalid("nats.url", "%q is not like nats://host:4222, several separated by commas", bus.Redact(c.NATS.URL))
	case c.NATS.URL == "" && c.NATS.Replicas > 1:
		return invalid("nats.replicas", "%d needs a cluster: set nats.url", c.NATS.Replicas)
	case c.NATS.Password != "" && c.NATS.PasswordFile != "":
		return invalid("nats.password_file", "cannot be set beside nats.password")
	case c.DataDir == "" && (c.NATS.URL == "" || c.Auth.ownSecret()):
		return invalid("data_dir", "must be set, because there is no home directory")
	case c.Auth.Secret != "" && c.Auth.SecretFile != "":
		return invalid("auth.secret_file", "cannot be set beside auth.secret")
	case c.Auth.Skew < 0 || c.Auth.Skew > 5*time.Minute:
		return invalid("auth.skew", "%s is outside 0s to 5m", c.Auth.Skew)
	case c.Auth.MaxLife < time.Minute:
		return invalid("auth.max_life", "%s is below the minimum of 1m", c.Auth.MaxLife)
	case c.Auth.JWKSRefresh < 10*time.Second:
		return invalid("auth.jwks_refresh", "%s is below the minimum of 10s", c.Auth.JWKSRefresh)
	case c.Auth.HMACWindow < time.Second || c.Auth.HMACWindow > time.Hour:
		return invalid("auth.hmac_window", "%s is outside 1s to 1h", c.Auth.HMACWindow)
	case c.Limits.Validate() != nil:
		return c.Limits.Validate()
	case c.Events.MaxAge < minMaxAge:
		return invalid("events.max_age", "%s is below the minimum of %s", c.Events.MaxAge, minMaxAge)
	case c.Events.MaxBytes < minEventBytes || c.Events.MaxBytes > maxEventBytes:
		return invalid("events.max_bytes", "%d is outside %d to %d", c.Events.MaxBytes, minEventBytes, maxEventBytes)
	}
	return nil
}

// natsServers says whether every address has a scheme that NATS knows, or none.
func natsServers(urls string) bool {
	for address := range strings.SplitSeq(urls, ",") {
		scheme, _, ok := strings.Cut(strings.TrimSpace(address), ":")
		switch {
		case !ok || !strings.Contains(address, "://"): // host or host:port
		case scheme != "nats" && scheme != "tls" && scheme != "ws" && scheme != "wss":
			return false
		}
	}
	return true
}

// ServicePassword is nats.password, or what nats.password_file holds. Code
// invalid_config.
func (n NATS) ServicePassword() (string, error) {
	if n.PasswordFile == "" {
		return n.Password, nil
	}
	b, err := os.ReadFile(n.PasswordFile)
	if err != nil {
		return "", fault.Wrap(fault.InvalidConfig, err, "nats.password_file: %s", err).With("field", "nats.password_file")
	}
	return strings.TrimSpace(string(b)), nil
}

// BusConfig is how to reach the servers of nats.url. Code invalid_config.
func (n NATS) BusConfig(name string) (bus.Config, error) {
	password, err := n.ServicePassword()
	return bus.Config{
		URL: n.URL, User: n.User, Password: password, CredsFile: n.CredsFile, Name: name,
		TLS: bus.TLS{CA: n.CA, Cert: n.ClientCert, Key: n.ClientKey},
	}, err
}

// topologyOptions is what the settings mean for the streams.
func (c Config) topologyOptions() topology.Options {
	return topology.Options{
		Replicas: c.NATS.Replicas, RecreateLost: c.NATS.RecreateLost,
		EventsMaxAge: c.Events.MaxAge, MaxEventBytes: c.Events.MaxBytes,
	}
}
