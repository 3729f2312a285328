package writer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/fixtures/judge"
)

// faulty is a medium in memory with faults of its own.
type faulty struct {
	disk    []byte
	cached  map[int64][]byte // written and not flushed
	flushes int

	drop   func(off int64, flush int) bool // loses what is written there before that flush
	rot    func(off int64, flush int) bool // flips a bit of it
	broken int64                           // an I/O error at this byte, if positive
	short  bool                            // reads come short
	blind  func(flush int) bool            // cannot be read after that flush
}

func newFaulty() *faulty { return &faulty{disk: judge.Noise(1, diskSize), cached: map[int64][]byte{}} }

func (f *faulty) BlockSize() int64 { return 512 }

func (f *faulty) fails(off int64, n int) error {
	if f.broken > 0 && off <= f.broken && f.broken < off+int64(n) {
		return unix.EIO
	}
	return nil
}

func (f *faulty) ReadAt(p []byte, off int64) (int, error) {
	if f.short {
		p = p[:len(p)/2]
	}
	if f.blind != nil && f.blind(f.flushes) {
		return 0, unix.EIO
	}
	return copy(p, f.disk[off:]), f.fails(off, len(p))
}

func (f *faulty) WriteAt(p []byte, off int64) (int, error) {
	f.cached[off] = bytes.Clone(p)
	return len(p), f.fails(off, len(p))
}

func (f *faulty) Zero(off, n int64) error {
	_, err := f.WriteAt(make([]byte, n), off)
	return err
}

func (f *faulty) Flush() error {
	f.flushes++
	for off, p := range f.cached {
		if f.drop != nil && f.drop(off, f.flushes) {
			continue
		}
		copy(f.disk[off:], p)
		if f.rot != nil && f.rot(off, f.flushes) {
			f.disk[off+100] ^= 4
		}
	}
	clear(f.cached)
	return nil
}

// extents is data, zeros and an end that fills no block.
func extents() []Extent {
	fresh := bytes.Repeat([]byte("groundhog"), chunk.Size/9+1)
	return []Extent{
		{Off: 0, Data: fresh[:chunk.Size]},
		{Off: chunk.Size, Len: chunk.Size},
		{Off: 3 * chunk.Size, Data: fresh[1:70002]},
		{Off: 3*chunk.Size + 512*200, Len: 513},
	}
}

// want is content with the extents in it.
func want(content []byte, all []Extent) []byte {
	content = bytes.Clone(content)
	for _, e := range all {
		if e.Data == nil {
			clear(content[e.Off:][:e.Len])
		}
		copy(content[e.Off:], e.Data)
	}
	return content
}

func TestPut(t *testing.T) {
	device, medium, content := loop(t)
	name, _ := plain(t)
	for _, c := range []struct{ open, look string }{{device, medium}, {name, name}} {
		d := open(t, c.open, true)
		if retried, err := putExtents(d, extents(), alignedBuffer(chunk.Size)); retried != 0 || err != nil {
			t.Fatalf("%s: %d tried again, %v", c.open, retried, err)
		}
		if got, err := os.ReadFile(c.look); err != nil || !bytes.Equal(got, want(content, extents())) {
			t.Errorf("%s is not what was put there: %v", c.open, err)
		}
		if err := d.Zero(diskSize-512, 1024); err == nil {
			t.Errorf("%s was zeroed beyond its end", c.open)
		}
	}
}

// Whatever a medium does: Put says yes if, and only if, it holds the extents.
func TestPutOnFaultyMedia(t *testing.T) {
	third := func(off int64) bool { return off == 3*chunk.Size }
	for name, c := range map[string]struct {
		spoil   func(f *faulty)
		retried int
		err     error
		says    string
	}{
		"a good one":      {func(*faulty) {}, 0, nil, ""},
		"loses one write": {func(f *faulty) { f.drop = func(off int64, n int) bool { return third(off) && n == 1 } }, 1, nil, ""},
		"rots twice":      {func(f *faulty) { f.rot = func(off int64, n int) bool { return third(off) && n < putTries } }, 1, nil, ""},
		"rots for ever":   {func(f *faulty) { f.rot = func(off int64, _ int) bool { return third(off) } }, 1, ErrMismatch, fmt.Sprint("at byte ", 3*chunk.Size+100)},
		"loses all":       {func(f *faulty) { f.drop = func(int64, int) bool { return true } }, 4, ErrMismatch, "at byte 0,"},
		"bad block":       {func(f *faulty) { f.broken = chunk.Size + 7 }, 0, unix.EIO, fmt.Sprint("at ", chunk.Size)},
		"short reads":     {func(f *faulty) { f.short = true }, 4, nil, "only"},
		"read on a retry": {func(f *faulty) { f.blind = func(n int) bool { return n < putTries } }, 4, nil, ""},
		"never read":      {func(f *faulty) { f.blind = func(int) bool { return true } }, 4, unix.EIO, "at 0 back, after 3 tries"},
	} {
		f := newFaulty()
		before := bytes.Clone(f.disk)
		c.spoil(f)
		retried, err := putExtents(f, extents(), alignedBuffer(chunk.Size))
		if retried != c.retried || c.err != nil && !errors.Is(err, c.err) || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %d tried again, %v", name, retried, err)
		}
		if holds := bytes.Equal(f.disk, want(before, extents())); err == nil && !holds {
			t.Errorf("%s: said to hold what it does not", name)
		}
	}
}
