package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// belfry is the program that TestMain has built.
var belfry string

func TestMain(m *testing.M) {
	if os.Getenv(envWorker) != "" {
		os.Exit(workerMain())
	}
	os.Exit(func() int {
		dir, err := build()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
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

func build() (dir string, err error) {
	_ = os.Getenv("BELFRY_TREE") // a key of go test's cache, see the Makefile
	if dir, err = os.MkdirTemp("", "belfry-chaos-"); err != nil {
		return "", fmt.Errorf("make a directory for the program: %w", err)
	}
	belfry = filepath.Join(dir, "belfry")
	cmd := exec.Command("go", "build", "-trimpath", "-o", belfry, "./services/belfry")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return dir, nil
}
