package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// program is a server that was started to be measured.
type program struct {
	cmd     *exec.Cmd
	dir     string
	http    string // host:port of its windows
	nats    string // URL of its NATS
	token   string
	ready   time.Duration // from start to ready
	drained chan struct{} // its standard output has ended
	lines   []string      // of it, after the first; when drained
}

// startBelfry runs the all-in-one on free ports and an empty store.
func startBelfry(ctx context.Context, p plan) (*program, error) {
	dir, err := os.MkdirTemp("", "belfry-load-")
	if err != nil {
		return nil, err
	}
	httpAddr, adminAddr, natsAddr, err := freeAddrs()
	if err != nil {
		return nil, err
	}
	run := &program{dir: dir, http: httpAddr, nats: "nats://" + natsAddr, drained: make(chan struct{})}
	run.cmd = exec.CommandContext(ctx, p.belfry, "run", "--data-dir", dir, "--http", httpAddr, "--admin", adminAddr, "--nats", natsAddr, "--log-level", "error")
	if err := run.start(adminAddr); err != nil {
		return run, err
	}
	token, err := exec.CommandContext(ctx, p.belfry, "token", "--user", "load", "--tenant", "AA", "--data-dir", dir).Output()
	run.token = strings.TrimSpace(string(token))
	return run, err
}

// startService runs one of Belfry's services on a NATS server, with settings
// (key=value), and a token for it.
func startService(ctx context.Context, p plan, c *cluster, service string, settings ...string) (*program, error) {
	httpAddr, adminAddr, _, err := freeAddrs()
	if err != nil {
		return nil, err
	}
	run := &program{http: httpAddr, drained: make(chan struct{})}
	_, host, _ := strings.Cut(c.url, "@")
	run.cmd = exec.CommandContext(ctx, p.belfry, "run", "--only", service, "--nats-url", "nats://"+host, "--nats-user", "service", "--nats-password-file", c.file,
		"--data-dir", c.dir, "--http", httpAddr, "--admin", adminAddr, "--log-level", "error")
	for _, setting := range settings {
		run.cmd.Args = append(run.cmd.Args, "--set", setting)
	}
	if err := run.start(adminAddr); err != nil {
		return run, err
	}
	token, err := exec.CommandContext(ctx, p.belfry, "token", "--user", "load", "--tenant", "AA", "--data-dir", c.dir).Output()
	run.token = strings.TrimSpace(string(token))
	return run, err
}

// start starts the program and waits until it says at its admin address that it is
// ready.
func (r *program) start(admin string) error {
	r.cmd.Stderr = os.Stderr
	began := time.Now()
	if err := r.cmd.Start(); err != nil {
		return err
	}
	close(r.drained)
	for {
		resp, err := http.Get("http://" + admin + "/readyz") //nolint:noctx // bounded by the caller's patience and our own server
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				r.ready = time.Since(began)
				return nil
			}
		}
		if time.Since(began) > time.Minute {
			return errors.New("not ready after a minute")
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // polling another process; its resolution is what is reported
	}
}

// startSelf runs this program as a reference server, which says on its first
// line that it is ready, and where.
func startSelf(ctx context.Context, args ...string) (*program, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	run := &program{drained: make(chan struct{})}
	run.cmd = exec.CommandContext(ctx, self, args...)
	run.cmd.Stderr = os.Stderr
	out, err := run.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := run.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		return run, errors.New("the reference server did not start")
	}
	run.ready, run.http = time.Since(began), lines.Text()
	go func() {
		defer close(run.drained)
		for lines.Scan() {
			run.lines = append(run.lines, lines.Text())
		}
	}()
	return run, nil
}

// stop ends the program as an operator would and answers how long it took.
func (r *program) stop() (time.Duration, error) {
	defer func() { _ = os.RemoveAll(r.dir) }() // a temporary folder
	began := time.Now()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	<-r.drained
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == -1 {
		err = nil // a reference that just dies of the signal
	}
	return time.Since(began), err
}

// cpu is the CPU time the program has used, from Linux.
func (r *program) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	const utime, stime, tick = 11, 12, 10 * time.Millisecond
	u, _ := strconv.Atoi(string(fields[utime])) // Linux writes numbers
	s, _ := strconv.Atoi(string(fields[stime]))
	return time.Duration(u+s) * tick
}

func freeAddrs() (a, b, c string, err error) {
	var addrs [3]string
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", "", err
		}
		defer func() { _ = l.Close() }()
		addrs[i] = l.Addr().String()
	}
	return addrs[0], addrs[1], addrs[2], nil
}

// stamped is the payload of measured events: when it was published, and padding
// to about the size of a small invoice.
func stamped(now time.Time) []byte {
	b, err := json.Marshal(struct {
		T    int64  `json:"t"`
		Text string `json:"text"`
	}{now.UnixNano(), strings.Repeat("x", 180)})
	if err != nil {
		panic(err) // two plain fields
	}
	return b
}
