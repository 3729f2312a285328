package sniff

import (
	"bytes"
	"math"
)

// knownFilesystem is what an image may begin with that has no partition table: known by a few bytes, and some say how long they
// are and for which sectors they are made.
type knownFilesystem struct {
	name   string
	offset int
	magic  string
	// size of it in bytes by its own superblock, 0 for unknown; sector is what the disk's logical sectors may have at most,
	// 0 for any. b is the image's beginning.
	size func(b []byte) (size, sector int64)
}

// nameIn is the filesystem's name, if it is there.
func (f knownFilesystem) nameIn(i *Image, b []byte) string {
	if len(b) < f.offset+len(f.magic) || string(b[f.offset:f.offset+len(f.magic)]) != f.magic {
		return ""
	}
	if f.size != nil {
		size, sector := f.size(padSuperblock(b))
		if size < 0 || sector < 0 {
			return ""
		}
		if size > 0 {
			i.parts = append(i.parts, partOf{what: f.name, end: size})
		}
		if sector > 0 {
			i.most = sector
		}
	}
	return f.name
}

// padSuperblock is at least as long as any superblock that is read.
func padSuperblock(b []byte) []byte {
	if len(b) >= 1<<17 {
		return b
	}
	return append(bytes.Clone(b), make([]byte, 1<<17-len(b))...)
}

// timesOrZero is a product, 0 for one that no disk has.
func timesOrZero(n uint64, by uint64) int64 {
	if by == 0 || n > math.MaxInt64/by || n*by > 1<<60 {
		return 0
	}
	return int64(n * by)
}

// shiftedOne is 1<<n for what can be a block's size.
func shiftedOne(n uint32) uint64 {
	if n > 30 {
		return 0
	}
	return 1 << n
}

// iso is what beside a table counts, too: one that is for sticks as well.
const iso = "an ISO 9660 filesystem"

// Filesystems that are never written to.
const (
	squashfs = "a squashfs"
	erofs    = "an erofs"
	cramfs   = "a cramfs"
	romfs    = "a romfs"
)

