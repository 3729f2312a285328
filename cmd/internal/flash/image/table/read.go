package table

import (
	"encoding/binary"
	"fmt"
	"io"
)

// maxLogical bounds a chain of logical partitions, which may be a ring.
const maxLogical = 60

// Partitions is all partitions that an image has, logical ones too; [ErrNone] where there is no table. Those of a GPT may be
// in blocks of any size, an MBR's are taken to be in blocks of 512 bytes. A GPT's entry that is none is passed over, unless there is no other.
func Partitions(image io.ReaderAt) ([]Partition, error) {
	first := make([]byte, 1<<20)
	n, err := image.ReadAt(first, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	first = first[:n]
	for block := int64(512); block <= 4096; block *= 2 {
		if g, err := readGPT(first, block); err != nil {
			return nil, err
		} else if g != nil {
			all, err := g.listPartitions()
			if len(all) > 0 {
				err = nil
			}
			return all, err
		}
	}
	_, all, err := mbrPartitions(first, 512)
	if err != nil {
		return nil, err
	}
	next := 5
	for _, p := range all {
		if p.isExtended() {
			logical, err := logicalChain(image, p, next)
			if err != nil {
				return nil, err
			}
			all, next = append(all, logical...), next+len(logical)
		}
	}
	return all, nil
}

// logicalChain is the logical partitions in an extended one, the first of them the n-th: each box has, in an MBR of its own, a partition that is counted from
// the box's start, and the next box, counted from the extended partition's. A box's third and fourth entry may be garbage, and its boot flags mean nothing
// (block/partitions/msdos.c).
func logicalChain(image io.ReaderAt, extended Partition, n int) (all []Partition, err error) {
	at, size := extended.Start, extended.Size
	for range maxLogical {
		box := make([]byte, 512)
		if _, err := image.ReadAt(box, at); err == io.EOF {
			return all, nil // the image is cut here
		} else if err != nil {
			return nil, err
		}
		if string(box[510:]) != "\x55\xaa" {
			break
		}
		var next Partition
		for slot := range 4 {
			e := box[mbrEntries+16*slot:]
			off := int64(binary.LittleEndian.Uint32(e[8:])) * 512
			p := Partition{n, at + off, int64(binary.LittleEndian.Uint32(e[12:])) * 512, fmt.Sprintf("0x%02x", e[4])}
			switch {
			case p.Size == 0:
			case p.isExtended():
				if next.Size == 0 {
					next = Partition{Start: extended.Start + off, Size: p.Size}
				}
			case slot >= 2 && (off+p.Size > size || p.Start+p.Size > extended.Start+extended.Size):
			default:
				all, n = append(all, p), n+1
			}
		}
		if next.Size == 0 {
			break
		}
		at, size = next.Start, next.Size
	}
	return all, nil
}
