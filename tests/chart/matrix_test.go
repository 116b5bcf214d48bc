package chart

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// modes are the three ways to have NATS, each with the least that must be said.
var modes = map[string]string{
	"cluster":  "{nats: {cluster: {existingSecret: words}}, auth: {existingSecret: a}}",
	"external": "{nats: {mode: external, external: {url: 'nats://a:4222,nats://b:4223', existingSecret: words}}, auth: {existingSecret: a}}",
	"single":   "{nats: {mode: single}}",
}

// variants are laid over every mode.
var variants = map[string]string{
	"as it is":     "{}",
	"jwks":         "{auth: {jwksUrl: 'https://id.example.com/keys', issuer: i, audience: u, hmacExistingSecret: h}}",
	"ingress":      "{ingress: {enabled: true, host: events.example.com, className: nginx, tls: {existingSecret: t}, annotations: {x: z}}}",
	"route":        "{httpRoute: {enabled: true, parentRefs: [{name: edge}], hostnames: [events.example.com]}}",
	"autoscaling":  "{gateway: {autoscaling: {enabled: true, targetCPUPercent: 70}}}",
	"monitoring":   "{metrics: {serviceMonitor: {enabled: true, labels: {release: p}}, prometheusRule: {enabled: true}, dashboards: {enabled: true}}}",
	"placed":       "{defaults: {nodeSelector: {a: b}, tolerations: [{operator: Exists}], priorityClassName: high, affinity: {nodeAffinity: {}}, podLabels: {l: v}, podAnnotations: {a: v}}}",
	"no spread":    "{defaults: {topologySpread: {enabled: false}, podDisruptionBudget: {enabled: false}}}",
	"extra":        "{gateway: {extraEnv: [{name: A, value: b}], extraEnvFrom: [{secretRef: {name: s}}], extraVolumes: [{name: v, emptyDir: {}}], extraVolumeMounts: [{name: v, mountPath: /v}]}}",
	"named":        "{nameOverride: bells, fullnameOverride: tower, commonLabels: {team: a}, commonAnnotations: {k: m}, global: {imageRegistry: r.example.com, imagePullSecrets: [p]}}",
	"no policies":  "{networkPolicy: {enabled: false}}",
	"policies":     "{networkPolicy: {allowFrom: [{namespaceSelector: {}}], natsFrom: [{podSelector: {}}], metricsFrom: [{namespaceSelector: {}}], extraEgress: [{ports: [{port: 4318}]}]}}",
	"own account":  "{serviceAccount: {create: false, name: mine}}",
	"kept words":   "{single: {existingSecret: words, resources: {limits: {memory: 1Gi}}}}",
	"gateway only": "{scheduler: {enabled: false}, objectevent: {enabled: false}, mailbox: {enabled: false}}",
	"settings":     "{config: {events: {max_age: 48h}}, logLevel: debug, traceEndpoint: 'http://otel:4318', mailbox: {config: {mailbox: {sweep_every: 1h}}}}",
	"hooks' keys":  "{hooks: {existingSecret: h}}",
	"own probes":   "{gateway: {readinessProbe: {tcpSocket: {port: http}}}}",
	"objects":      "{extraObjects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: '{{ .Release.Name }}-extra'}}]}",
	"tls to nats":  "{nats: {external: {tls: {existingSecret: t, certKey: tls.crt, keyKey: tls.key}, credsKey: creds, existingSecret: words}, cluster: {tls: {existingSecret: t}, routeTLS: {existingSecret: r}, allowSharedHosts: false, persistence: {storageClass: fast, labels: {a: b}}}}}",
}

// each renders every variant in every mode.
func each(t *testing.T, check func(t *testing.T, mode, variant string, all []runtime.Object)) {
	t.Helper()
	for mode, least := range modes {
		for variant, over := range variants {
			t.Run(mode+"/"+variant, func(t *testing.T) {
				t.Parallel()
				v := merge(values(t, least), values(t, over))
				check(t, mode, variant, objects(t, v))
			})
		}
	}
}

// workload is what Deployments, StatefulSets and bare pods have in common.
type workload struct {
	name     string
	selector *metav1.LabelSelector
	template corev1.PodTemplateSpec
	runs     bool // serves, and is not a test that ends
}

func workloads(all []runtime.Object) (w []workload) {
	for _, d := range of[*appsv1.Deployment](all) {
		w = append(w, workload{d.Name, d.Spec.Selector, d.Spec.Template, true})
	}
	for _, s := range of[*appsv1.StatefulSet](all) {
		w = append(w, workload{s.Name, s.Spec.Selector, s.Spec.Template, true})
	}
	for _, p := range of[*corev1.Pod](all) {
		w = append(w, workload{p.Name, nil, corev1.PodTemplateSpec{ObjectMeta: p.ObjectMeta, Spec: p.Spec}, false})
	}
	return w
}

