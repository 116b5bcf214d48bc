package subject_test

import (
	"testing"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

func TestHookSubjects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ tenant, name, hook, verdict string }{
		{"AA", "Guard", "hook.AA.guard", "verdict.AA.guard"},
		{"A.1", "no_go", "hook.A=2E1.no=5Fgo", "verdict.A=2E1.no=5Fgo"},
	} {
		hook, err := subject.Hook(c.tenant, c.name)
		if err != nil || hook != c.hook || !subject.Match(subject.Roots.Hook, hook) {
			t.Errorf("%q, not %q: %v", hook, c.hook, err)
		}
		verdict, err := subject.Verdict(c.tenant, c.name)
		if err != nil || verdict != c.verdict || !subject.Match(subject.Verdicts, verdict) {
			t.Errorf("%q, not %q: %v", verdict, c.verdict, err)
		}
		if all, err := subject.TenantVerdicts(c.tenant); err != nil || !subject.Match(all, verdict) {
			t.Errorf("%q does not match %q: %v", all, verdict, err)
		}
	}
	for _, bad := range [][2]string{{"", "x"}, {"_", "x"}, {"AA", ""}, {"AA", "*"}, {"*", "x"}} {
		if s, err := subject.Hook(bad[0], bad[1]); fault.CodeOf(err) != fault.InvalidName {
			t.Errorf("%q: %q %v", bad, s, err)
		}
	}
}
