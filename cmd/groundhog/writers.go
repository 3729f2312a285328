package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/reflash"
	"groundhog/cmd/internal/writers"
)

// writersFS is the directory that `make writers` fills with a groundhog-writer for
// each of Debian's architectures, in one file.
//
//go:embed all:writers
var writersFS embed.FS

// writerSource is where writers come from, by architecture.
type writerSource interface {
	ReadFile(arch string) ([]byte, error)
}

// knownWriters is those that are embedded; tests have their own.
var knownWriters writerSource = embeddedWriters{}

// embeddedWriters unpacks a writer once it is wanted.
type embeddedWriters struct{}

// unpackedWriters is the writers that were wanted, by architecture, each as a func() ([]byte, error).
var unpackedWriters sync.Map

func (embeddedWriters) ReadFile(arch string) ([]byte, error) {
	once, _ := unpackedWriters.LoadOrStore(arch, sync.OnceValues(func() ([]byte, error) {
		packed, err := writersFS.Open(path.Join("writers", writers.Name))
		if err != nil {
			return nil, err
		}
		defer packed.Close()
		return writers.UnpackOne(packed, arch)
	}))
	return once.(func() ([]byte, error))()
}

// writerFor is groundhog-writer for one of Debian's architectures: a static ELF program.
func writerFor(arch string) ([]byte, error) {
	if !fs.ValidPath(arch) {
		return nil, fmt.Errorf("groundhog-writer for %q: no architecture", arch)
	}
	b, err := knownWriters.ReadFile(arch)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.To(fmt.Errorf("groundhog-writer for %s: %w", arch, reflash.ErrNoWriter),
			"'make build' builds one that has it; --no-writer leaves it out, for flash --via curl")

	}
	return b, err
}
