package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/bus"
	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/topology"
)

// clockTolerance is how far our clock may be from that of the NATS server before
// tokens and expiry times would be judged differently.
const clockTolerance = 2 * time.Second

func (s *settings) lookAtSettings(v *config.Values) finding {
	set := 0
	for _, e := range v.Entries {
		if e.Source.Origin != config.Default {
			set++
		}
	}
	if len(v.Warnings) > 0 {
		return note("settings", "belfry config shows the variables that count", "%s", v.Warnings[0])
	}
	return ok("settings", "%d keys, %d of them set", len(v.Entries), set)
}

// lookAtDisk writes and removes a file.
func (s *settings) lookAtDisk(context.Context) []finding {
	const name = "data directory"
	dir := s.process.DataDir
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return []finding{note(name, "", "%s does not exist yet; belfry run makes it", dir)}
	}
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		return []finding{bad(name, "give this user the right to write there, or choose another with --data-dir",
			fault.Wrap(fault.DataDirUnwritable, err, "%s cannot be written", dir))}
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err == nil {
		if free := fs.Bavail * uint64(fs.Bsize); free < 1<<30 {
			return []finding{note(name, "make room: the log stops when the disk is full", "%s has only %d MiB left", dir, free>>20)}
		}
	}
	return []finding{ok(name, "%s can be written", dir)}
}

// lookAtPorts says who has the addresses: nobody, we, or a stranger.
func (s *settings) lookAtPorts(ctx context.Context) []finding {
	c := s.process
	var findings []finding
	if c.Admin != "" {
		state, err := askReady(ctx, c)
		running := err == nil
		switch {
		case running && state.Ready:
			findings = append(findings, ok("process", "runs and is ready: %d parts", len(state.Parts)))
		case running:
			for _, p := range state.Parts {
				if !p.Ready {
					findings = append(findings, bad("process", "read its log", fault.New(p.Code, "runs; %s is not ready: %s (%s)", p.Name, p.Message, p.Code)))
				}
			}
		}
		findings = append(findings, portFinding(ctx, "admin port", "--admin", c.Admin, running))
	}
	findings = append(findings, portFinding(ctx, "http port", "--http", c.HTTP, oursHTTP(ctx, c.HTTP)))
	if c.NATS.URL == "" && c.NATS.Addr != "" {
		findings = append(findings, portFinding(ctx, "nats port", "--nats", c.NATS.Addr, oursNATS(c.NATS.Addr)))
	}
	return findings
}

func portFinding(ctx context.Context, name, flag, addr string, ours bool) finding {
	if ours {
		return ok(name, "%s is ours", addr)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		_ = l.Close()
		return ok(name, "%s is free", addr)
	case errors.Is(err, syscall.EADDRINUSE):
		return bad(name, "stop that process, or choose another port with "+flag, fault.Wrap(fault.PortInUse, err, "another process listens on %s", addr))
	}
	return bad(name, "choose another with "+flag, fault.Wrap(fault.InvalidConfig, err, "cannot listen on %s: %s", addr, err))
}

// oursHTTP knows our HTTP by how it refuses a route that does not exist.
func oursHTTP(ctx context.Context, addr string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v1/no-such-route", nil)
	if err != nil {
		return false
	}
	req.Close = true
	resp, err := (&http.Client{Timeout: doctorWithin}).Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	var e fault.Error
	return json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<16)).Decode(&e) == nil && e.Code() != ""
}

func oursNATS(addr string) bool {
	nc, err := nats.Connect("nats://"+addr, nats.Timeout(time.Second))
	if err != nil {
		return false
	}
	nc.Close()
	return true
}

// lookAtNATS looks at the server, the streams and the server's clock.
func (s *settings) lookAtNATS(ctx context.Context) []finding {
	url, err := natsURL(s.process.NATS)
	if err != nil {
		return []finding{bad("nats", "set nats.url", err)}
	}
	nc, err := s.dial(url)
	switch {
	case err != nil && s.process.NATS.URL == "":
		return []finding{note("nats", "start it: belfry run", "nothing runs at %s yet", url)}
	case err != nil:
		return []finding{bad("nats", "start it, or correct nats.url and the credentials", err)}
	}
	defer nc.Close()
	rtt, err := nc.RTT()
	if err != nil {
		return []finding{bad("nats", "look at its log", fault.Wrap(fault.Unavailable, err, "%s does not answer", bus.Redact(url)))}
	}
	findings := []finding{ok("nats", "%s answers in %s, version %s", bus.Redact(url), rtt.Round(10*time.Microsecond), nc.ConnectedServerVersion())}
	log, err := topology.EventsState(ctx, nc)
	switch {
	case fault.CodeOf(err) == fault.StreamLost:
		return append(findings, bad("log", "start belfry run, which makes it; if it was there before, restore it or use --recreate-lost", err))
	case err != nil:
		return append(findings, bad("log", "look at the NATS server's log", err))
	case log.Epoch == "":
		findings = append(findings, bad("log", "use a NATS account of its own", fault.New(fault.EpochMismatch, "%s was not made by Belfry", topology.Events)))
	default:
		findings = append(findings, ok("log", "epoch %s, sequences %d to %d", log.Epoch, log.First, log.Last))
	}
	return append(findings, lookAtClock(ctx, nc))
}

// dial connects with the credentials of the settings; once, unless more says otherwise.
func (s *settings) dial(url string, more ...nats.Option) (*nats.Conn, error) {
	n := s.process.NATS
	password, err := n.ServicePassword()
	if err != nil {
		return nil, err
	}
	secure, err := clientTLS(n)
	if err != nil {
		return nil, err
	}
	options := []nats.Option{nats.Name("belfry-doctor"), nats.Timeout(doctorWithin), nats.NoReconnect()}
	if n.User != "" {
		options = append(options, nats.UserInfo(n.User, password))
	}
	if n.CredsFile != "" {
		options = append(options, nats.UserCredentials(n.CredsFile))
	}
	if secure != nil {
		options = append(options, nats.Secure(secure))
	}
	nc, err := nats.Connect(url, append(options, more...)...)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "%s: %s", bus.Redact(url), err)
	}
	return nc, nil
}

// lookAtClock compares with the time that the server writes on its answers.
func lookAtClock(ctx context.Context, nc *nats.Conn) finding {
	var info struct {
		Time time.Time `json:"ts"`
	}
	m, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.INFO."+topology.Events, nil)
	if err == nil {
		err = json.Unmarshal(m.Data, &info)
	}
	if err != nil || info.Time.IsZero() {
		return note("clock", "", "the NATS server does not say what time it has")
	}
	off := time.Since(info.Time).Abs()
	if off > clockTolerance {
		return bad("clock", "synchronise the clocks of both machines", fault.New(fault.Conflict, "differs by %s from that of the NATS server", off.Round(time.Millisecond)))
	}
	return ok("clock", "agrees with the NATS server's within %s", max(off, time.Millisecond).Round(time.Millisecond))
}
