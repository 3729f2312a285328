package table

import (
	"errors"
	"io"
)

// maxLogical bounds a chain of logical partitions, which may be a ring.
const maxLogical = 60

// Partitions is all partitions that an image has, logical ones too; [ErrNone] where there is no table. Those of a GPT may be
// in blocks of any size, an MBR's are taken to be in blocks of 512 bytes.
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
			return g.listPartitions()
		}
	}
	_, all, err := mbrPartitions(first, 512)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.isExtended() {
			logical, err := logicalChain(image, p)
			if err != nil {
				return nil, err
			}
			all = append(all, logical...)
		}
	}
	return all, nil
}

// logicalChain is the logical partitions in an extended one: each box has, in an MBR of its own, a partition that is counted from
// the box's start, and the next box, counted from the extended partition's (block/partitions/msdos.c).
func logicalChain(image io.ReaderAt, extended Partition) (all []Partition, err error) {
	at, n := extended.Start, 5
	for range maxLogical {
		box := make([]byte, 512)
		if _, err := image.ReadAt(box, at); err == io.EOF {
			return all, nil // the image is cut here
		} else if err != nil {
			return nil, err
		}
		_, here, err := mbrPartitions(box, 512)
		if err != nil && !errors.Is(err, ErrNone) {
			return nil, err
		}
		next := int64(0)
		for _, p := range here {
			switch {
			case p.isExtended():
				next = extended.Start + p.Start
			default:
				p.N, p.Start = n, at+p.Start
				all, n = append(all, p), n+1
			}
		}
		if next == 0 {
			break
		}
		at = next
	}
	return all, nil
}
