// Package writer is the device's half of flash. It writes and reads the disk past the
// page cache, so that what is compared is what the medium holds.
package writer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bufferAlign is the alignment of buffers in bytes: the largest logical block there is, and
// so enough for O_DIRECT on any disk (open(2)).
const bufferAlign = 4096

// Disk is an open disk, or a plain file in its place. Its methods may be called from
// several goroutines for ranges that share no block.
//
// A block device is opened with O_DIRECT. Of a plain file that is flushed the cached
// pages are dropped before each read (posix_fadvise(2)), which is a request: a file is
// for tests and measurements, and nothing is claimed of a medium.
type Disk struct {
	f     *os.File
	size  int64
	block int64 // logical block size in bytes; 1 for a file
}

// Open opens the disk for writing, or for reading alone. A device that is mounted, or
// held by LVM, md or another opener with O_EXCL, is not opened for writing: EBUSY.
func Open(name string, write bool) (*Disk, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR
	}
	switch kind := info.Mode().Type(); {
	case kind == os.ModeDevice:
		flags |= directFlag
		if write {
			flags |= os.O_EXCL
		}
	case kind != 0:
		return nil, fmt.Errorf("%s: neither a disk nor a file", name)
	}
	f, err := os.OpenFile(name, flags, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("%w: it is mounted, or something else holds it", err)
	} else if err != nil {
		return nil, err
	}
	d := &Disk{f: f, block: 1}
	if err := d.measureSize(info.Mode().Type() == os.ModeDevice); err != nil {
		f.Close()
		return nil, err
	}
	return d, nil
}

func (d *Disk) measureSize(device bool) error {
	var err error
	if d.size, err = d.f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	if !device {
		return nil
	}
	n, err := sectorSize(int(d.f.Fd()))
	if err != nil {
		return fmt.Errorf("%s: asking for its block size: %w", d.f.Name(), err)
	}
	if n < 512 || n > bufferAlign || n&(n-1) != 0 {
		return fmt.Errorf("%s: blocks of %d bytes", d.f.Name(), n)
	}
	d.block = int64(n)
	return nil
}

// Size is the disk's size in bytes.
func (d *Disk) Size() int64 { return d.size }

// BlockSize is the disk's logical block size in bytes; 1 for a file.
func (d *Disk) BlockSize() int64 { return d.block }

// Close lets go of the disk.
func (d *Disk) Close() error { return d.f.Close() }

// Flush returns when all that was written is on the medium, as far as the disk says so.
func (d *Disk) Flush() error { return d.f.Sync() }

// alignedBuffer is n bytes that need no copy on their way to the disk.
func alignedBuffer(n int) []byte {
	b := make([]byte, n+bufferAlign)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) % bufferAlign)
	return b[skip : skip+n : skip+n]
}

// ReadAt reads len(p) bytes at off, a multiple of the block size, from the medium.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	if err := d.checkRange(len(p), off); err != nil {
		return 0, err
	}
	if d.block == 1 {
		if err := dropCached(int(d.f.Fd()), off, int64(len(p))); err != nil {
			return 0, err
		}
		return d.f.ReadAt(p, off)
	}
	if d.canGoDirect(p) {
		return d.f.ReadAt(p, off)
	}
	b := alignedBuffer(int(d.roundUp(int64(len(p)))))
	if _, err := d.f.ReadAt(b, off); err != nil {
		return 0, err
	}
	return copy(p, b), nil
}

// WriteAt writes p at off, a multiple of the block size. What is in the last block
// behind p stays as it is.
func (d *Disk) WriteAt(p []byte, off int64) (int, error) {
	if err := d.checkRange(len(p), off); err != nil {
		return 0, err
	}
	if d.canGoDirect(p) {
		return d.f.WriteAt(p, off)
	}
	b := alignedBuffer(int(d.roundUp(int64(len(p)))))
	if tail := int64(len(b)) - d.block; len(b) > len(p) {
		if _, err := d.f.ReadAt(b[tail:], off+tail); err != nil {
			return 0, err
		}
	}
	copy(b, p)
	if _, err := d.f.WriteAt(b, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

// canGoDirect reports whether p can go to the disk as it is.
func (d *Disk) canGoDirect(p []byte) bool {
	return d.block == 1 || int64(len(p))%d.block == 0 &&
		uintptr(unsafe.Pointer(unsafe.SliceData(p)))%bufferAlign == 0
}

func (d *Disk) roundUp(n int64) int64 { return (n + d.block - 1) / d.block * d.block }

// checkRange refuses what is not inside the disk: a plain file would grow.
func (d *Disk) checkRange(n int, off int64) error {
	if off < 0 || off > d.size || int64(n) > d.size-off || off%d.block != 0 {
		return fmt.Errorf("%s: %d bytes at %d: not inside its %d bytes, in blocks of %d",
			d.f.Name(), n, off, d.size, d.block)
	}
	return nil
}

// errNoTable is that the disk is a file.
var errNoTable = errors.New("no partition table is read of a file")

// Reread has the kernel read the partition table again (BLKRRPART).
func (d *Disk) Reread() error {
	if d.block == 1 {
		return errNoTable
	}
	return rereadTable(int(d.f.Fd()))
}
