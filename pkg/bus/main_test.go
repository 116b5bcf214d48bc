package bus_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

const wait = time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