// knownFilesystems are those that are known, where their superblocks are from an image's beginning. The offsets are of the structures in
// the kernel's sources under fs/, and of each format's own documentation.
var knownFilesystems = []knownFilesystem{
	{"an ext filesystem", 1080, "\x53\xef", func(b []byte) (int64, int64) {
		sb := b[1024:]
		blocks := uint64(le.Uint32(sb[4:]))
		if le.Uint32(sb[96:])&0x80 != 0 { // INCOMPAT_64BIT
			blocks |= uint64(le.Uint32(sb[0x150:])) << 32
		}
		if shift := le.Uint32(sb[24:]); shift <= 6 && blocks > 0 && le.Uint32(sb[76:]) <= 1 {
			return timesOrZero(blocks, 1024<<shift), 1024 << shift
		}
		return -1, -1
	}},
	{"an xfs filesystem", 0, "XFSB", func(b []byte) (int64, int64) {
		return timesOrZero(be.Uint64(b[8:]), uint64(be.Uint32(b[4:]))), int64(be.Uint16(b[102:]))
	}},
	{"a btrfs", 65536 + 64, "_BHRfS_M", func(b []byte) (int64, int64) {
		sb := b[65536:]
		return timesOrZero(le.Uint64(sb[0xc9+8:]), 1), int64(le.Uint32(sb[0x90:])) // this device's own size; sectorsize
	}},
	{"an f2fs", 1024, "\x10\x20\xf5\xf2", func(b []byte) (int64, int64) {
		sb := b[1024:]
		return timesOrZero(le.Uint64(sb[36:]), shiftedOne(le.Uint32(sb[16:]))), int64(shiftedOne(le.Uint32(sb[8:])))
	}},
	{squashfs, 0, "hsqs", func(b []byte) (int64, int64) { return timesOrZero(le.Uint64(b[40:]), 1), 0 }},
	{erofs, 1024, "\xe2\xe1\xf5\xe0", func(b []byte) (int64, int64) {
		return timesOrZero(uint64(le.Uint32(b[1024+36:])), shiftedOne(uint32(b[1024+12]))), 0
	}},
	{iso, 32769, "CD001", func(b []byte) (int64, int64) {
		return timesOrZero(uint64(le.Uint32(b[32768+80:])), uint64(le.Uint16(b[32768+128:]))), 0
	}},
	{"a UDF", 32769, "BEA01", nil},
	{"an NTFS", 3, "NTFS    ", func(b []byte) (int64, int64) {
		sector := int64(le.Uint16(b[11:]))
		return timesOrZero(le.Uint64(b[0x28:]), uint64(sector)), sector
	}},
	{"an exFAT", 3, "EXFAT   ", func(b []byte) (int64, int64) {
		sector := shiftedOne(uint32(b[108]))
		return timesOrZero(le.Uint64(b[72:]), sector), int64(sector)
	}},
	{"a FAT filesystem", 510, "\x55\xaa", func(b []byte) (int64, int64) {
		if !isFAT(b) {
			return -1, -1
		}
		sector, n := int64(le.Uint16(b[11:])), uint64(le.Uint16(b[19:]))
		if n == 0 {
			n = uint64(le.Uint32(b[32:]))
		}
		return timesOrZero(n, uint64(sector)), sector
	}},
	{"a BitLocker volume", 3, "-FVE-FS-", nil},
	{"LUKS", 0, "LUKS\xba\xbe", nil},
	{"an LVM physical volume", 512, "LABELONE", lvmSize(512)},
	{"an LVM physical volume", 0, "LABELONE", lvmSize(0)},
	{"an LVM physical volume", 1024, "LABELONE", lvmSize(1024)},
	{"an LVM physical volume", 1536, "LABELONE", lvmSize(1536)},
	{"a member of a RAID", 0, "\xfc\x4e\x2b\xa9", mdEnd(0)},
	{"a member of a RAID", 4096, "\xfc\x4e\x2b\xa9", mdEnd(4096)},
	{"swap", 4096 - 10, "SWAPSPACE2", func(b []byte) (int64, int64) { return timesOrZero(uint64(le.Uint32(b[1028:]))+1, 4096), 0 }},
	{"swap", 16384 - 10, "SWAPSPACE2", func(b []byte) (int64, int64) { return timesOrZero(uint64(le.Uint32(b[1028:]))+1, 16384), 0 }},
	{"swap", 65536 - 10, "SWAPSPACE2", func(b []byte) (int64, int64) { return timesOrZero(uint64(le.Uint32(b[1028:]))+1, 65536), 0 }},
	{"a member of a ZFS pool", 128 << 10, "\x0c\xb1\xba\x00\x00\x00\x00\x00", nil}, // the first uberblock of its first label
	{"a member of a ZFS pool", 16 << 10, "\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x24", nil},
	{"a bcachefs", 4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", nil},
	{"a bcache device", 4096 + 24, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef", nil},
	{"a reiserfs", 65536 + 52, "ReIsEr", nil},
	{"a reiserfs", 8192 + 52, "ReIsEr", nil},
	{"a JFS", 32768, "JFS1", nil},
	{"a nilfs2", 1024 + 6, "\x34\x34", func(b []byte) (int64, int64) { return timesOrZero(le.Uint64(b[1024+32:]), 1), 0 }},
	{"an HFS+", 1024, "H+\x00\x04", nil},
	{"an HFS+", 1024, "HX\x00\x05", nil},
	{"an APFS", 32, "NXSB", func(b []byte) (int64, int64) { return timesOrZero(le.Uint64(b[40:]), uint64(le.Uint32(b[36:]))), 0 }},
	{"a UFS", 65536 + 1372, "\x19\x01\x54\x19", nil},
	{"a UFS", 8192 + 1372, "\x54\x19\x01\x00", nil},
	{"a minix filesystem", 1024 + 16, "\x7f\x13", minixSize},
	{"a minix filesystem", 1024 + 16, "\x8f\x13", minixSize},
	{"a minix filesystem", 1024 + 16, "\x68\x24", minixSize},
	{"a minix filesystem", 1024 + 16, "\x78\x24", minixSize},
	{"a minix filesystem", 1024 + 24, "\x5a\x4d", minixSize},
	{cramfs, 0, "\x45\x3d\xcd\x28", func(b []byte) (int64, int64) { return timesOrZero(uint64(le.Uint32(b[4:])), 1), 0 }},
	{romfs, 0, "-rom1fs-", func(b []byte) (int64, int64) { return timesOrZero(uint64(be.Uint32(b[8:])), 1), 0 }},
	{"a GFS2", 65536, "\x01\x16\x19\x70", nil},
	{"an OCFS2", 8192, "OCFSV2", nil},
	{"an Apple partition map", 512, "PM\x00\x00", nil},
	{"a Sun disk label", 508, "\xda\xbe", func(b []byte) (int64, int64) {
		sum := uint16(0)
		for n := 0; n < 512; n += 2 {
			sum ^= be.Uint16(b[n:])
		}
		return -int64(min(sum, 1)), 0
	}},
	{"an SGI disk label", 0, "\x0b\xe5\xa9\x41", nil},
	{"an Amiga disk label", 0, "RDSK", nil},
	{"an Atari disk label", 0x1c6, "\x01GEM", nil},
	{"a BSD disk label", 512, "\x57\x45\x56\x82", nil},
	{"a BSD disk label", 64, "\x57\x45\x56\x82", nil},
	{"an s390 volume label", 2 * 4096, "\xe5\xd6\xd3\xf1", nil}, // VOL1 in EBCDIC, in the third block
}

// lvmSize is a physical volume's size, of the label at off (lib/format_text/layout.h).
func lvmSize(off int) func([]byte) (int64, int64) {
	return func(b []byte) (int64, int64) {
		if string(b[off+24:off+32]) != "LVM2 001" {
			return -1, -1
		}
		at := off + int(min(le.Uint32(b[off+20:]), 512-40))
		return timesOrZero(le.Uint64(b[at+32:]), 1), 0
	}
}

// mdEnd is a RAID member's end, of a superblock of version 1 at off (include/uapi/linux/raid/md_p.h).
func mdEnd(off int) func([]byte) (int64, int64) {
	return func(b []byte) (int64, int64) {
		sb := b[off:]
		if le.Uint32(sb[4:]) != 1 {
			return -1, -1
		}
		from, n := le.Uint64(sb[128:]), le.Uint64(sb[136:])
		if n > 1<<51 || from > 1<<51 {
			return -1, -1
		}
		return timesOrZero(from+n, 512), 0
	}
}

// minixSize is that of a filesystem with a short magic number: a zone's size and a number of inodes that can be are asked for, too.
func minixSize(b []byte) (int64, int64) {
	sb := b[1024:]
	if le.Uint16(sb[24:]) == 0x4d5a { // version 3
		if n := le.Uint16(sb[28:]); n < 1024 || n&(n-1) != 0 {
			return -1, -1
		}
		return 0, 0
	}
	if le.Uint16(sb) == 0 || le.Uint16(sb[10:]) > 2 {
		return -1, -1
	}
	return 0, 0
}

// isFAT reports whether the first sector is a FAT filesystem's (Microsoft's FAT specification, 3.1).
func isFAT(b []byte) bool {
	if len(b) < 512 || !bootSigned(b) || b[0] != 0xeb && b[0] != 0xe9 {
		return false
	}
	sector, cluster := le.Uint16(b[11:]), b[13]
	return sector >= 512 && sector <= 4096 && sector&(sector-1) == 0 && cluster != 0 && cluster&(cluster-1) == 0 &&
		le.Uint16(b[14:]) != 0 && b[16] >= 1 && b[16] <= 4 && (b[21] == 0xf0 || b[21] >= 0xf8)
}

// bootSector is a first sector that a BIOS, or a board's own loader, starts: what else there is only its maker knows.
func bootSector(b []byte) string {
	switch {
	case announcesGPT(b), headlessGPT(b):
	case bootSigned(b) && bytes.Equal(b[mbrEntries:mbrSign], make([]byte, mbrSign-mbrEntries)):
		return "an MBR without partitions"
	case bootSigned(b):
		return "a boot sector"
	case len(b) > 8196+8 && string(b[8196:8204]) == "eGON.BT0", len(b) > 131076+8 && string(b[131076:131084]) == "eGON.BT0":
		return "an Allwinner boot loader"
	}
	return ""
}
