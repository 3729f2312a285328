package image

import (
	"io"
	"strings"
)

// filesystemMagics is what may be in a partition, by the bytes that libblkid looks for, too; the first that fits counts.
var filesystemMagics = []struct {
	name   string
	offset int
	magic  string
}{
	{"LUKS", 0, "LUKS\xba\xbe"},
	{"LVM", 512 + 24, "LVM2 001"},
	{"RAID", 4096, "\xfc\x4e\x2b\xa9"},
	{"ext", 1080, "\x53\xef"},
	{"btrfs", 65536 + 64, "_BHRfS_M"},
	{"xfs", 0, "XFSB"},
	{"f2fs", 1024, "\x10\x20\xf5\xf2"},
	{"squashfs", 0, "hsqs"},
	{"erofs", 1024, "\xe2\xe1\xf5\xe0"},
	{"swap", 4086, "SWAPSPACE2"},
	{"vfat", 54, "FAT"},
	{"vfat", 82, "FAT32"},
}

// filesystemAt is the name of what begins at off, "" for what is not known; "ext" is ext2, ext3 or ext4.
func filesystemAt(image io.ReaderAt, off int64) (string, error) {
	b := make([]byte, 65536+128)
	n, err := image.ReadAt(b, off)
	if err != nil && err != io.EOF {
		return "", err
	}
	for _, f := range filesystemMagics {
		if f.offset < n && strings.HasPrefix(string(b[f.offset:min(n, f.offset+16)]), f.magic) {
			return f.name, nil
		}
	}
	return "", nil
}
