package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// kube is a release on a cluster.
type kube struct {
	plan
	ctx    context.Context //nolint:containedctx // of the program
	secret string          // of the tokens
}

// patience bounds every wait for the cluster.
const patience = 3 * time.Minute

func (k *kube) run(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(k.ctx, 2*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (k *kube) kubectl(args ...string) (string, error) { return k.run("kubectl", args...) }

// here is kubectl in the release's namespace.
func (k *kube) here(args ...string) (string, error) {
	return k.kubectl(append([]string{"-n", k.namespace}, args...)...)
}

func (k *kube) helm(args ...string) error {
	_, err := k.run("helm", append(args, "-n", k.namespace)...)
	return err
}

// service is the name of one of the chart's services in the cluster's DNS. In single
// mode there is one.
func (k *kube) service(name string) string {
	if k.mode == "single" {
		name = "single"
	}
	return fmt.Sprintf("%s-belfry-%s.%s.svc", k.release, name, k.namespace)
}

// prepare makes the namespace and what the chart does not invent: secrets.
func (k *kube) prepare() error {
	k.secret = rand.Text() + rand.Text()
	if _, err := k.kubectl("create", "namespace", k.namespace); err != nil {
		return err
	}
	if _, err := k.kubectl("label", "namespace", k.namespace, "pod-security.kubernetes.io/enforce=restricted"); err != nil {
		return err
	}
	for name, value := range map[string]string{"auth": "secret=" + k.secret, "nats": "password=" + rand.Text()} {
		if _, err := k.here("create", "secret", "generic", name, "--from-literal="+value); err != nil {
			return err
		}
	}
	return nil
}

// values are the chart's, with others of this try behind them.
func (k *kube) values(more ...string) (args []string) {
	sets := []string{"nats.mode=" + k.mode, "auth.existingSecret=auth"}
	if k.mode == "cluster" {
		sets = append(sets, "nats.cluster.existingSecret=nats")
	}
	for _, s := range slices.Concat(sets, k.sets, more) {
		args = append(args, "--set", s)
	}
	return append(args, "--wait", "--timeout", "5m")
}

// install installs the older release, if there is one to begin with.
func (k *kube) install() (string, error) {
	chart := k.chart
	if k.from != "" {
		chart = k.from
	}
	if err := k.helm(append([]string{"install", k.release, chart}, k.values(k.fromSets...)...)...); err != nil {
		return "", err
	}
	out, err := k.here("get", "pods", "-o", "name")
	return fmt.Sprintf("%d pods", len(lines(out))), err
}

// upgrade changes a setting of every program, and sees that no pod is what it was.
func (k *kube) upgrade() (string, error) {
	before, err := k.uids()
	if err != nil {
		return "", err
	}
	if err := k.helm(append([]string{"upgrade", k.release, k.chart}, k.values("logLevel=warn")...)...); err != nil {
		return "", err
	}
	if err := k.ready(); err != nil {
		return "", err
	}
	after, err := k.uids()
	for _, uid := range after {
		if slices.Contains(before, uid) {
			return "", errors.New("a pod was not replaced")
		}
	}
	return fmt.Sprintf("%d pods", len(after)), err
}

func (k *kube) uids() ([]string, error) {
	out, err := k.here("get", "pods", "--field-selector", "status.phase=Running", "-l", "app.kubernetes.io/instance="+k.release,
		"-o", `jsonpath={range .items[*]}{.metadata.uid}{"\n"}{end}`)
	return lines(out), err
}

// ready waits until every workload has all its pods.
func (k *kube) ready() error {
	for _, kind := range []string{"statefulset", "deployment"} {
		out, err := k.here("get", kind, "-o", "name")
		if err != nil {
			return err
		}
		for _, name := range lines(out) {
			if _, err := k.here("rollout", "status", name, "--timeout", patience.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

// kill ends a NATS pod and a gateway pod as a machine does that loses power.
func (k *kube) kill() (string, error) {
	out, err := k.here("get", "pods", "-l", "app.kubernetes.io/component=gateway", "-o", "name")
	if err != nil || len(lines(out)) == 0 {
		return "", errors.Join(err, errors.New("there is no gateway pod"))
	}
	victims := []string{"pod/" + k.release + "-belfry-nats-0", lines(out)[0]}
	if _, err := k.here(append([]string{"delete", "--grace-period=0", "--force"}, victims...)...); err != nil {
		return "", err
	}
	return strings.Join(victims, ", "), k.ready()
}

// evict asks for the eviction of a NATS pod, and of another before the first is back.
func (k *kube) evict() (string, error) {
	first, second := k.release+"-belfry-nats-1", k.release+"-belfry-nats-2"
	if err := k.eviction(first); err != nil {
		return "", err
	}
	if err := k.eviction(second); err == nil {
		return "", errors.New("the disruption budget let a second node go")
	}
	return "", k.ready()
}

func (k *kube) eviction(pod string) error {
	ctx, cancel := context.WithTimeout(k.ctx, patience)
	defer cancel()
	c := exec.CommandContext(ctx, "kubectl", "create", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", k.namespace, pod), "-f", "-")
	c.Stdin = strings.NewReader(fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":%q}}`, pod, k.namespace))
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("evict %s: %w: %s", pod, err, out)
	}
	return nil
}

// uninstall removes the release, and sees what is left of it.
func (k *kube) uninstall() (string, error) {
	if err := k.helm("uninstall", k.release, "--wait"); err != nil {
		return "", err
	}
	var left []string
	for end := time.Now().Add(patience); ; { // what belonged to a Deployment is collected behind it
		out, err := k.here("get", "all,configmap,serviceaccount,networkpolicy,poddisruptionbudget,ingress", "-l", "app.kubernetes.io/instance="+k.release, "-o", "name")
		if err != nil {
			return "", err
		}
		left = slices.DeleteFunc(lines(out), func(s string) bool { return strings.HasPrefix(s, "No resources") })
		if len(left) == 0 || time.Now().After(end) {
			break
		}
		time.Sleep(time.Second) //nolint:forbidigo // polling a cluster
	}
	if len(left) > 0 {
		return "", fmt.Errorf("left: %v", left)
	}
	claims, err := k.here("get", "pvc", "-o", "name")
	return fmt.Sprintf("%d volume claims left", len(lines(claims))), err
}

// look is what an operator would look at first when something is wrong.
func (k *kube) look() string {
	pods, _ := k.here("get", "pods")
	events, _ := k.here("get", "events", "--sort-by=.lastTimestamp")
	all := lines(events)
	return pods + "\n" + strings.Join(all[max(len(all)-15, 0):], "\n")
}
