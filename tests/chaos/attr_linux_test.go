package chaos

import "syscall"

// attributes keep a process from outliving the test, however that ends, and
// from the terminal's signals.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
