package writer

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"groundhog/cmd/internal/flash/chunk"
)

// Medium is what is written to: a [Disk], and in tests one that fails. Zero, ReadAt
// and WriteAt take offsets that are multiples of the block size, and ReadAt reads what
// the medium holds.
type Medium interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	Zero(off, n int64) error
	Flush() error
	BlockSize() int64
}

// Extent is what the medium shall hold at an offset: Data, or Len zeros where Data is
// nil. It is at most a chunk.
type Extent struct {
	Off  int64
	Data []byte
	Len  int           // of zeros
	Only *chunk.Pieces // of Data, which the medium does not hold yet; nil: all of it
}

// maxRuns is how many runs of pieces are written one by one: a disk takes a whole chunk in less time than many more.
const maxRuns = 16

// writeRuns is the ranges of the data to write, from and to in bytes. All of the data is read back.
func (e Extent) writeRuns() [][2]int {
	if e.Only != nil {
		var all [][2]int
		for from, to := range e.Only.Runs(len(e.Data)) {
			all = append(all, [2]int{from, to})
		}
		if len(all) <= maxRuns {
			return all
		}
	}
	return [][2]int{{0, len(e.Data)}}
}

func (e Extent) byteSize() int {
	if e.Data == nil {
		return e.Len
	}
	return len(e.Data)
}

// putTries is how often an extent is written before the medium is given up.
const putTries = 3

// ErrMismatch is returned for a medium that took bytes and does not hold them.
var ErrMismatch = errors.New("the disk does not hold what was written to it")

// putExtents makes the medium hold the extents: all are written, flushed with one flush, read
// back and compared with the bytes in memory. One that differs is written again,
// putTries times in all, as is one that cannot be read; then the error names the first offset that is wrong. Only where
// putExtents returns nil has anything been shown; retried is the extents that took more than
// one try. scratch is a [Buffer] of a chunk.
func putExtents(m Medium, extents []Extent, scratch []byte) (retried int, err error) {
	left := extents
	for try := 1; ; try++ {
		for _, e := range left {
			if try > 1 {
				e.Only = nil
			}
			if err := putExtent(m, e); err != nil {
				return retried, fmt.Errorf("writing %d bytes at %d: %w", e.byteSize(), e.Off, err)
			}
		}
		if err := m.Flush(); err != nil {
			return retried, fmt.Errorf("flushing: %w", err)
		}
		var wrong []Extent
		var first error
		for _, e := range left {
			at, err := firstDifference(m, e, scratch)
			if err == nil && at < 0 {
				continue
			}
			if err != nil {
				err = fmt.Errorf("reading %d bytes at %d back, after %d tries: %w", e.byteSize(), e.Off, putTries, err)
			} else {
				err = fmt.Errorf("%w: at byte %d, after %d tries", ErrMismatch, at, putTries)
			}
			first = cmp.Or(first, err)
			wrong = append(wrong, e)
		}
		if len(wrong) == 0 {
			return retried, nil
		}
		if try == 1 {
			retried = len(wrong)
		}
		if try == putTries {
			return retried, first
		}
		left = wrong
	}
}

func putExtent(m Medium, e Extent) error {
	if e.Data == nil {
		return m.Zero(e.Off, int64(e.Len))
	}
	for _, r := range e.writeRuns() {
		n, err := m.WriteAt(e.Data[r[0]:r[1]], e.Off+int64(r[0]))
		if err == nil && n != r[1]-r[0] {
			err = fmt.Errorf("only %d bytes were taken", n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// firstDifference is the offset of the first byte on the medium that is not the extent's, or -1.
func firstDifference(m Medium, e Extent, scratch []byte) (int64, error) {
	b := scratch[:e.byteSize()]
	n, err := m.ReadAt(b, e.Off)
	if err != nil {
		return 0, err
	}
	if n != len(b) {
		return 0, fmt.Errorf("only %d bytes came", n)
	}
	if e.Data == nil && chunk.IsZero(b) || e.Data != nil && bytes.Equal(b, e.Data) {
		return -1, nil
	}
	for i := range b {
		if e.Data == nil && b[i] != 0 || e.Data != nil && b[i] != e.Data[i] {
			return e.Off + int64(i), nil
		}
	}
	return -1, nil
}
