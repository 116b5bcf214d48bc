package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

// hub is where SignalR clients connect.
const hub = "/signalr/v1/mainHub"

// measureSignalR leaves clients of the hub alone, and then sends every event to all of
// them; and the same with windows of our own protocol, on the same gateway.
func measureSignalR(ctx context.Context, p plan) ([]figure, error) {
	all := map[string][]run{}
	for range p.rounds {
		for _, protocol := range []string{"", "json", "messagepack"} {
			r, err := inOne(ctx, p, kindOurs, func(ctx context.Context, p plan, f *front) (run, error) {
				if protocol != "" {
					f.open = func(ctx context.Context, addr, token, topic string) (*window, error) {
						return openHub(ctx, addr, token, topic, protocol)
					}
				}
				cost, err := idle(ctx, p, f)
				if err != nil {
					return run{}, err
				}
				r, err := fanout(ctx, p, f)
				r.perWindow = cost.perWindow
				return r, err
			})
			if err != nil {
				return nil, fmt.Errorf("%q: %w", protocol, err)
			}
			all[protocol] = append(all[protocol], r)
		}
	}
	var figures []figure
	for _, protocol := range []string{"json", "messagepack"} {
		name := fmt.Sprintf("one event to %d of SignalR, %s, ", p.windows, protocol)
		for _, f := range []struct {
			name, format string
			get          func(run) float64
		}{
			{"deliveries/s", "%.0f", func(r run) float64 { return r.perSecond }},
			{"CPU s per million", "%.1f", func(r run) float64 { return r.cpuPerMega }},
			{"KiB RSS each, idle", "%.1f", func(r run) float64 { return r.perWindow / 1024 }},
		} {
			figures = append(figures, numbers(name+f.name, f.format, pick(all[protocol], f.get), pick(all[""], f.get)))
		}
	}
	return figures, nil
}

// openHub is a client of the hub that does the least: no negotiation, and it looks for
// stamps in the bytes that come.
func openHub(ctx context.Context, addr, token, topic, protocol string) (_ *window, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = conn.Close() // the other error says more
		}
	}()
	w := &window{conn: conn, in: bufio.NewReaderSize(conn, 2048), find: stampsJSON}
	if err := w.upgrade(hub, addr, token); err != nil {
		return nil, err
	}
	if err := w.send(`{"protocol":"` + protocol + `","version":1}` + "\x1e"); err != nil {
		return nil, err
	}
	// The call Subscribe({e, r:[{n: topic}]}), and an answer without an error.
	call := `{"type":1,"invocationId":"0","target":"Subscribe","arguments":[{"e":"portos.resources.changed","r":[{"n":"` + topic + `"}]}]}` + "\x1e"
	want := `"result":null`
	if protocol == "messagepack" {
		w.find = stampsPacked
		body := "\x95\x01\x80\xa10\xa9Subscribe\x91\x82\xa1e\xb8portos.resources.changed\xa1r\x91\x81\xa1n" + string([]byte{byte(0xa0 | len(topic))}) + topic
		call = string([]byte{byte(len(body))}) + body
		want = "\x95\x03\x80\xa10\x03\xc0"
	}
	if err := w.send(call); err != nil {
		return nil, err
	}
	for {
		message, err := w.read()
		switch {
		case err != nil:
			return nil, err
		case bytes.Contains(message, []byte(want)):
			return w, nil
		case bytes.Contains(message, []byte("rror")):
			return nil, errors.New(string(message))
		}
	}
}

// stampsJSON finds the events in a frame of the JSON protocol.
func stampsJSON(frame []byte, now int64) (ages []time.Duration) {
	for message := range bytes.SplitSeq(frame, []byte{0x1e}) {
		if age, ok := ageOf(message, now); ok {
			ages = append(ages, age)
		}
	}
	return ages
}

// stampsPacked finds them in MessagePack, where {"t":…} is a map's first member.
func stampsPacked(frame []byte, now int64) (ages []time.Duration) {
	mark := []byte("\xa1t\xcf")
	for {
		_, rest, ok := bytes.Cut(frame, mark)
		if !ok || len(rest) < 8 {
			return ages
		}
		ages = append(ages, time.Duration(now-int64(binary.BigEndian.Uint64(rest))))
		frame = rest[8:]
	}
}
