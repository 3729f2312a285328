package table

import (
	"bytes"
	"encoding/binary"
)

// TailLen is how much of a disk's end [Clear] looks after, in bytes.
const TailLen = tailLen

// Leftover is something at a disk's end that a tool would find there and take for part of a system.
type Leftover struct {
	Off  int64 // byte of the disk
	What string
}

const mdMagic = 0xa92b4efc // little-endian, of any version (Documentation/driver-api/md/md.rst; md_p.h)

// Left names what is known in a disk's last bytes, by where it stands; size is the disk's.
func Left(tail []byte, size, block int64) (all []Leftover) {
	from := size - int64(len(tail))
	at := func(off int64, n int) []byte {
		if off < from || off < 0 || off+int64(n) > size {
			return make([]byte, n)
		}
		return tail[off-from:][:n]
	}
	found := func(off int64, what string) { all = append(all, Leftover{off, what}) }
	if off := size - max(block, 512); string(at(off, 8)) == "EFI PART" {
		found(off, "a GPT's backup")
	}
	if off := size&^(64<<10-1) - 64<<10; binary.LittleEndian.Uint32(at(off, 4)) == mdMagic {
		found(off, "a superblock of an md raid, version 0.90")
	}
	if off := (size/512 - 16) &^ 7 * 512; binary.LittleEndian.Uint32(at(off, 4)) == mdMagic {
		found(off, "a superblock of an md raid, version 1.0")
	}
	for n := range int64(2) { // the last two of four labels, each with its list of names and values behind 16 KiB
		if off := size&^(256<<10-1) - (2-n)*256<<10; bytes.Contains(at(off+16<<10, 112<<10), []byte("pool_guid")) {
			found(off, "a label of ZFS")
		}
	}
	if off := size - 512; binary.BigEndian.Uint32(at(off, 4)) == 0xde11de11 {
		found(off, "the anchor of a DDF raid")
	}
	if off := size - 1024; string(at(off, 23)) == "Intel Raid ISM Cfg Sig." {
		found(off, "the anchor of an Intel raid")
	}
	for off := (from + 511) / 512 * 512; off+512 <= size; off += 512 {
		switch b := at(off, 512); {
		case string(b[:8]) == "LABELONE" && string(b[24:32]) == "LVM2 001":
			found(off, "a label of LVM")
		case string(b[4:20]) == " LVM2 x[5A%r0N*>":
			found(off, "a copy of LVM's metadata")
		}
	}
	return all
}
