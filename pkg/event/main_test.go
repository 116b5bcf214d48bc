package event

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// update rewrites the golden files: go test ./event -run Golden -update.
var update = flag.Bool("update", false, "rewrite testdata")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
