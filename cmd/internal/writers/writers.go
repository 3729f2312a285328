// Package writers packs groundhog-writer for every architecture into one file,
// which groundhog embeds: a tar archive in one zstd frame. In one frame, because
// the programs are much alike: four of them take 3.5 MB so, 4.7 MB one by one
// and 11.7 MB as they are. Reading any of them unpacks all, in some 50 ms.
//
// The same programs give the same bytes.
package writers

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// Name is the packed file's name in the directory that groundhog embeds.
const Name = "writers.tar.zst"

// packWindow holds all programs, so that the last may refer to the first.
const packWindow = 16 << 20

// Pack writes the programs, named by Debian's architecture.
func Pack(w io.Writer, programs map[string][]byte) error {
	// One block after the other: what several encoders at once write would depend on their number.
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression),
		zstd.WithWindowSize(packWindow), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, arch := range slices.Sorted(maps.Keys(programs)) {
		b := programs[arch]
		if err := t.WriteHeader(&tar.Header{Name: arch, Mode: 0o755, Size: int64(len(b))}); err != nil {
			return err
		}
		if _, err := t.Write(b); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

// Unpack returns what Pack was given.
func Unpack(packed []byte) (Programs, error) {
	z, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderMaxWindow(packWindow))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	programs := Programs{}
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return programs, nil
		}
		if err != nil {
			return nil, fmt.Errorf("unpacking the writers: %w", err)
		}
		if programs[h.Name], err = io.ReadAll(t); err != nil {
			return nil, fmt.Errorf("unpacking the writer for %s: %w", h.Name, err)
		}
	}
}

// Programs is programs by architecture.
type Programs map[string][]byte

// ReadFile returns one of them; fs.ErrNotExist if there is none for arch.
func (p Programs) ReadFile(arch string) ([]byte, error) {
	b, ok := p[arch]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: arch, Err: fs.ErrNotExist}
	}
	return b, nil
}
