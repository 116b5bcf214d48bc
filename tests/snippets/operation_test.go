package snippets

import (
	"os"
	"path/filepath"
)

// operation does what the chapter on operations says: two over HTTP, whose events are
// in the log when they are answered, and one in Go.
func (m *machine) operation(x *terminal) {
	m.t.Helper()
	x.run(m.block("operation"))
	x.expect(`"id":"erp-1","state":"raised","events":\[\{"verb":"created"`)
	x.expect(`"id":"erp-2","state":"raised","events":\[\{"verb":"updated"`)
	file := filepath.Join(m.t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(m.block("operation-go")), 0o600); err != nil {
		m.t.Fatal(err)
	}
	x.run("(cd tests && go run " + file + ")")
	x.expect(`queued at 3`)
	x.expect(`"id":"erp-3","source":"/erp","type":"invoices.updated"`) // in the window
}
