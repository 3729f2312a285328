package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/diskfs/go-diskfs/partition/gpt"

	"groundhog/cmd/internal/flash"
)

// Relocate puts the backup of an image's GUID partition table (UEFI specification, 5.3) where the disk ends. first is
// the image's beginning, imageSize and diskSize are in bytes, block is the disk's logical block size. It returns the
// beginning with its header changed and what goes behind the image; both are unchanged and empty where there
// is no GPT or nothing to do. Partitions stay as they are, and an error changes nothing.
func Relocate(first []byte, imageSize, diskSize, block int64) ([]byte, []flash.Extent, error) {
	if block < 512 || block > 4096 || imageSize <= 0 || diskSize-imageSize < 34*block || int64(len(first)) < 34*block ||
		string(first[block:block+8]) != "EFI PART" {
		return first, nil, nil
	}
	f := &ends{head: bytes.Clone(first), size: diskSize}
	t, err := gpt.Read(f, int(block), int(block))
	if err != nil {
		return nil, nil, err
	}
	if t.RecoveredFromBackup || !t.ProtectiveMBR {
		return nil, nil, errors.New("its protective MBR is not as the specification has it")
	}
	if err := t.Repair(uint64(diskSize)); err != nil {
		return nil, nil, err
	}
	if err := t.Write(f, diskSize); err != nil {
		return nil, nil, err
	}
	// The library writes entries anew: what it does not know must not get lost.
	if !bytes.Equal(f.head[2*block:], first[2*block:]) || !bytes.Equal(f.head[:446], first[:446]) {
		return nil, nil, errors.New("it has entries that would not survive a move")
	}
	return f.head, f.tail, nil
}

// ends is a disk's first chunk and what is written behind the image.
type ends struct {
	head []byte
	tail []flash.Extent
	size int64
	at   int64
}

func (e *ends) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(e.head)) {
		return 0, io.ErrUnexpectedEOF
	}
	return copy(p, e.head[off:]), nil
}

func (e *ends) WriteAt(p []byte, off int64) (int, error) {
	switch {
	case off >= 0 && off+int64(len(p)) <= int64(len(e.head)):
		return copy(e.head[off:], p), nil
	case off >= int64(len(e.head)) && off+int64(len(p)) <= e.size:
		e.tail = append(e.tail, flash.Extent{Off: off, Data: bytes.Clone(p)})
		return len(p), nil
	}
	return 0, fmt.Errorf("%d bytes at %d are not on the disk", len(p), off)
}

func (e *ends) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += e.at
	case io.SeekEnd:
		off += e.size
	}
	e.at = off
	return off, nil
}

func (e *ends) Read([]byte) (int, error)   { return 0, errors.ErrUnsupported }
func (e *ends) Stat() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }
func (e *ends) Close() error               { return nil }
