package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/diskfs/go-diskfs/partition/gpt"

	"groundhog/cmd/internal/flash/chunk"
)

// Relocate puts the backup of a GPT where the disk ends. first is the image's beginning, all sizes are in bytes, block is
// the disk's logical block size; imageSize may be less than the truth where that is not known yet. It returns the
// beginning with its header changed and what goes behind the image; they are unchanged and empty where there
// is no GPT or nothing to do. Partitions stay as they are, and an error changes nothing.
func Relocate(first []byte, imageSize, diskSize, block int64) ([]byte, []chunk.Extent, error) {
	if err := checkPossible(imageSize, diskSize, block); err != nil {
		return nil, nil, err
	}
	g, err := readGPT(first, block)
	if err != nil {
		return nil, nil, err
	}
	if g == nil || !g.backupHasRoom(imageSize, diskSize) {
		return first, nil, nil
	}
	return g.writeTable(diskSize, nil)
}

// gptImage is an image's beginning with a GPT in it.
type gptImage struct {
	*gpt.Table
	first     []byte
	block     int64 // bytes
	alternate int64 // the backup header's block
	array     int64 // blocks of all entries
}

// entriesBlock is the block where the entries begin: the library writes them there, wherever they were.
const entriesBlock = 2

// hasGPT reports whether there is one for disks with such blocks. As with the kernel (block/partitions/efi.c), the MBR
// must say so: a header may be what is left of a table that was there before.
func hasGPT(first []byte, block int64) bool {
	if block != 512 && block != 1024 && block != 2048 && block != 4096 || int64(len(first)) < 3*block ||
		string(first[510:512]) != "\x55\xaa" || string(first[block:block+8]) != "EFI PART" {
		return false
	}
	for p := first[mbrEntries:510]; len(p) > 0; p = p[16:] {
		if p[4] == 0xee && binary.LittleEndian.Uint32(p[8:]) == 1 {
			return true
		}
	}
	return false
}

// readGPT is nil where there is none. The library takes lengths in the header for true: they are held against what
// there is before.
func readGPT(first []byte, block int64) (*gptImage, error) {
	if !hasGPT(first, block) {
		return nil, nil
	}
	header := first[block:]
	number := func(off int) uint64 { return binary.LittleEndian.Uint64(header[off:]) }
	count, size := int64(binary.LittleEndian.Uint32(header[80:])), binary.LittleEndian.Uint32(header[84:])
	switch {
	case number(24) != 1, number(32) > math.MaxInt64/4096, number(40) > number(48), number(48) >= number(32):
		return nil, errors.New("its GPT's header is at odds with itself")
	case size != gpt.PartitionEntrySize || number(72) != entriesBlock || count == 0 || count*int64(size)%block != 0:
		return nil, errors.New("its GPT's entries are not where, or as long as, all tools put them")
	case entriesBlock*block+count*int64(size) > int64(len(first)):
		return nil, errors.New("its GPT is longer than the image's first MiB")
	}
	t, err := gpt.Read(&diskEdges{head: bytes.Clone(first)}, int(block), int(block)) // it writes to what it reads
	if err != nil {
		return nil, err
	}
	return &gptImage{t, first, block, int64(number(32)), count * int64(size) / block}, nil
}

// listPartitions is those that the table has.
func (g *gptImage) listPartitions() ([]Partition, error) {
	var all []Partition
	for _, p := range g.Partitions {
		if p.Start == 0 || p.Start > p.End || p.End > math.MaxInt64/4096-1 {
			return nil, fmt.Errorf("its partition %d ends before it begins", p.Index)
		}
		all = append(all, Partition{p.Index, int64(p.Start) * g.block, int64(p.End-p.Start+1) * g.block, string(p.Type)})
	}
	return all, nil
}

// backupHasRoom reports whether the backup has a place between the image and the end of the disk.
func (g *gptImage) backupHasRoom(imageSize, diskSize int64) bool {
	end := max(imageSize, (g.alternate+1)*g.block)
	return diskSize/g.block*g.block-end >= (g.array+1)*g.block
}

// growTable is Grow.
func (g *gptImage) growTable(imageSize, diskSize int64) ([]byte, []chunk.Extent, Growth, error) {
	all, err := g.listPartitions()
	if err != nil {
		return nil, nil, Growth{}, err
	}
	last, err := lastEnding(all)
	if err == nil && !linuxTypes[gpt.Type(last.Type)] {
		err = fmt.Errorf("its last partition, %d, is no Linux filesystem by its type, %s", last.N, last.Type)
	}
	if err != nil {
		return nil, nil, Growth{}, err
	}
	usable, room := int64(g.LastDataSector())+1, g.backupHasRoom(imageSize, diskSize)
	if room {
		usable = diskSize/g.block - g.array - 1
	}
	by := max(0, usable*g.block/growAlign*growAlign-last.Start-last.Size)
	switch {
	case by == 0 && !room:
		return g.first, nil, Growth{Partition: last}, nil
	case !room:
		return nil, nil, Growth{}, errors.New("its GPT's backup is in the image, which is as large as the disk, and cannot follow: grow the partition in the image")
	}
	last.Size += by
	out, tail, err := g.writeTable(diskSize, &last)
	if err != nil {
		return nil, nil, Growth{}, err
	}
	return out, tail, Growth{last, by}, nil
}

