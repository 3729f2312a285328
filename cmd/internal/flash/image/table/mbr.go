package table

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/diskfs/go-diskfs/partition/mbr"
)

// mbrEntries is where an MBR's four entries begin, 16 bytes each.
const mbrEntries = 446

// mbrMax is how many blocks an MBR can name.
const mbrMax = 1 << 32

// mbrPartitions is the primary partitions of an MBR.
func mbrPartitions(first []byte, block int64) (*mbr.Table, []Partition, error) {
	if len(first) < 512 || string(first[510:512]) != "\x55\xaa" || bytes.Equal(first[mbrEntries:510], make([]byte, 64)) {
		return nil, nil, ErrNone
	}
	t, err := mbr.Read(&diskHead{first}, int(block), int(block))
	if err != nil { // a boot sector of a filesystem ends with the same two bytes
		return nil, nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	var all []Partition
	for _, p := range t.Partitions { // the library counts in 512 bytes whatever it is told
		switch {
		case p.Size == 0: // the kernel's sign of an unused entry
		case p.Start == 0 || int64(p.Start)+int64(p.Size) > mbrMax:
			return nil, nil, fmt.Errorf("%w: entry %d of its MBR is none", ErrNone, p.Index)
		default:
			all = append(all, Partition{p.Index, int64(p.Start) * block, int64(p.Size) * block, fmt.Sprintf("0x%02x", byte(p.Type))})
		}
	}
	return t, all, nil
}

// isExtended reports whether a partition is a box of others.
func (p Partition) isExtended() bool { return p.Type == "0x05" || p.Type == "0x0f" || p.Type == "0x85" }

// growMBR is Grow. Nothing of an MBR is elsewhere on the disk.
func growMBR(first []byte, diskSize, block int64) ([]byte, Growth, error) {
	t, all, err := mbrPartitions(first, block)
	if err != nil {
		return nil, Growth{}, err
	}
	last, err := lastEnding(all)
	switch {
	case err != nil:
	case last.isExtended():
		err = errors.New("its last partition is inside an extended one")
	case last.Type != "0x83":
		err = fmt.Errorf("its last partition, %d, is no Linux filesystem by its type, %s", last.N, last.Type)
	}
	if err != nil {
		return nil, Growth{}, err
	}
	by := min(diskSize/block, mbrMax)*block/growAlign*growAlign - last.Start - last.Size
	if by <= 0 {
		return first, Growth{Partition: last}, nil
	}
	last.Size += by
	p := t.Partitions[last.N-1]
	p.Size = uint32(last.Size / block)
	p.EndHead, p.EndSector, p.EndCylinder = chsAddress((last.Start+last.Size)/block - 1)
	f := &diskHead{bytes.Clone(first)}
	if err := t.Write(f, diskSize); err != nil {
		return nil, Growth{}, err
	}
	out, entry := bytes.Clone(first), mbrEntries+16*(last.N-1)
	copy(out[entry+5:entry+8], f.b[entry+5:])
	copy(out[entry+12:entry+16], f.b[entry+12:])
	if !bytes.Equal(out, f.b) {
		return nil, Growth{}, errors.New("its MBR has what would not survive a change")
	}
	return out, Growth{last, by}, nil
}

// chsAddress is a block's address as disks had it, 255 heads and 63 sectors, in an entry's three bytes; the last one there is
// stands for all behind it. BIOSes still look at it.
func chsAddress(block int64) (head, sector, cylinder byte) {
	c, h, s := block/(255*63), block/63%255, block%63+1
	if c > 1023 {
		c, h, s = 1023, 254, 63
	}
	return byte(h), byte(s) | byte(c>>2)&0xc0, byte(c)
}
