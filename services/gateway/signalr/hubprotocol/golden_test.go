package hubprotocol

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// golden is where every message lies in both encodings, beside the wire book: in
// JSON with its 0x1e, in MessagePack with its length, as hexadecimal text.
// tests/clients reads the same files with Microsoft's own parsers.
const golden = "../../../../proto/testdata/signalr"

var update = flag.Bool("update", false, "write the golden frames anew")

func raw(texts ...string) (list []json.RawMessage) {
	for _, t := range texts {
		list = append(list, json.RawMessage(t))
	}
	return list
}

const notification = `{"e":"portos.resources.changed","s":{"c":"c-81","u":{"u":"SYSTEM","d":"SYSTEM","f":null}},"r":null,"ca":"2024-07-01T12:51:52.558Z","ea":null,` +
	`"p":{"u":{"u":"999","d":"BackOffice","f":null},"n":"tickets","a":1,"i":{"i":"573f4511088c772684a738f8","n":"tickets","v":7},"r":[{"number":12,"total":18.5}]}}`

// frames are the golden messages: those that clients of the PORTOS text send, those
// that we send, and the rest of what the protocol knows.
var frames = map[string]Message{
	"client-subscribe":         {Kind: Invocation, InvocationID: "0", Target: "Subscribe", Arguments: raw(`{"e":"portos.resources.changed","r":[{"n":"devices","a":["created","updated","deleted"]}]}`)},
	"client-subscribe-all":     {Kind: Invocation, InvocationID: "1", Target: "Subscribe", Arguments: raw(`{"e":"portos.licence.activated"}`)},
	"client-unsubscribe":       {Kind: Invocation, InvocationID: "2", Target: "Unsubscribe", Arguments: raw(`{"e":"portos.licence.activated"}`)},
	"client-send":              {Kind: Invocation, Target: "Subscribe", Arguments: raw(`{"e":"sys.newUser"}`)},
	"client-stream":            {Kind: StreamInvocation, InvocationID: "3", Target: "Subscribe", Arguments: raw(`{}`), StreamIDs: []string{"4"}},
	"client-stream-item":       {Kind: StreamItem, InvocationID: "4", Result: json.RawMessage(`[-1,300,-70000,1.5,"č",true]`)},
	"client-cancel":            {Kind: CancelInvocation, InvocationID: "3"},
	"client-completion":        {Kind: Completion, InvocationID: "4"},
	"ping":                     {Kind: Ping},
	"ack":                      {Kind: Ack, SequenceID: 1234},
	"sequence":                 {Kind: Sequence, SequenceID: 1},
	"close":                    {Kind: Close},
	"server-event":             {Kind: Invocation, Target: "OnEvent", Arguments: raw(notification)},
	"server-completion":        {Kind: Completion, InvocationID: "0", Result: json.RawMessage("null")},
	"server-completion-failed": {Kind: Completion, InvocationID: "1", Error: `An unexpected error occurred invoking 'Subscribe' on the server. HubException: unknown_name: e: "portos.x" is not the name of an event`},
	"server-close":             {Kind: Close, AllowReconnect: true},
	"server-close-failed":      {Kind: Close, Error: "frame_too_large: a hub message may have 32768 bytes"},
}

