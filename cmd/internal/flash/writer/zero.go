package writer

import (
	"errors"

	"golang.org/x/sys/unix"
)

// zeroBuffer is what is written where the disk cannot be told to zero itself.
var zeroBuffer = alignedBuffer(256 << 10)

// Zero makes n bytes at off, a multiple of the block size, read as zero, now and ever
// after. On a device the kernel does so, by a command of the disk's or by writing
// (BLKZEROOUT, Linux's include/uapi/linux/fs.h); a discard alone may leave old data.
func (d *Disk) Zero(off, n int64) error {
	if n < 0 || n > d.size {
		n = d.size + 1 // let checkRange refuse it
	}
	if err := d.checkRange(int(n), off); err != nil {
		return err
	}
	if whole := n / d.block * d.block; d.block > 1 && whole > 0 {
		switch err := zeroOut(d.f.Fd(), off, whole); {
		case err == nil:
			off, n = off+whole, n-whole
		case !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOTTY):
			return err
		}
	}
	for n > 0 {
		part := min(n, int64(len(zeroBuffer)))
		if _, err := d.WriteAt(zeroBuffer[:part], off); err != nil {
			return err
		}
		off, n = off+part, n-part
	}
	return nil
}