// Everything that operators ask of any pod, in every combination of values.
func TestEveryPod(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, mode, variant string, all []runtime.Object) {
		t.Helper()
		found := workloads(all)
		if len(found) < 2 {
			t.Fatalf("%d workloads", len(found))
		}
		for _, w := range found {
			if w.selector != nil {
				selector, err := metav1.LabelSelectorAsSelector(w.selector)
				if err != nil || !selector.Matches(labels.Set(w.template.Labels)) {
					t.Errorf("%s does not select its own pods: %v", w.name, err)
				}
			}
			for _, problem := range faults(w) {
				t.Errorf("%s: %s", w.name, problem)
			}
		}
	})
}

// faults are the rules that a pod breaks; the first ones are those of the Pod
// Security Standard "restricted".
func faults(w workload) (found []string) {
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			found = append(found, fmt.Sprintf(format, args...))
		}
	}
	spec := w.template.Spec
	s := spec.SecurityContext
	bad(s != nil && *s.RunAsNonRoot && *s.RunAsUser > 0 && s.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault, "pod security is %+v", s)
	bad(spec.AutomountServiceAccountToken != nil && !*spec.AutomountServiceAccountToken, "mounts a token of the Kubernetes API")
	bad(spec.EnableServiceLinks != nil && !*spec.EnableServiceLinks, "has other services in its environment")
	volumes := map[string]bool{}
	for _, v := range spec.Volumes {
		bad(!volumes[v.Name], "two volumes %s", v.Name)
		volumes[v.Name] = true
	}
	volumes["data"] = true
	for _, c := range spec.Containers {
		s := c.SecurityContext
		bad(s != nil && !*s.AllowPrivilegeEscalation && *s.ReadOnlyRootFilesystem && len(s.Capabilities.Drop) == 1, "container security is %+v", s)
		_, tag, tagged := strings.Cut(c.Image[strings.LastIndex(c.Image, "/")+1:], ":")
		bad(tagged && tag != "latest", "image %s has no tag to go back to", c.Image)
		for _, m := range c.VolumeMounts {
			bad(volumes[m.Name], "mounts %s, which is no volume", m.Name)
		}
		if w.runs {
			bad(c.StartupProbe != nil && c.ReadinessProbe != nil && c.LivenessProbe != nil, "lacks a probe")
			bad(c.LivenessProbe.HTTPGet.Path == "/healthz", "lives by %s, which asks for NATS", c.LivenessProbe.HTTPGet.Path)
		}
		if c.Lifecycle != nil {
			bad(c.Lifecycle.PreStop.Sleep.Seconds < *spec.TerminationGracePeriodSeconds, "is killed before it is stopped")
		}
		if c.Resources.Limits.Cpu().IsZero() {
			continue
		}
		bad(!w.runs, "has a CPU limit")
	}
	return found
}

// A budget, an autoscaler and a service are for pods that exist.
func TestSelectorsFindPods(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _, _ string, all []runtime.Object) {
		t.Helper()
		var pods []labels.Set
		names := map[string]bool{}
		for _, w := range workloads(all) {
			pods = append(pods, w.template.Labels)
			names[w.name] = true
		}
		check := func(of, name string, selector labels.Selector) {
			for _, p := range pods {
				if selector.Matches(p) {
					return
				}
			}
			t.Errorf("%s %s selects no pod: %s", of, name, selector)
		}
		for _, s := range of[*corev1.Service](all) {
			check("service", s.Name, labels.SelectorFromSet(s.Spec.Selector))
		}
		for _, b := range of[*policyv1.PodDisruptionBudget](all) {
			selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
			if err != nil {
				t.Fatal(err)
			}
			check("budget", b.Name, selector)
		}
		for _, h := range of[*autoscalingv2.HorizontalPodAutoscaler](all) {
			if !names[h.Spec.ScaleTargetRef.Name] {
				t.Errorf("autoscaler %s scales %s, which is not there", h.Name, h.Spec.ScaleTargetRef.Name)
			}
		}
	})
}

// The keys that seal the secrets of hooks are given to whoever asks hooks, and to
// nobody else.
func TestHooksKeysAreWhereHooksAreAsked(t *testing.T) {
	t.Parallel()
	asks := map[string]string{"cluster": "live-belfry-objectevent", "external": "live-belfry-objectevent", "single": "live-belfry-single"}
	for mode, least := range modes {
		all := objects(t, merge(values(t, least), values(t, "{hooks: {existingSecret: sealed, secretKey: mine}}")))
		for _, w := range workloads(all) {
			holds := false
			for _, v := range w.template.Spec.Volumes {
				holds = holds || v.Secret != nil && v.Secret.SecretName == "sealed" && v.Secret.Items[0] == corev1.KeyToPath{Key: "mine", Path: "keys"}
			}
			if w.runs && holds != (w.name == asks[mode]) {
				t.Errorf("%s: %s holds the keys: %v", mode, w.name, holds)
			}
		}
		for _, c := range of[*corev1.ConfigMap](all) {
			if says := strings.Contains(c.Data["belfry.yaml"], "hook_key_file: /etc/belfry/hooks/keys"); says != (c.Name == asks[mode]) {
				t.Errorf("%s: %s names the keys: %v", mode, c.Name, says)
			}
		}
	}
}
