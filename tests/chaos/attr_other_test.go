//go:build !linux

package chaos

import "syscall"

// attributes: elsewhere only the test's clean-up ends a process.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
