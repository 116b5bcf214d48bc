package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
)

// What cannot work is refused before anything is installed, with a sentence that
// names the value.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ values, want string }{
		"nothing said":             {"{}", "auth.existingSecret is needed"},
		"no NATS password":         {"{auth: {existingSecret: a}}", "nats.cluster.existingSecret is needed"},
		"more copies than servers": {"{auth: {existingSecret: a}, nats: {streamReplicas: 5, cluster: {existingSecret: words}}}", "nats.streamReplicas 5 is above nats.cluster.replicaCount 3"},
		"no time to say goodbye":   {"{auth: {existingSecret: a}, nats: {cluster: {existingSecret: words}}, gateway: {drainSeconds: 120}}", "gateway.terminationGracePeriodSeconds 75 is below"},
		"no time for lame duck":    {"{auth: {existingSecret: a}, nats: {cluster: {existingSecret: words, lameDuckSeconds: 50}}}", "is below lameDuckSeconds 50 + 20"},
		"no URL":                   {"{auth: {existingSecret: a}, nats: {mode: external}}", "nats.external.url is needed"},
		"URL of nobody":            {"{auth: {existingSecret: a}, nats: {external: {url: 'nats://x:4222'}, cluster: {existingSecret: words}}}", "nats.external.url is set, but nats.mode is cluster"},
		"half a key pair":          {"{auth: {existingSecret: a}, nats: {mode: external, external: {url: 'nats://x:4222', tls: {existingSecret: t, certKey: c}}}}", "go together"},
		"credentials of nowhere":   {"{auth: {existingSecret: a}, nats: {mode: external, external: {url: 'nats://x:4222', credsKey: c}}}", "needs nats.external.existingSecret"},
		"ingress without a host":   {"{nats: {mode: single}, ingress: {enabled: true}}", "ingress.host is needed"},
		"route without a gateway":  {"{nats: {mode: single}, httpRoute: {enabled: true}}", "httpRoute.parentRefs is needed"},
		"scaled by nothing":        {"{auth: {existingSecret: a}, nats: {cluster: {existingSecret: words}}, gateway: {autoscaling: {enabled: true, targetConnections: 0}}}", "needs a target"},
		"more than the most":       {"{auth: {existingSecret: a}, nats: {cluster: {existingSecret: words}}, gateway: {autoscaling: {enabled: true, minReplicas: 20}}}", "minReplicas 20 is above maxReplicas 10"},
		"key pair of nowhere":      {"{auth: {existingSecret: a}, nats: {mode: external, external: {url: 'nats://x:4222', tls: {certKey: c, keyKey: k}}}}", "needs nats.external.tls.existingSecret"},
		"NATS by the back door":    {"{nats: {mode: single}, config: {nats: {url: x}}}", "config.nats is what nats.* of the values writes"},
		"by a service's door":      {"{nats: {mode: single}, mailbox: {config: {nats: {url: x}}}}", "mailbox.config.nats is what nats.* of the values writes"},
		"a port of one's own":      {"{nats: {mode: single}, defaults: {config: {http: {addr: ':8888'}}}}", "defaults.config.http.addr is the port that the Services lead to"},
		"probes that find nothing": {"{nats: {mode: single}, config: {admin: {tls_cert: c}}}", "config.admin is where probes and metrics are"},

		"a typo":               {"{gatway: {}}", "'gatway' not allowed"},
		"a typo inside":        {"{gateway: {replicas: 3}}", "'replicas' not allowed"},
		"text for a number":    {"{gateway: {replicaCount: '3'}}", "got string, want integer"},
		"an unknown mode":      {"{nats: {mode: embedded}}", "nats/mode"},
		"a cluster of one":     {"{nats: {cluster: {replicaCount: 1}}}", "at '/nats/cluster/replicaCount': value must be one of 3, 5"},
		"two copies":           {"{nats: {streamReplicas: 2}}", "nats/streamReplicas"},
		"a URL that is none":   {"{nats: {external: {url: 'x:4222'}}}", "nats/external/url"},
		"latest":               {"{image: {tag: latest}}", "image/tag"},
		"a level of nobody":    {"{logLevel: loud}", "logLevel"},
		"half a volume":        {"{nats: {cluster: {persistence: {size: much}}}}", "persistence/size"},
		"a host that is a URL": {"{nats: {mode: single}, ingress: {enabled: true, host: 'https://a.b'}}", "at '/ingress/host': 'https://a.b' does not match pattern"},
		"hashed by nothing":    {"{nats: {mode: single}, ingress: {hashBy: id}}", "at '/ingress/hashBy': 'id' does not match pattern"},
		"a name of underlines": {"{fullnameOverride: my_events}", "fullnameOverride"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := files(values(t, c.values))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant %q", err, c.want)
			}
		})
	}
}

// helm lint --strict, in every mode.
func TestLint(t *testing.T) {
	t.Parallel()
	for mode, least := range modes {
		for _, m := range lint.RunAll(dir, values(t, least), namespace).Messages {
			if m.Severity >= support.WarningSev {
				t.Errorf("%s: %s", mode, m)
			}
		}
	}
}

// The values file and the schema name the same things: a value without a schema
// would be refused, a schema without a value is a promise.
func TestSchemaKnowsEveryValue(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(dir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	schema, err := os.ReadFile(filepath.Join(dir, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(path string, s, v map[string]any)
	walk = func(path string, s, v map[string]any) {
		for name, sub := range properties(s) {
			value, ok := v[name]
			if !ok && !strings.HasPrefix(path, ".gateway") && !strings.HasPrefix(path, ".scheduler") && !strings.HasPrefix(path, ".objectevent") && !strings.HasPrefix(path, ".mailbox") {
				t.Errorf("%s.%s is in the schema and not in values.yaml", path, name)
			}
			below, isMap := value.(map[string]any)
			if ok && isMap {
				walk(path+"."+name, sub, below)
			}
		}
	}
	walk("", values(t, string(schema)), values(t, string(text)))
}

func properties(s map[string]any) map[string]map[string]any {
	out := map[string]map[string]any{}
	all, _ := s["properties"].(map[string]any)
	for name, sub := range all {
		out[name], _ = sub.(map[string]any)
	}
	return out
}

// Restoring begins with NATS alone, whose notes do not speak of services.
func TestNotesOfNATSAlone(t *testing.T) {
	t.Parallel()
	rendered, err := files(merge(values(t, modes["cluster"]), values(t, natsAlone)))
	if err != nil {
		t.Fatal(err)
	}
	notes := rendered["belfry/templates/NOTES.txt"]
	if !strings.Contains(notes, "restore into it") || strings.Contains(notes, "helm test") {
		t.Errorf("the notes are\n%s", notes)
	}
}

// The notes are read by a person once: they must not break, and say what to do.
func TestNotes(t *testing.T) {
	t.Parallel()
	for mode, least := range modes {
		rendered, err := files(values(t, least))
		if err != nil {
			t.Fatal(err)
		}
		notes := rendered["belfry/templates/NOTES.txt"]
		for _, want := range []string{"helm test live -n events", "token --user anna", "evt.<tenant>.<topic>.<verb>"} {
			if !strings.Contains(notes, want) {
				t.Errorf("%s: the notes lack %q:\n%s", mode, want, notes)
			}
		}
	}
}
