package subject_test

import (
	"testing"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// An alert's records are read back for what they are, and for nothing else.
func TestAlertRecords(t *testing.T) {
	s, err := subject.AlertRecord("A.B")
	if err != nil || s != "ctl.alert.A=2EB" || !subject.Match(subject.AlertRecords, s) {
		t.Fatalf("%q, %v", s, err)
	}
	if tenant, ok := subject.ParseAlertRecord(s); !ok || tenant != "A.B" {
		t.Errorf("read back as %q, %v", tenant, ok)
	}
	for _, other := range []string{"ctl.alert", "ctl.alert.", "ctl.alert.a.b", "ctl.alerted.a", "evt.a.b.c", "ctl.sub.a"} {
		if tenant, ok := subject.ParseAlertRecord(other); ok {
			t.Errorf("%s was taken for a record of %q", other, tenant)
		}
	}
	one, err := subject.Alerted("AA", "Big", "42")
	if err != nil || !subject.Match("ctl.alerted.AA.big.*", one) {
		t.Errorf("%q, %v", one, err)
	}
	if two, _ := subject.Alerted("AA", "big", "43"); two == one {
		t.Errorf("two objects share %q", one)
	}
	if _, err := subject.Alerted("_", "big", "42"); fault.CodeOf(err) != fault.InvalidName {
		t.Errorf("the platform's own tenant: %v", err)
	}
	if s, err := subject.TopicEvents("AA", "Invoices"); err != nil || s != "evt.AA.invoices.*" {
		t.Errorf("%q, %v", s, err)
	}
}
