package subject

import "github.com/belfry-events/belfry/pkg/fault"

const verdict = "verdict"

// Verdicts is every hook's every verdict, verdict.<tenant>.<hook>.
var Verdicts = join(verdict, rest)

// Hook is where a hook that listens on NATS is called: hook.<tenant>.<name>, the
// name in lower case. Code invalid_name for the tenant or the name.
func Hook(tenant, name string) (string, error) { return ofHook(hook, tenant, name) }

// Verdict is where the verdicts of a hook are kept: verdict.<tenant>.<hook>, the
// name in lower case. Code invalid_name for the tenant or the name.
func Verdict(tenant, name string) (string, error) { return ofHook(verdict, tenant, name) }

// TenantVerdicts is the filter for all verdicts of a tenant, verdict.<tenant>.>.
func TenantVerdicts(tenant string) (string, error) { return TenantOf(Verdicts, tenant) }

func ofHook(root, tenant, name string) (string, error) {
	if err := CheckTenant(tenant); err != nil {
		return "", err
	}
	if err := checkName(fault.InvalidName, "name", name); err != nil {
		return "", err
	}
	return join(root, escape(tenant), escape(Fold(name))), nil
}
