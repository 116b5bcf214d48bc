package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// platform and service are settings as processes have them: two structs, one
// with a section inside.
type platform struct {
	Addr   string `config:"http.addr" flag:"http" usage:"address"`
	Debug  bool   `config:"log.debug" flag:"debug" usage:"say more"`
	Nested struct {
		Password string  `config:"nats.password" secret:"true"`
		URL      string  `config:"nats.url" flag:"nats-url"`
		Sample   float64 `config:"trace.sample"`
	}
}

type service struct {
	Ping    time.Duration `config:"gateway.ping_every"`
	Queue   int           `config:"gateway.queue_bytes" flag:"queue"`
	Max     uint8         // no key: not a setting
	Workers int8          `config:"gateway.workers"`
	Origins []string      `config:"gateway.origins"`
}

func (s *service) Validate() error {
	if s.Workers > 100 {
		return fault.Field(fault.InvalidConfig, "gateway.workers", "%d is above 100", s.Workers)
	}
	return nil
}

func defaults() (*platform, *service) {
	p := &platform{Addr: "127.0.0.1:8080"}
	p.Nested.Sample = 1
	return p, &service{Ping: 25 * time.Second, Queue: 1 << 20, Workers: 4}
}

// load runs Load with a file, an environment and a command line.
func load(t *testing.T, file string, environ, args []string) (*platform, *service, *config.Values, error) {
	t.Helper()
	p, s := defaults()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(fs, p, s)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	o := config.Options{Flags: fs, Environ: append([]string{"HOME=/"}, environ...)}
	if file != "" {
		o.File = filepath.Join(t.TempDir(), "belfry.yaml")
		if err := os.WriteFile(o.File, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v, err := config.Load(o, p, s)
	return p, s, v, err
}

func sourceOf(v *config.Values, key string) string {
	for _, e := range v.Entries {
		if e.Key == key {
			return e.Source.Origin.String() + " " + filepath.Base(e.Source.Name)
		}
	}
	return "no such key"
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	const file = "http: {addr: file:1}\n"
	environ, args := []string{"BELFRY_HTTP_ADDR=env:1"}, []string{"--http", "flag:1"}
	for _, c := range []struct {
		name, file    string
		environ, args []string
		want, source  string
	}{
		{"default", "", nil, nil, "127.0.0.1:8080", "default ."},
		{"file", file, nil, nil, "file:1", "file belfry.yaml"},
		{"file, one line per key", "http.addr: file:2\n", nil, nil, "file:2", "file belfry.yaml"},
		{"file without a value", "http:\n  addr:\n", nil, nil, "127.0.0.1:8080", "default ."},
		{"environment over file", file, environ, nil, "env:1", "environment BELFRY_HTTP_ADDR"},
		{"environment, empty on purpose", file, []string{"BELFRY_HTTP_ADDR="}, nil, "", "environment BELFRY_HTTP_ADDR"},
		{"flag over all", file, environ, args, "flag:1", "flag --http"},
		{"--set is a flag", file, environ, []string{"--set", "http.addr=set:1"}, "set:1", "flag --set http.addr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, _, v, err := load(t, c.file, c.environ, c.args)
			if err != nil {
				t.Fatal(err)
			}
			if got := sourceOf(v, "http.addr"); p.Addr != c.want || got != c.source {
				t.Errorf("%q from %q, want %q from %q", p.Addr, got, c.want, c.source)
			}
		})
	}
}

func TestEveryTypeFromEverySource(t *testing.T) {
	t.Parallel()
	const file = `
log: {debug: true}
trace: {sample: 0.5}
gateway: {ping_every: 14d, queue_bytes: 2MiB, workers: 8, origins: [a.example, b.example]}
`
	p, s := defaults()
	p.Debug, p.Nested.Sample = true, 0.5
	*s = service{Ping: 14 * 24 * time.Hour, Queue: 2 << 20, Workers: 8, Origins: []string{"a.example", "b.example"}}
	for name, c := range map[string]struct {
		file          string
		environ, args []string
	}{
		"file": {file, nil, nil},
		"environment": {"", []string{
			"BELFRY_LOG_DEBUG=true", "BELFRY_TRACE_SAMPLE=0.5", "BELFRY_GATEWAY_PING_EVERY=336h",
			"BELFRY_GATEWAY_QUEUE_BYTES=2097152", "BELFRY_GATEWAY_WORKERS=8", "BELFRY_GATEWAY_ORIGINS=a.example, b.example",
		}, nil},
		"flags": {"", nil, []string{
			"--debug", "--queue", "2048KiB", "--set", "trace.sample=0.5", "--set=gateway.ping_every=13d24h",
			"--set", "gateway.workers=8", "--set", "gateway.origins=a.example,b.example",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gotP, gotS, _, err := load(t, c.file, c.environ, c.args)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(p, gotP) + cmp.Diff(s, gotS); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrorsNameTheKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file    string
		environ, args []string
		code          fault.Code
		field, says   string
	}{
		{"misspelt", "htpp: {addr: x}", nil, nil, fault.UnknownConfigKey, "htpp.addr", "did you mean http.addr?"},
		{"misspelt in a section", "gateway: {queue_byte: 1}", nil, nil, fault.UnknownConfigKey, "gateway.queue_byte", "did you mean gateway.queue_bytes?"},
		{"nothing like it", "colour: blue", nil, nil, fault.UnknownConfigKey, "colour", "no such key (from "},
		{"misspelt in --set", "", nil, []string{"--set", "nats.passwd=x"}, fault.UnknownConfigKey, "nats.passwd", "did you mean nats.password?"},
		{"--set without value", "", nil, []string{"--set", "http.addr"}, fault.UsageError, "", "must be <key>=<value>"},
		{"a section as value", "gateway: 1", nil, nil, fault.InvalidConfig, "gateway", "is a section with the keys gateway.ping_every"},
		{"a value as section", "http: {addr: {port: 1}}", nil, nil, fault.InvalidConfig, "http.addr", "takes a value, not a section"},
		{"duration as number", "gateway: {ping_every: 25}", nil, nil, fault.InvalidConfig, "gateway.ping_every", "is not a duration such as 30s"},
		{"duration misspelt", "", []string{"BELFRY_GATEWAY_PING_EVERY=5 min"}, nil, fault.InvalidConfig, "gateway.ping_every", "environment BELFRY_GATEWAY_PING_EVERY"},
		{"size", "", nil, []string{"--queue", "1MB"}, fault.InvalidConfig, "gateway.queue_bytes", "is not a size such as 100, 64KiB or 1MiB (from flag --queue)"},
		{"size too large", "", nil, []string{"--queue", "9999999999GiB"}, fault.InvalidConfig, "gateway.queue_bytes", "is not a size"},
		{"number too large", "gateway: {workers: 300}", nil, nil, fault.InvalidConfig, "gateway.workers", "is not a whole number"},
		{"number with a point", "gateway: {workers: 1.5}", nil, nil, fault.InvalidConfig, "gateway.workers", "is not a whole number"},
		{"bool", "log: {debug: maybe}", nil, nil, fault.InvalidConfig, "log.debug", "is not true or false"},
		{"a list of numbers", "gateway: {origins: [1]}", nil, nil, fault.InvalidConfig, "gateway.origins", "is not a list of texts"},
		{"text that YAML reads as a number", "nats: {password: 0123}", nil, nil, fault.InvalidConfig, "nats.password", "the value is not text: put it in quotes"},
		{"Validate", "gateway: {workers: 101}", nil, nil, fault.InvalidConfig, "gateway.workers", "101 is above 100"},
		{"not YAML", "http: [", nil, nil, fault.InvalidConfig, "config", "is not YAML with keys"},
		{"a list as file", "- 1", nil, nil, fault.InvalidConfig, "config", "is not YAML with keys"},
		{"no such file", "", []string{"BELFRY_CONFIG=/no/such.yaml"}, nil, fault.InvalidConfig, "config", "cannot read /no/such.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, _, _, err := load(t, c.file, c.environ, c.args)
			e := fault.From(err)
			if e == nil || e.Code() != c.code || e.Details()["field"] != c.field || !strings.Contains(e.Error(), c.says) {
				t.Errorf("%v (%s, field %q), want %s, field %q, %q", e, fault.CodeOf(err), e.Details()["field"], c.code, c.field, c.says)
			}
		})
	}
}

func TestUnknownEnvironmentIsAWarning(t *testing.T) {
	t.Parallel()
	_, _, v, err := load(t, "", []string{
		"BELFRY_HTPP_ADDR=x", "BELFRY_WHATEVER=1", "BELFRYX=1",
		// What Kubernetes sets for services called belfry and belfry-gateway.
		"BELFRY_SERVICE_HOST=10.0.0.1", "BELFRY_PORT=tcp://10.0.0.1:80", "BELFRY_GATEWAY_SERVICE_PORT=80",
		"BELFRY_GATEWAY_SERVICE_PORT_HTTP=80", "BELFRY_GATEWAY_PORT_80_TCP=tcp://10.0.0.1:80",
		"BELFRY_GATEWAY_PORT_80_TCP_ADDR=10.0.0.1", "BELFRY_GATEWAY_PORT_80_TCP_PROTO=tcp",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"environment variable BELFRY_HTPP_ADDR sets nothing; did you mean BELFRY_HTTP_ADDR?",
		"environment variable BELFRY_WHATEVER sets nothing",
	}
	if diff := cmp.Diff(want, v.Warnings); diff != "" {
		t.Error(diff)
	}
}

func TestPrintMasksSecrets(t *testing.T) {
	t.Parallel()
	for url, shown := range map[string]string{
		"nats://a:1,nats://x:hunter2@host:1": "nats://a:1,nats://x:xxxxx@host:1",
		"nats://hunter2@host":                "nats://xxxxx@host",
		"nats://x:hunter2%zz@host":           "***",
		"x:hunter2@host":                     "***",
	} {
		_, _, v, err := load(t, "", []string{"BELFRY_NATS_PASSWORD=hunter2", "BELFRY_NATS_URL=" + url}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := v.Print(&out); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), shown+" ") {
			t.Errorf("%s prints\n%s", url, &out)
		}
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	_, _, v, err := load(t, "", []string{"BELFRY_GATEWAY_PING_EVERY=90m"}, []string{"--queue", "1000"})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := v.Print(&out); err != nil {
		t.Fatal(err)
	}
	want := `KEY                  VALUE           SOURCE

http.addr            127.0.0.1:8080  default

log.debug            false           default

nats.password                        default
nats.url                             default

trace.sample         1               default

gateway.ping_every   1h30m           environment BELFRY_GATEWAY_PING_EVERY
gateway.queue_bytes  1000            flag --queue
gateway.workers      4               default
gateway.origins                      default
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// What Print shows can be written into a file and means the same.
func FuzzValueReadsBack(f *testing.F) {
	f.Add(int64(25*time.Second), 1<<20)
	f.Add(int64(36*time.Hour), 0)
	f.Add(int64(-1), -1024)
	f.Fuzz(func(t *testing.T, ping int64, queue int) {
		s := &service{Ping: time.Duration(ping), Queue: queue}
		v, err := config.Load(config.Options{Environ: []string{"A=b"}}, s)
		if err != nil {
			t.Fatal(err)
		}
		environ := []string{"A=b"}
		for _, e := range v.Entries {
			environ = append(environ, e.Env+"="+e.Value)
		}
		again := &service{}
		if _, err := config.Load(config.Options{Environ: environ}, again); err != nil {
			t.Fatal(err)
		}
		if again.Ping != s.Ping || again.Queue != s.Queue {
			t.Fatalf("%v became %v", s, again)
		}
	})
}

// Any text as a setting is a value or an error, never a crash.
func FuzzLoadText(f *testing.F) {
	for _, s := range []string{"14d", "1d-1h", "1MiB", "d", "99999999999999999999d", "true"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{"GATEWAY_PING_EVERY", "GATEWAY_QUEUE_BYTES", "GATEWAY_WORKERS", "GATEWAY_ORIGINS"} {
			_, err := config.Load(config.Options{Environ: []string{"BELFRY_" + name + "=" + text}}, &service{})
			if err != nil && fault.CodeOf(err) != fault.InvalidConfig {
				t.Fatalf("%s: %v", name, err)
			}
		}
	})
}
