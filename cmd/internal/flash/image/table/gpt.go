package table

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
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

// gptImage is an image's beginning with a GPT in it. What is changed of it is changed in its bytes: go-diskfs writes all entries anew, in the blocks
// behind the header, which loses what it does not know, and is not where every image has them (sgdisk -j makes room there for a board's loader).
type gptImage struct {
	first     []byte
	block     int64 // bytes
	alternate int64 // the backup header's block
	usable    int64 // the last block that a partition may have
	entries   int64 // byte where they begin
	count     int64 // of entries
	array     int64 // blocks of all entries
}

// entryLen is an entry's length in bytes. The specification allows more, and Linux takes no other (block/partitions/efi.c).
const entryLen = 128

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

// readGPT is nil where there is none. A length in the header is held against what there is before it is used.
func readGPT(first []byte, block int64) (*gptImage, error) {
	if !hasGPT(first, block) {
		return nil, nil
	}
	header := first[block : 2*block]
	number := func(off int) uint64 { return binary.LittleEndian.Uint64(header[off:]) }
	count, entry, length := int64(binary.LittleEndian.Uint32(header[80:])), binary.LittleEndian.Uint32(header[84:]), int64(binary.LittleEndian.Uint32(header[12:]))
	switch {
	case length < headerLen || length > block, number(24) != 1, number(32) > math.MaxInt64/4096, number(40) > number(48), number(48) >= number(32), number(72) < 2:
		return nil, errors.New("its GPT's header is at odds with itself")
	case entry != entryLen || count == 0:
		return nil, fmt.Errorf("its GPT has %d entries of %d bytes", count, entry)
	case number(72) > uint64(len(first))/uint64(block) || int64(number(72))*block+count*entryLen > int64(len(first)):
		return nil, errors.New("its GPT is longer than the image's first MiB")
	}
	g := &gptImage{first, block, int64(number(32)), int64(number(48)), int64(number(72)) * block, count, (count*entryLen + block - 1) / block}
	switch {
	case headerSum(header) != binary.LittleEndian.Uint32(header[16:]):
		return nil, errors.New("its GPT's header has another checksum than it says")
	case crc32.ChecksumIEEE(g.entriesOf(first)) != binary.LittleEndian.Uint32(header[88:]):
		return nil, errors.New("its GPT's entries have another checksum than it says")
	}
	return g, nil
}

// headerLen is a header's length in bytes, as long as the specification has no more to say there.
const headerLen = 92

// headerSum is the checksum of a header that says its length: the field of the checksum counts as zeros.
func headerSum(header []byte) uint32 {
	sum := crc32.ChecksumIEEE(header[:16])
	sum = crc32.Update(sum, crc32.IEEETable, make([]byte, 4))
	return crc32.Update(sum, crc32.IEEETable, header[20:binary.LittleEndian.Uint32(header[12:])])
}

// entriesOf is the entries in an image's beginning.
func (g *gptImage) entriesOf(first []byte) []byte { return first[g.entries:][:g.count*entryLen] }

// listPartitions is those that the table has. Of entries that are none the error has the first; the kernel passes over them (block/partitions/efi.c).
func (g *gptImage) listPartitions() (all []Partition, err error) {
	for n := range int(g.count) {
		e := g.entriesOf(g.first)[n*entryLen:][:entryLen]
		from, to := binary.LittleEndian.Uint64(e[32:]), binary.LittleEndian.Uint64(e[40:])
		switch {
		case bytes.Equal(e[:16], make([]byte, 16)): // unused
		case from == 0 || from > to || to > math.MaxInt64/4096-1:
			err = cmp.Or(err, fmt.Errorf("its partition %d ends before it begins", n+1))
		default:
			all = append(all, Partition{n + 1, int64(from) * g.block, int64(to-from+1) * g.block, guidText(e)})
		}
	}
	return all, err
}

// guidText is a GUID as people write it: its first three numbers are little-endian (UEFI specification, appendix A).
func guidText(b []byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08X-%04X-%04X-%X-%X", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
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
	usable, room := g.usable+1, g.backupHasRoom(imageSize, diskSize)
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
	b, last := g.block, diskSize/g.block-1
	hybrid := checkProtective(g.first)
	if p != nil && hybrid != nil {
		return nil, nil, hybrid
	}
	for n := range int64(4) { // a hybrid MBR's partitions stay where they are
		e := g.first[mbrEntries+16*n:]
		if end := int64(binary.LittleEndian.Uint32(e[8:])) + int64(binary.LittleEndian.Uint32(e[12:])); e[4] != 0 && e[4] != 0xee && end > last-g.array {
			return nil, nil, fmt.Errorf("partition %d of its MBR is where its backup would be", n+1)
		}
	}
	put, put4 := binary.LittleEndian.PutUint64, binary.LittleEndian.PutUint32
	out := bytes.Clone(g.first)
	entries := g.entriesOf(out)
	if p != nil {
		put(entries[(p.N-1)*entryLen+40:], uint64((p.Start+p.Size)/b-1))
	}
	header := out[b : 2*b]
	put(header[32:], uint64(last))
	put(header[48:], uint64(last-g.array-1))
	put4(header[88:], crc32.ChecksumIEEE(entries))
	backup := bytes.Clone(header)
	put(backup[24:], uint64(last))
	put(backup[32:], 1)
	put(backup[72:], uint64(last-g.array))
	for _, h := range [][]byte{header, backup} {
		put4(h[16:], headerSum(h))
	}
	if hybrid == nil {
		put4(out[mbrEntries+12:], uint32(min(last, math.MaxUint32)))
	}
	array := make([]byte, g.array*b)
	copy(array, entries)
	return out, []chunk.Extent{{Off: (last - g.array) * b, Data: array}, {Off: last * b, Data: backup}}, nil
}

// checkProtective refuses a GPT whose MBR does not say just that there is one (UEFI specification, 5.2.3): a hybrid one has
// partitions of its own, which would not follow. An entry without a type is none (block/partitions/efi.c): xorriso makes one for BIOSes that want one to be active.
func checkProtective(first []byte) error {
	p := first[mbrEntries:]
	if p[4] != 0xee || binary.LittleEndian.Uint32(p[8:]) != 1 || p[16+4] != 0 || p[32+4] != 0 || p[48+4] != 0 {
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
