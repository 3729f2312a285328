// Package table fits an image's partition table to the disk that the image goes to: the backup of a GUID partition
// table (UEFI specification, 5.3) moves to where the disk ends, and the last partition grows into the room behind it.
// Everything else of the image stays as its maker left it; what would not is refused.
package table

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"unicode"

	"groundhog/cmd/internal/flash/chunk"
)

// ErrNone is returned for an image that has no partition table.
var ErrNone = errors.New("it has no partition table")

// Partition is one of an image's.
type Partition struct {
	N     int    // as the kernel counts, from 1
	Start int64  // bytes
	Size  int64  // bytes
	Type  string // a GUID, or 0x and an MBR's two digits
}

// Growth is the partition that ends last, as it is on the disk.
type Growth struct {
	Partition
	By int64 // bytes more than in the image; 0: there is no room for more
}

// growAlign is what a grown partition ends on, in bytes, as partitioning tools have it.
const growAlign = 1 << 20

// Grow makes the partition that ends last reach to the last MiB boundary that the table allows on the disk, and does what
// [Relocate] does; the arguments are the same. It looks at the image alone: the same image on the same disk gives
// the same table, whatever the disk had. An error, also for a last partition that is no Linux filesystem,
// changes nothing.
func Grow(first []byte, imageSize, diskSize, block int64) ([]byte, []chunk.Extent, Growth, error) {
	if err := checkPossible(imageSize, diskSize, block); err != nil {
		return nil, nil, Growth{}, err
	}
	g, err := readGPT(first, block)
	switch {
	case err != nil:
		return nil, nil, Growth{}, err
	case g != nil:
		return g.growTable(imageSize, diskSize)
	}
	for other := int64(512); other <= 4096; other *= 2 {
		if hasGPT(first, other) {
			return nil, nil, Growth{}, fmt.Errorf("its partition table is for disks with blocks of %d bytes, this one has %d", other, block)
		}
	}
	out, growth, err := growMBR(first, diskSize, block)
	return out, nil, growth, err
}

// checkPossible refuses sizes that no disk has: a device tells them, and they are counted with. A plain file in a disk's place has
// blocks of 1.
func checkPossible(imageSize, diskSize, block int64) error {
	const most = 1 << 60
	if imageSize < 0 || imageSize > most || diskSize <= 0 || diskSize > most || block != 1 && (block < 512 || block > 64<<10 || block&(block-1) != 0) {
		return fmt.Errorf("no disk has %d bytes in sectors of %d, nor an image %d", diskSize, block, imageSize)
	}
	return nil
}

// lastEnding is the partition that ends last. No other one may reach into it.
func lastEnding(all []Partition) (Partition, error) {
	if len(all) == 0 {
		return Partition{}, errors.New("its partition table is empty")
	}
	last := slices.MaxFunc(all, func(a, b Partition) int { return cmp.Compare(a.Start+a.Size, b.Start+b.Size) })
	for _, p := range all {
		if p.N != last.N && p.Start+p.Size > last.Start {
			return last, fmt.Errorf("its partitions %d and %d overlap", p.N, last.N)
		}
	}
	return last, nil
}

// PartitionPath is a partition's device: the kernel puts a p behind a disk's name that ends in a digit (block/partitions/core.c).
func PartitionPath(disk string, n int) string {
	if disk != "" && unicode.IsDigit(rune(disk[len(disk)-1])) {
		return fmt.Sprintf("%sp%d", disk, n)
	}
	return fmt.Sprintf("%s%d", disk, n)
}

// diskHead is a disk's beginning: all that the library may touch.
type diskHead struct{ b []byte }

func (h *diskHead) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(h.b)) {
		return 0, io.ErrUnexpectedEOF
	}
	return copy(p, h.b[off:]), nil
}

func (h *diskHead) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(h.b)) {
		return 0, fmt.Errorf("%d bytes at %d are not at the disk's beginning", len(p), off)
	}
	return copy(h.b[off:], p), nil
}

// The library asks for no more than that of a table that it is given the disk's size for.
func (h *diskHead) Seek(int64, int) (int64, error) { return 0, errors.ErrUnsupported }
func (h *diskHead) Read([]byte) (int, error)       { return 0, errors.ErrUnsupported }
func (h *diskHead) Stat() (fs.FileInfo, error)     { return nil, errors.ErrUnsupported }
func (h *diskHead) Close() error                   { return nil }