// writeTable is the table for the disk, with p, if not nil, as it is now.
func (g *gptImage) writeTable(diskSize int64, p *Partition) ([]byte, []chunk.Extent, error) {
	if err := checkProtective(g.first); err != nil {
		return nil, nil, err
	}
	b, out := g.block, bytes.Clone(g.first)
	fields := [][2]int64{{b + 16, 4}, {b + 32, 8}, {b + 48, 8}, {b + 88, 4}} // checksum, backup, last usable block, the entries' checksum
	for _, old := range g.Partitions {
		if p != nil && old.Index == p.N {
			old.End, old.Size = uint64((p.Start+p.Size)/b-1), uint64(p.Size)
			fields = append(fields, [2]int64{entriesBlock*b + int64(p.N-1)*gpt.PartitionEntrySize + 40, 8})
		}
	}
	f := &diskEdges{head: bytes.Clone(g.first), size: diskSize}
	if err := g.Repair(uint64(diskSize)); err != nil {
		return nil, nil, err
	}
	g.ProtectiveMBR = false // the library's has no CHS, and none of more than 2 TiB
	if err := g.Write(f, diskSize); err != nil {
		return nil, nil, err
	}
	for _, field := range fields {
		copy(out[field[0]:field[0]+field[1]], f.head[field[0]:])
	}
	// The library writes all entries anew: what it does not know must not get lost.
	if !bytes.Equal(out, f.head) {
		return nil, nil, errors.New("its GPT has what would not survive a change")
	}
	binary.LittleEndian.PutUint32(out[mbrEntries+12:], uint32(min(diskSize/b-1, math.MaxUint32)))
	return out, f.tail, nil
}

// checkProtective refuses a GPT whose MBR does not say just that there is one (UEFI specification, 5.2.3): a hybrid one has
// partitions of its own, which would not follow.
func checkProtective(first []byte) error {
	p := first[mbrEntries:]
	if p[4] != 0xee || binary.LittleEndian.Uint32(p[8:]) != 1 ||
		!bytes.Equal(p[16:64], make([]byte, 48)) {
		return errors.New("its protective MBR is not as the specification has it, a hybrid one perhaps")
	}
	return nil
}

// linuxTypes is the types of filesystems that Linux grows: Linux's own, /home, /srv, /var, and the roots of all architectures
// (Discoverable Partitions Specification).
var linuxTypes = map[gpt.Type]bool{
	gpt.LinuxFilesystem: true, gpt.LinuxHome: true, gpt.LinuxServerData: true,
	"4D21B016-B534-45C2-A9FB-5C16E091FD2D": true, // /var
	gpt.LinuxRootX86_64:                    true,
	gpt.LinuxRootX86:                       true,
	gpt.LinuxRootArm64:                     true,
	gpt.LinuxRootArm:                       true,
	gpt.LinuxRootIA64:                      true,
	"6523F8AE-3EB1-4E2A-A05A-18B695AE656F": true, // Alpha
	"D27F46ED-2919-4CB8-BD25-9531F3C16534": true, // ARC
	"77055800-792C-4F94-B39A-98C91B762BB6": true, // LoongArch
	"37C58C8A-D913-4156-A25F-48B1B64E07F0": true, // mipsel
	"700BDA43-7A34-4507-B179-EEB93D7A7CA3": true, // mips64el
	"1AACDB3B-5444-4138-BD9E-E5C2239B2346": true, // PA-RISC
	"1DE3F1EF-FA98-47B5-8DCD-4A860A654D78": true, // PowerPC
	"912ADE1D-A839-4913-8964-A10EEE08FBD2": true, // PowerPC 64, big endian
	"C31C45E6-3F39-412E-80FB-4809C4980599": true, // PowerPC 64, little endian
	"60D5A7FE-8E7D-435C-B714-3DD8162144E1": true, // RISC-V 32
	"72EC70A6-CF74-40E6-BD49-4BDA08E8F224": true, // RISC-V 64
	"08A7ACEA-624C-4A20-91E8-6E0FA67D23F9": true, // s390
	"5EEAD9A9-FE09-4A1E-A1D7-520D00531306": true, // s390x
	"C50CDD70-3862-4CC3-90E1-809A8C93EE2C": true, // TILE-Gx
}
