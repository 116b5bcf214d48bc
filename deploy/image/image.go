package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nobody is who the program runs as, the same as in deploy/Dockerfile and in the
// chart's security context.
const nobody = "65532:65532"

// entrypoint is where the program is in the image, the same as in deploy/Dockerfile,
// which cannot name it after its argument.
const entrypoint = "/program"

// spec is one image.
type spec struct {
	program, binary, reference, arch, revision string
}

// image is the binary, alone.
func (s spec) image() (v1.Image, error) {
	if err := static(s.binary); err != nil {
		return nil, err
	}
	content, err := s.layer()
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("make the layer: %w", err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.Append(base, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "deploy/image " + s.program}})
	if err != nil {
		return nil, fmt.Errorf("add the layer: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", s.arch
	file.Config = v1.Config{
		User: nobody, WorkingDir: "/", Entrypoint: []string{entrypoint},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "belfry-" + s.program,
			"org.opencontainers.image.revision": s.revision,
		},
	}
	return mutate.ConfigFile(img, file)
}

// layer is a tar of the binary, without a time, so that it depends on nothing else.
func (s spec) layer() ([]byte, error) {
	binary, err := os.ReadFile(s.binary)
	if err != nil {
		return nil, fmt.Errorf("read the binary: %w", err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(entrypoint, "/"), Mode: 0o555, Size: int64(len(binary)), Format: tar.FormatPAX}); err != nil {
		return nil, fmt.Errorf("write the layer: %w", err)
	}
	if _, err := w.Write(binary); err != nil {
		return nil, fmt.Errorf("write the layer: %w", err)
	}
	return b.Bytes(), w.Close()
}

// static refuses a binary that needs a loader: on no base there is none.
func static(binary string) error {
	f, err := elf.Open(binary)
	if err != nil {
		return fmt.Errorf("%s is no Linux binary: %w", binary, err)
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically; build it with CGO_ENABLED=0", binary)
		}
	}
	return nil
}

// layOut writes the image as an OCI layout that says its name, in the two ways
// that tools read it.
func (s spec) layOut(img v1.Image, dir string) error {
	path, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = path.AppendImage(img, layout.WithAnnotations(map[string]string{
			"org.opencontainers.image.ref.name": s.reference,
			"io.containerd.image.name":          s.reference,
		}), layout.WithPlatform(v1.Platform{OS: "linux", Architecture: s.arch}))
	}
	if err != nil {
		return fmt.Errorf("lay the image out: %w", err)
	}
	return nil
}

// archive writes a directory as a tar, in the order of names and without times.
func archive(to io.Writer, dir string) error {
	w := tar.NewWriter(to)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: 0o444, Size: int64(len(content)), Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	if err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	return w.Close()
}
