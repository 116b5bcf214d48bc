package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// hello builds a small program, statically or not.
func hello(t *testing.T, static bool) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "hello.go")
	if err := os.WriteFile(source, []byte("package main\n\nimport _ \"net\"\n\nfunc main() { println(\"hello\") }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "hello")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", binary, source)
	build.Env = append(os.Environ(), "GOWORK=off", "GOOS=linux", "CGO_ENABLED="+map[bool]string{true: "0", false: "1"}[static])
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

func TestTheSameBinaryGivesTheSameArchive(t *testing.T) {
	t.Parallel()
	dir, binary := t.TempDir(), hello(t, true)
	s := spec{program: "hello", binary: binary, reference: "belfry/hello:1", arch: "amd64", revision: "abc"}
	var archives [2][]byte
	for i := range archives {
		out := filepath.Join(dir, "out.tar")
		if err := run(s, out, t.Output()); err != nil {
			t.Fatal(err)
		}
		var err error
		if archives[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of one binary differ")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("beside the archive there is %v %v", left, err)
	}
}

// What is in the archive is read back as tools do.
func TestImageIsTheBinaryAlone(t *testing.T) {
	t.Parallel()
	binary := hello(t, true)
	s := spec{program: "hello", binary: binary, reference: "belfry/hello:1", arch: "amd64"}
	img, err := s.image()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "layout")
	if err := s.layOut(img, dir); err != nil {
		t.Fatal(err)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 || manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "belfry/hello:1" {
		t.Fatalf("%+v %v", manifest, err)
	}
	back, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := back.ConfigFile()
	if err != nil || config.Config.User != nobody || config.Config.Entrypoint[0] != entrypoint || config.OS != "linux" || config.Architecture != "amd64" {
		t.Fatalf("%+v %v", config, err)
	}
	layers, err := back.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(layers, err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	files := tar.NewReader(content)
	file, err := files.Next()
	if err != nil || file.Name != "program" || file.Mode != 0o555 || !file.ModTime.IsZero() && file.ModTime.Unix() != 0 {
		t.Fatalf("%+v %v", file, err)
	}
	if _, err := files.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the binary: %v", err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	static, dynamic := hello(t, true), hello(t, false)
	good := spec{program: "hello", binary: static, reference: "belfry/hello:1", arch: "amd64"}
	for want, change := range map[string]func(*spec){
		"-program is required": func(s *spec) { s.program = "" },
		"needs a tag":          func(s *spec) { s.reference = "registry:5000/hello" },
		"not latest":           func(s *spec) { s.reference = "hello:latest" },
		"linked dynamically":   func(s *spec) { s.binary = dynamic },
		"no Linux binary":      func(s *spec) { s.binary = "image_test.go" },
	} {
		s := good
		change(&s)
		out := filepath.Join(t.TempDir(), "out.tar")
		if err := run(s, out, t.Output()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%q left an archive", want)
		}
	}
}
