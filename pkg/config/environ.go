package config

import (
	"regexp"
	"strings"
)

func lookup(environ []string, name string) (value string, ok bool) {
	for _, kv := range environ { // the last one wins, as in a shell
		if n, v, _ := strings.Cut(kv, "="); n == name {
			value, ok = v, true
		}
	}
	return value, ok
}

// fromKubernetes are the variables that Kubernetes sets in every pod for a
// service called belfry-…: BELFRY_GATEWAY_SERVICE_HOST, BELFRY_NATS_PORT_4222_TCP.
var fromKubernetes = regexp.MustCompile(
	`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// unknownEnviron warns about variables with our prefix that set nothing.
func unknownEnviron(o Options, fields []field) []string {
	known := map[string]bool{o.EnvPrefix + "_CONFIG": true, o.EnvPrefix + "_TOKEN": true} // the second is for commands that call the platform
	for _, f := range fields {
		known[f.env(o.EnvPrefix)] = true
	}
	var warnings []string
	for _, kv := range o.Environ {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, o.EnvPrefix+"_") || known[name] || fromKubernetes.MatchString(name) {
			continue
		}
		w := "environment variable " + name + " sets nothing"
		key := strings.ToLower(strings.TrimPrefix(name, o.EnvPrefix+"_"))
		if near := nearest(strings.Replace(key, "_", ".", 1), fields); near != "" {
			w += "; did you mean " + field{key: near}.env(o.EnvPrefix) + "?"
		}
		warnings = append(warnings, w)
	}
	return warnings
}
