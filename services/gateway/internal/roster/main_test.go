package roster

import (
	"os"
	"testing"

	"github.com/nats-io/nats-server/v2/server/ats"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	ats.Register() // once and outside bubbles, or they never end
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1")); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}
