package embed

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"

	"github.com/belfry-events/belfry/pkg/fault"
)

// LockFile is the name, inside the data directory, of the file that a running
// server keeps locked. The kernel lets go of it when the process dies.
const LockFile = "nats.lock"

// lockDir makes the data directory and takes it for this process.
func lockDir(dir string) (*flock.Flock, error) {
	unwritable := func(err error) error {
		return fault.Wrap(fault.DataDirUnwritable, err, "data_dir: %s cannot be written", dir).With("field", "data_dir")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritable(err)
	}
	lock := flock.New(filepath.Join(dir, LockFile), flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, unwritable(err)
	}
	if !ok {
		return nil, fault.Field(fault.DataDirInUse, "data_dir", "%s is in use by another process", dir)
	}
	return lock, nil
}

// portFault tells a taken port from an address that this machine does not have.
func portFault(err error, address string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.Wrap(fault.PortInUse, err, "another process listens on %s", address).With("address", address)
	}
	return fault.Wrap(fault.InvalidConfig, err, "cannot listen on %s", address).With("address", address)
}
