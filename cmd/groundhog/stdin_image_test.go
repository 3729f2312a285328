package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"groundhog/cmd/internal/input"
	"groundhog/fixtures/bootable"
	"groundhog/fixtures/judge"
)

// An image that is a file on standard input is a file: that it changes while it is read is noticed.
func TestFileOnStandardInput(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk.img")
	judge.WriteFile(t, name, bootable.Partitioned(3<<20))
	f := judge.Value(os.Open(name))(t)
	defer f.Close()
	var o flashOptions
	img := judge.Value(o.openImage(t.Context(), input.Of(f, nil), stdioName))(t)
	defer img.Close()
	judge.WriteFile(t, name, bootable.Partitioned(2<<20))
	if err := img.Load(t.Context()); err == nil || errors.Is(err, os.ErrClosed) {
		t.Errorf("it changed, and nobody noticed: %v", err)
	}
}

// A stream that is longer than the disk is refused as soon as that is seen, and not at its end, which it may not have.
func TestStreamLargerThanDisk(t *testing.T) {
	d := newDesk(t)
	d.Wait("b1")
	args := d.args("flash")
	args[len(args)-1] = stdioName
	states := map[int]string{exitNo: "nothing was changed", exitTrouble: "its disk is neither the old nor the new one"} // whichever of reading and writing is faster
	for fill := range byte(2) {
		long := &countedStream{Reader: io.LimitReader(filled(fill), 8<<30)}
		var said bytes.Buffer
		code := run(args, io.MultiReader(bytes.NewReader(bootable.Partitioned(3<<20)), long), &said, &said)
		if states[code] == "" || !strings.Contains(said.String(), "it is larger than the disk, which has 25165824 bytes") || !strings.Contains(said.String(), states[code]) {
			t.Errorf("filled with %d: exit %d: %s", fill, code, said.String())
		}
		if long.taken.Load() == 8<<30 {
			t.Errorf("filled with %d: it was read to its end", fill)
		}
	}
}

// countedStream counts what is taken of it, which may go on behind the end of whoever reads.
type countedStream struct {
	io.Reader
	taken atomic.Int64
}

func (s *countedStream) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.taken.Add(int64(n))
	return n, err
}
