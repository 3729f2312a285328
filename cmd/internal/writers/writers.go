// Package writers packs groundhog-writer for every architecture into one file,
// which groundhog embeds: a tar archive in one zstd frame. In one frame, because
// the programs are much alike: four of them take 3.5 MB so, 4.7 MB one by one
// and 11.7 MB as they are. Reading one unpacks those that stand before it.
//
// The same programs give the same bytes.
package writers

import (
	"archive/tar"
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
func Unpack(packed io.Reader) (map[string][]byte, error) {
	programs := map[string][]byte{}
	err := eachProgram(packed, func(arch string, read func() ([]byte, error)) (err error) {
		programs[arch], err = read()
		return err
	})
	if err != nil {
		return nil, err
	}
	return programs, nil
}

// UnpackOne returns the program for one architecture, and reads no further; fs.ErrNotExist if there is none.
func UnpackOne(packed io.Reader, want string) ([]byte, error) {
	var program []byte
	err := eachProgram(packed, func(arch string, read func() ([]byte, error)) (err error) {
		if arch != want {
			return nil
		}
		if program, err = read(); err == nil {
			err = errFound
		}
		return err
	})
	switch {
	case err == nil:
		return nil, &fs.PathError{Op: "open", Path: want, Err: fs.ErrNotExist}
	case !errors.Is(err, errFound):
		return nil, err
	}
	return program, nil
}

// errFound ends the reading of a pack of which no more is wanted.
var errFound = errors.New("found")

// eachProgram visits the programs in their order until there is an error. A program need not be read.
func eachProgram(packed io.Reader, visit func(arch string, read func() ([]byte, error)) error) error {
	z, err := zstd.NewReader(packed, zstd.WithDecoderMaxWindow(packWindow), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer z.Close()
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpacking the writers: %w", err)
		}
		err = visit(h.Name, func() ([]byte, error) {
			b := make([]byte, h.Size) // the pack is our own
			_, err := io.ReadFull(t, b)
			return b, err
		})
		if err != nil {
			return fmt.Errorf("unpacking the writer for %s: %w", h.Name, err)
		}
	}
}
