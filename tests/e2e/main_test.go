package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// bin is where TestMain has built the programs.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if bin, err = build(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(bin)
		code := m.Run()
		if code == 0 {
			if err := goleak.Find(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return code
	}())
}

// build makes the programs, once for all tests.
func build() (string, error) {
	dir, err := os.MkdirTemp("", "belfry-e2e-") // for all tests together
	if err != nil {
		return "", fmt.Errorf("make a directory for the programs: %w", err)
	}
	args := []string{"build", "-trimpath", "-o", dir + string(filepath.Separator), "./services/belfry", "./tests/clients/examples/plain"}
	for _, service := range []string{"gateway", "mailbox", "objectevent", "scheduler"} {
		args = append(args, "./services/"+service+"/cmd/"+service)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, nil
}
