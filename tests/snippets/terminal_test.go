package snippets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is for one step; the longest builds everything on a busy machine.
const patience = 5 * time.Minute

// terminal is a shell that is fed as a person does, one block after another.
type terminal struct {
	t        *testing.T
	cmd      *exec.Cmd
	in       io.WriteCloser
	out, err *output
	done     chan struct{} // closed when the shell has ended
	fed      int
}

// output collects what programs print.
type output struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{} // closed at the next write
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.b.Write(p)
}

func (o *output) String() string {
	text, _ := o.now()
	return text
}

func (o *output) now() (text string, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String(), o.changed
}

// progress is what curl writes over again and again.
var progress = regexp.MustCompile(`.*\r`)

// terminal opens one in the copy of the tree. All its processes are one group,
// which ends with the test.
func (m *machine) terminal() *terminal {
	m.t.Helper()
	x := &terminal{t: m.t, cmd: exec.Command("bash", "--noprofile", "--norc"), out: newOutput(), err: newOutput(), done: make(chan struct{})}
	x.cmd.Dir, x.cmd.Env = clone, append(m.env, "PWD="+clone)
	x.cmd.Stdout, x.cmd.Stderr = x.out, x.err
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if x.in, err = x.cmd.StdinPipe(); err != nil {
		m.t.Fatal(err)
	}
	if err := x.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() {
		_ = x.cmd.Wait() // by a signal, or not: the test judges by the output
		close(x.done)
	}()
	m.t.Cleanup(func() {
		x.close()
		if m.t.Failed() {
			m.t.Logf("a terminal showed:\n%s\nand as errors:\n%s", x.out, progress.ReplaceAllString(x.err.String(), ""))
		}
	})
	// The first command that fails names itself at the end of its block.
	x.type_("set -E; trap 'failed=${failed:-$BASH_COMMAND}' ERR\n")
	return x
}

func (x *terminal) type_(line string) {
	x.t.Helper()
	if _, err := io.WriteString(x.in, line); err != nil {
		x.t.Fatalf("type %q: %v", line, err)
	}
}

// feed begins a block. Its commands read nothing, so that none takes the line
// after it for its input.
func (x *terminal) feed(text string) {
	x.t.Helper()
	file := filepath.Join(x.t.TempDir(), "block.sh")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
	x.fed++
	x.type_(fmt.Sprintf("failed=; source %s </dev/null; echo \"block %d is over: $failed\"\n", file, x.fed))
}

// run feeds a block and waits until all its commands have succeeded.
func (x *terminal) run(text string) {
	x.t.Helper()
	x.feed(text)
	if failed := x.expect(fmt.Sprintf(`(?m)^block %d is over: (.*)$`, x.fed))[1]; failed != "" {
		x.t.Fatalf("failed: %s", failed)
	}
}

// expect waits until what the terminal showed matches, and gives the groups.
func (x *terminal) expect(pattern string) []string {
	x.t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.NewTimer(patience)
	defer late.Stop()
	ended := false
	for {
		text, changed := x.out.now()
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		if ended {
			x.t.Fatalf("the terminal ended without %s", pattern)
		}
		select {
		case <-changed:
		case <-x.done:
			ended = true // look once more
		case <-late.C:
			x.t.Fatalf("no %s after %s", pattern, patience)
		}
	}
}

// showed is expect for what must be there by now.
func (x *terminal) showed(pattern string) []string {
	x.t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(x.out.String())
	if m == nil {
		x.t.Fatalf("no %s", pattern)
	}
	return m
}

// interrupt is Ctrl-C. What runs in the foreground must end, and with it the
// block, or the shell if the program was ended by the signal.
func (x *terminal) interrupt() {
	x.t.Helper()
	x.signal(syscall.SIGINT)
	x.type_("exit\n")
	select {
	case <-x.done:
	case <-time.After(patience):
		x.t.Fatalf("still running %s after Ctrl-C", patience)
	}
}

// close ends everything that still runs in the terminal.
func (x *terminal) close() {
	x.in.Close()
	x.signal(syscall.SIGKILL)
	<-x.done
}

func (x *terminal) signal(s syscall.Signal) {
	x.t.Helper()
	if err := syscall.Kill(-x.cmd.Process.Pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		x.t.Errorf("signal %s: %v", s, err)
	}
}
