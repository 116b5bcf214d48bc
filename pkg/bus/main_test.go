package bus_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

const wait = 10 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
