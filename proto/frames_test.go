package proto

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	gproto "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
	realtimev1 "github.com/belfry-events/belfry/proto/belfry/realtime/v1"
)

// TestGoldenFrames reads every golden frame strictly and writes it back: the
// same JSON, so the .proto describes exactly what travels.
func TestGoldenFrames(t *testing.T) {
	t.Parallel()
	seen := map[protoreflect.FullName]bool{}
	for _, path := range files(t, "testdata/frames/*.json") {
		golden := read(t, path)
		var frame gproto.Message = &gatewayv1.ServerFrame{}
		if strings.HasPrefix(filepath.Base(path), "client-") {
			frame = &gatewayv1.ClientFrame{}
		}
		roundTrip(t, path, golden, frame)
		m := frame.ProtoReflect()
		if set := m.WhichOneof(m.Descriptor().Oneofs().ByName("frame")); set != nil {
			seen[set.FullName()] = true
		}
		// Frames are separated by newlines, so none may be inside one.
		if bytes.Count(golden, []byte("\n")) != 1 {
			t.Errorf("%s: a frame is one line", path)
		}
	}
	for _, m := range []gproto.Message{&gatewayv1.ClientFrame{}, &gatewayv1.ServerFrame{}} {
		kinds := m.ProtoReflect().Descriptor().Oneofs().ByName("frame").Fields()
		for i := range kinds.Len() {
			if name := kinds.Get(i).FullName(); !seen[name] {
				t.Errorf("no golden frame shows %s", name)
			}
		}
	}
}

// payloads says which message each code carries; the comments of the codes in
// realtime.proto say the same.
var payloads = map[realtimev1.Code]gproto.Message{
	realtimev1.Code_CM_REMINDER: &realtimev1.Reminder{},
	realtimev1.Code_MAIL:        &realtimev1.Mail{},
	realtimev1.Code_VOIP:        &realtimev1.IncomingCall{},
	realtimev1.Code_SHUTDOWN:    &realtimev1.Shutdown{},
	realtimev1.Code_SYS_MSG:     &realtimev1.SystemMessage{},
	realtimev1.Code_PERF:        &realtimev1.Performance{},
	realtimev1.Code_NOT:         &realtimev1.SocialNotification{},
	realtimev1.Code_WRN:         &realtimev1.Warning{},
}

// TestGoldenPayloads does the same for testdata/realtime/<CODE>.json, one for
// every code, each with every field set.
func TestGoldenPayloads(t *testing.T) {
	t.Parallel()
	for number, code := range realtimev1.Code_name {
		if number == 0 {
			continue
		}
		payload := payloads[realtimev1.Code(number)]
		if payload == nil {
			t.Errorf("%s has no payload", code)
			continue
		}
		path := filepath.Join("testdata", "realtime", code+".json")
		roundTrip(t, path, read(t, path), payload)
		fields := payload.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			if f := fields.Get(i); !payload.ProtoReflect().Has(f) {
				t.Errorf("%s: %s is not shown", path, f.JSONName())
			}
		}
	}
}

func roundTrip(t *testing.T, path string, golden []byte, m gproto.Message) {
	t.Helper()
	if err := protojson.Unmarshal(golden, m); err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	written, err := protojson.Marshal(m)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	// protojson varies its spacing on purpose, so the values are compared.
	if want, got := value(t, golden), value(t, written); !reflect.DeepEqual(want, got) {
		t.Errorf("%s:\nwant %s\ngot  %s", path, golden, written)
	}
}

func value(t *testing.T, b []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: no files (%v)", pattern, err)
	}
	return paths
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