func TestGoldenFrames(t *testing.T) {
	t.Parallel()
	for name, want := range frames {
		for ext, protocol := range map[string]Protocol{".json": JSON, ".hex": MessagePack} {
			path := filepath.Join(golden, name+ext)
			written := protocol.Append(nil, want)
			if *update {
				if err := os.WriteFile(path, encode(ext, written), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(text), string(encode(ext, written))); diff != "" {
				t.Errorf("%s%s: -golden +written:\n%s", name, ext, diff)
			}
			message, rest, err := protocol.Cut(written, len(written))
			if err != nil || len(rest) != 0 {
				t.Fatalf("%s%s: cut: %q, %v", name, ext, rest, err)
			}
			got, err := protocol.Parse(message)
			if err != nil {
				t.Fatalf("%s%s: %v", name, ext, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s%s: -want +parsed:\n%s", name, ext, diff)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(golden, "*"))
	if err != nil || len(files) != 2*len(frames) {
		t.Errorf("there are %d golden files for %d messages, %v", len(files), len(frames), err)
	}
}

func encode(ext string, b []byte) []byte {
	if ext == ".hex" {
		return []byte(hex.EncodeToString(b) + "\n")
	}
	return b
}

// What clients may write otherwise than we do.
func TestParseVariants(t *testing.T) {
	t.Parallel()
	subscribe := Message{Kind: Invocation, InvocationID: "0", Target: "Subscribe", Arguments: raw(`{"e":"x"}`)}
	for text, want := range map[string]Message{
		`{"arguments":[{"e":"x"}],"invocationId":"0","target":"Subscribe","type":1}`:                                subscribe,
		` {"type":1,"headers":{"a":"b"},"target":"Subscribe","new":[],"invocationId":"0","arguments":[{"e":"x"}]} `: subscribe,
		`{"type":1,"target":"T","invocationId":null}`:                                                               {Kind: Invocation, Target: "T"},
		`{"type":3,"invocationId":"0","error":"x"}`:                                                                 {Kind: Completion, InvocationID: "0", Error: "x"},
		`{"type":99,"target":7}`: {Kind: 99},
		`{"type":-1}`:            {Kind: -1},
		`{"type":6,"error":7}`:   {Kind: Ping},
	} {
		got, err := JSON.Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	for text, want := range map[string]Message{
		"95 01 80 a130 a9537562736372696265 91 81 a165 a178":                           subscribe,
		"97 01 81a161a162 a130 a9537562736372696265 dc0001 de0001d90165da000178 90 c0": subscribe,
		"95 01 80 c0 a154 93 c70501 0102030405 cb7ff8000000000000 81 01 02": {
			Kind: Invocation, Target: "T", Arguments: []json.RawMessage{nil, nil, nil},
		},
		"95 01 80 c0 a154 94 c403010203 ca3fc00000 d1ff00 cfffffffffffffffff": {
			Kind: Invocation, Target: "T", Arguments: raw(`"AQID"`, "1.5", "-256", "18446744073709551615"),
		},
		"92 63 a178":       {Kind: 99},
		"91 06":            {Kind: Ping},
		"92 07 c0":         {Kind: Close},
		"94 03 80 a130 02": {Kind: Completion, InvocationID: "0"},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		got, err := MessagePack.Parse(b)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "x", "null", "[]", "7", `{`, `{"type":`, "{}", `{"type":"1"}`, `{"type":1.5}`, `{"type":null}`, "{\"type\":6,\"x\":\"\xff\"}",
		`{"type":1}`, `{"type":1,"target":5}`, `{"type":1,"target":"T","arguments":{}}`, `{"type":1,"target":"T","invocationId":5}`,
		`{"type":4,"target":"T"}`, `{"type":5}`, `{"type":8}`, `{"type":9,"sequenceId":-1}`, `{"type":9,"sequenceId":"1"}`, `{"type":6}{"type":6}`,
		strings.Repeat(`[`, 20_000),
	} {
		if m, err := JSON.Parse([]byte(text)); err == nil {
			t.Errorf("%.80s: accepted as %+v", text, m)
		}
	}
	for _, text := range []string{
		"", "06", "90", "91", "91a131", "c0", "9106 00", "9201", "92 07", "9501 80 a130 a154", "9501 80 a130 07 90", "9501 80 c0 a1ff 90",
		"9501 80 c0 a154 91", "9501 80 c0 a154 ddffffffff", "9501 80 c0 a154 91 dfffffffff", "9501 80 c0 a154 91 c6ffffffff", "9501 80 c0 a154 91 c1",
		"9503 80 a130 04 c0", "9208 ff", "9208 cfffffffffffffffff", "9209 a131", "9305 80 c0", "94 01 80 c0 a154",
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if m, err := MessagePack.Parse(b); err == nil {
			t.Errorf("%s: accepted as %+v", text, m)
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p              Protocol
		in             string
		message, rest  string
		part, tooLarge bool
		broken         bool
	}{
		{p: JSON, in: "", part: true},
		{p: JSON, in: "{}", part: true},
		{p: JSON, in: "{}\x1e", message: "{}"},
		{p: JSON, in: "{}\x1e{", message: "{}", rest: "{"},
		{p: JSON, in: "12345678\x1e", message: "12345678"},
		{p: JSON, in: "123456789", tooLarge: true},
		{p: JSON, in: "123456789\x1e", tooLarge: true},
		{p: MessagePack, in: "", part: true},
		{p: MessagePack, in: "\x02\x91", part: true},
		{p: MessagePack, in: "\x02\x91\x06\x02", message: "\x91\x06", rest: "\x02"},
		{p: MessagePack, in: "\x82", part: true},
		{p: MessagePack, in: "\x82\x00\x91\x06", message: "\x91\x06"},
		{p: MessagePack, in: "\x09", tooLarge: true},
		{p: MessagePack, in: "\xff\xff\xff\xff\x0f", tooLarge: true},
		{p: MessagePack, in: "\xff\xff\xff\xff\xff", broken: true},
		{p: MessagePack, in: "\x80\x80\x80\x80\x80\x00", broken: true},
	} {
		message, rest, err := c.p.Cut([]byte(c.in), 8)
		switch {
		case c.tooLarge:
			if err != ErrTooLarge { //nolint:errorlint // it is answered as it is
				t.Errorf("%s %q: %v", c.p.Name(), c.in, err)
			}
		case c.broken:
			if err == nil || err == ErrTooLarge { //nolint:errorlint // the same
				t.Errorf("%s %q: %v", c.p.Name(), c.in, err)
			}
		case err != nil, (message == nil) != c.part, !c.part && (string(message) != c.message || string(rest) != c.rest):
			t.Errorf("%s %q: %q, %q, %v", c.p.Name(), c.in, message, rest, err)
		}
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Handshake{
		`{"protocol":"json","version":1}`:                   {JSON, 1},
		` {"version":2,"protocol":"messagepack","more":1} `: {MessagePack, 2},
	} {
		if got, err := ParseHandshake([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		``: "begins with", ` `: "begins with", `null`: "begins with", `[]`: "begins with", `{"type":6}`: "protocol", "{\"protocol\":\"\xff\"}": "begins with",
		`{"protocol":"json"}`: "version", `{"protocol":"xml","version":1}`: "'xml'", `{"protocol":"json","version":0}`: "version 0",
		`{"protocol":"json","version":3}`: "version 3", `{"protocol":"json","version":"1"}`: "begins with",
	} {
		if _, err := ParseHandshake([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if got := string(AppendHandshakeAnswer(nil, nil)); got != "{}\x1e" {
		t.Errorf("%q", got)
	}
	if got := string(AppendHandshakeAnswer(nil, ErrTooLarge)); !strings.HasPrefix(got, `{"error":"the message`) || !strings.HasSuffix(got, "\"}\x1e") {
		t.Errorf("%q", got)
	}
}
