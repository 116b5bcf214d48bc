package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	var s spec
	var out string
	flag.StringVar(&s.program, "program", "", "name of the program")
	flag.StringVar(&s.binary, "binary", "", "the static binary")
	flag.StringVar(&s.reference, "ref", "", "name:tag of the image")
	flag.StringVar(&s.arch, "arch", runtime.GOARCH, "what the binary was built for: amd64, arm64")
	flag.StringVar(&s.revision, "revision", "", "commit it was built from")
	flag.StringVar(&out, "out", "", "file to write")
	flag.Parse()
	if err := run(s, out, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// run writes the archive, whole or not at all, and says to to what it is called.
func run(s spec, out string, to io.Writer) error {
	for name, value := range map[string]string{"-program": s.program, "-binary": s.binary, "-ref": s.reference, "-out": out} {
		if value == "" {
			return fmt.Errorf("%s is required; see -help", name)
		}
	}
	if tag := s.reference[strings.LastIndex(s.reference, "/")+1:]; !strings.Contains(tag, ":") || strings.HasSuffix(tag, ":latest") {
		return fmt.Errorf("-ref %s: needs a tag, and not latest: nobody could say later what runs", s.reference)
	}
	img, err := s.image()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(out), ".image-")
	if err != nil {
		return fmt.Errorf("make a working directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	layout := filepath.Join(dir, "layout")
	if err := s.layOut(img, layout); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "archive"))
	if err != nil {
		return fmt.Errorf("make the archive: %w", err)
	}
	if err := errors.Join(archive(f, layout), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), out); err != nil {
		return fmt.Errorf("put the archive in its place: %w", err)
	}
	digest, err := img.Digest()
	if err != nil {
		return fmt.Errorf("digest of the image: %w", err)
	}
	_, err = fmt.Fprintln(to, s.reference, digest, out)
	return err
}
