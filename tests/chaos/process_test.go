package chaos

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// process is one server or worker; after a kill it can be started again.
type process struct {
	t    *testing.T
	name string
	cmd  func() *exec.Cmd
	line func(string) // is told each line of its standard output
	log  *os.File     // its standard error, over all its lives

	running *exec.Cmd
	done    chan struct{} // closed when it has ended
	asked   *atomic.Bool  // somebody ended it
}

// newProcess starts one that the test ends.
func newProcess(t *testing.T, name, dir string, cmd func() *exec.Cmd, line func(string)) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: name, cmd: cmd, line: line, log: log}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s printed last:\n%s", name, p.tail())
		}
		_ = log.Close() // only read from here on
	})
	p.start()
	return p
}

func (p *process) start() {
	p.t.Helper()
	cmd, done, asked := p.cmd(), make(chan struct{}), &atomic.Bool{}
	cmd.Stderr, cmd.SysProcAttr = p.log, attributes()
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("start %s: %v", p.name, err)
	}
	p.running, p.done, p.asked = cmd, done, asked
	go func() {
		defer close(done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			p.line(lines.Text())
		}
		if err := cmd.Wait(); !asked.Load() {
			p.t.Errorf("%s ended by itself: %v", p.name, err)
		}
	}()
}

// kill is kill -9; a frozen process dies of it too.
func (p *process) kill() {
	p.asked.Store(true)
	_ = p.running.Process.Kill() // it may have ended already
	<-p.done
}

// stop asks it to end in peace and gives the exit code.
func (p *process) stop() int {
	p.asked.Store(true)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Errorf("%s still runs %s after SIGTERM", p.name, patience)
		p.kill()
	}
	return p.running.ProcessState.ExitCode()
}

func (p *process) signal(s syscall.Signal) {
	if err := p.running.Process.Signal(s); err != nil {
		p.t.Errorf("%s to %s: %v", s, p.name, err)
	}
}

// tail is the end of what it printed: little, beside the failure itself, unless somebody
// asks for more (-v).
func (p *process) tail() string {
	n := int64(1 << 10)
	if testing.Verbose() {
		n = 64 << 10
	}
	if at, err := p.log.Seek(0, io.SeekEnd); err == nil {
		_, _ = p.log.Seek(max(at-n, 0), io.SeekStart) // at worst it prints all
	}
	b, _ := io.ReadAll(p.log) // a part is better than nothing
	return string(b)
}
