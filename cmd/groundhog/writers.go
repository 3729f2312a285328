package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/reflash"
)

// embedded is the directory that `make writers` fills: a groundhog-writer for each
// of Debian's architectures, named by it.
//
//go:embed all:writers
var embedded embed.FS

// writers is where writers come from; tests have their own.
var writers = func() fs.FS {
	sub, err := fs.Sub(embedded, "writers")
	if err != nil {
		panic(err) // the name is no path: a bug
	}
	return sub
}()

// writerFor is groundhog-writer for one of Debian's architectures: a static ELF program.
func writerFor(arch string) ([]byte, error) {
	if !fs.ValidPath(arch) {
		return nil, fmt.Errorf("groundhog-writer for %q: no architecture", arch)
	}
	b, err := fs.ReadFile(writers, arch)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.To(fmt.Errorf("groundhog-writer for %s: %w", arch, reflash.ErrNoWriter),
			"'make build' builds one that has it; --no-writer leaves it out, for flash --via curl")

	}
	return b, err
}
