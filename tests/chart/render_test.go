package chart

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	sigs "sigs.k8s.io/yaml"
)

const (
	dir       = "../../charts/belfry"
	namespace = "events"
)

// values is YAML, as an operator writes it.
func values(t *testing.T, text string) map[string]any {
	t.Helper()
	v := map[string]any{}
	if err := sigs.UnmarshalStrict([]byte(text), &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return v
}

// merge lays values over others.
func merge(into, over map[string]any) map[string]any {
	out := maps.Clone(into)
	for k, v := range over {
		a, ok1 := out[k].(map[string]any)
		b, ok2 := v.(map[string]any)
		if ok1 && ok2 {
			v = merge(a, b)
		}
		out[k] = v
	}
	return out
}

// loaded is the chart, read once; rendering only reads it.
var loaded = sync.OnceValues(func() (*v2.Chart, error) { return loader.Load(dir) })

// files renders the chart: templates by name.
func files(vals map[string]any) (map[string]string, error) {
	chart, err := loaded()
	if err != nil {
		return nil, err
	}
	release := common.ReleaseOptions{Name: "live", Namespace: namespace, Revision: 1, IsInstall: true}
	rendered, err := util.ToRenderValues(chart, vals, release, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(chart, rendered)
}

// strict decodes like the API server does with --validate=strict: an unknown or a
// doubled field is an error.
var strict = serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()

// foreign are the kinds of others, whose types we do not import.
var foreign = []string{"ServiceMonitor", "PrometheusRule", "HTTPRoute"}

// objects renders and decodes everything.
func objects(t *testing.T, vals map[string]any) []runtime.Object {
	t.Helper()
	rendered, err := files(vals)
	if err != nil {
		t.Fatal(err)
	}
	var all []runtime.Object
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		for doc := range strings.SplitSeq("\n"+rendered[name], "\n---") {
			u := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
				t.Fatalf("%s: %v in\n%s", name, err, doc)
			}
			if len(u.Object) == 0 {
				continue
			}
			if slices.Contains(foreign, u.GetKind()) {
				all = append(all, u)
				continue
			}
			o, _, err := strict.Decode([]byte(doc), nil, nil)
			if err != nil {
				t.Fatalf("%s: %v in\n%s", name, err, doc)
			}
			all = append(all, o)
		}
	}
	return all
}

// of are the objects of one type.
func of[T runtime.Object](all []runtime.Object) (some []T) {
	for _, o := range all {
		if v, ok := o.(T); ok {
			some = append(some, v)
		}
	}
	return some
}
