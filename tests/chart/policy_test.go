package chart

import (
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// policies are the chart's by component.
func policies(all []runtime.Object) map[string]*networkingv1.NetworkPolicy {
	found := map[string]*networkingv1.NetworkPolicy{}
	for _, p := range of[*networkingv1.NetworkPolicy](all) {
		found[strings.TrimPrefix(p.Name, "live-belfry-")] = p
	}
	return found
}

// A port is of the container, and every pod of ours is covered.
func TestPoliciesCoverEveryPodAndNameItsPorts(t *testing.T) {
	t.Parallel()
	for mode, least := range modes {
		all := objects(t, values(t, least))
		for _, w := range workloads(all) {
			if !w.runs {
				continue
			}
			ports := map[string]bool{}
			for _, p := range w.template.Spec.Containers[0].Ports {
				ports[p.Name] = true
			}
			covered := false
			for _, p := range of[*networkingv1.NetworkPolicy](all) {
				s, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
				if err != nil {
					t.Fatal(err)
				}
				if !s.Matches(labels.Set(w.template.Labels)) {
					continue
				}
				covered = len(p.Spec.PolicyTypes) == 2
				for _, in := range p.Spec.Ingress {
					for _, port := range in.Ports {
						if !ports[port.Port.StrVal] {
							t.Errorf("%s: %s lets in to port %s, which is none of its pods'", mode, p.Name, port.Port)
						}
						delete(ports, port.Port.StrVal)
					}
				}
			}
			if !covered || len(ports) > 0 {
				t.Errorf("%s: %s: covered %v, nobody gets in to %v", mode, w.name, covered, ports)
			}
		}
	}
}

// The NATS port is not for everybody in any mode: in one pod with all the rest it has a
// user without a password, for whoever is near.
func TestNATSIsForTheNamespace(t *testing.T) {
	t.Parallel()
	for mode, component := range map[string]string{"cluster": "nats", "single": "single"} {
		for said, want := range map[string]*metav1.LabelSelector{
			"{}": nil, "{networkPolicy: {natsFrom: [{namespaceSelector: {matchLabels: {team: erp}}}]}}": {MatchLabels: map[string]string{"team": "erp"}},
		} {
			p := policies(objects(t, merge(values(t, modes[mode]), values(t, said))))[component]
			for _, in := range p.Spec.Ingress {
				if in.Ports[0].Port.StrVal != "nats" {
					continue
				}
				if len(in.From) != 2 || in.From[1].NamespaceSelector.String() != want.String() {
					t.Errorf("%s %s: NATS is for %+v", mode, said, in.From)
				}
			}
		}
	}
}

// Out of a pod leads what the values name, by its port.
func TestPoliciesLetOutWhereTheValuesLead(t *testing.T) {
	t.Parallel()
	for said, want := range map[string][]int32{
		"{nats: {external: {url: 'nats://a:4222,nats://b:4222'}}}":                           {53, 53, 4222},
		"{nats: {external: {url: 'nats://10.0.0.5, tls://[::1]:4333,wss://n.example.com'}}}": {53, 53, 4222, 4333, 443},
		"{auth: {jwksUrl: 'https://id.example.com:8443/keys'}}":                              {53, 53, 4222, 4223, 8443},
		"{auth: {jwksUrl: 'https://id.example.com'}, traceEndpoint: 'http://otel:4318'}":     {53, 53, 4222, 4223, 443, 4318},
	} {
		p := policies(objects(t, merge(values(t, modes["external"]), values(t, said))))["mailbox"]
		var got []int32
		for _, out := range p.Spec.Egress {
			for _, port := range out.Ports {
				got = append(got, port.Port.IntVal)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: out to %v, want %v", said, got, want)
		}
	}
}
