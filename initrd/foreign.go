package initrd

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"groundhog/initrd/show"
)

// notRead is what cpio(1) writes unless it is told otherwise.
const notRead = "which the kernel does not read (cpio -o -H newc writes what it does)"

// foreignHead is how many bytes of a file tell its kind.
const foreignHead = 2048

// foreignKinds is files that people mistake for an initramfs, by what is at an offset in them. The first that fits counts.
var foreignKinds = []struct {
	off         int
	magic, what string
}{
	{0, "\x7fELF", "an ELF file"},
	{0x202, "HdrS", "a Linux kernel (x86 bzImage)"},
	{0x38, "ARM\x64", "a Linux kernel (arm64 Image)"},
	{0x24, "\x18\x28\x6f\x01", "a Linux kernel (arm zImage)"},
	{0, "MZ", "an EFI program (a unified kernel image must be rebuilt, not patched)"},
	{0, "\x27\x05\x19\x56", "a U-Boot image (take the header off first, with dumpimage)"},
	{0, "\xd0\x0d\xfe\xed", "a device tree or U-Boot FIT image"},
	{0, "ANDROID!", "an Android boot image"},
	{0, "070707", "a cpio archive in the old ASCII format (odc), " + notRead},
	{0, "\xc7\x71", "a binary cpio archive, " + notRead},
	{0, "\x71\xc7", "a binary cpio archive, " + notRead},
	{0, "hsqs", "a squashfs image"},
	{0, "!<arch>\n", "a .deb or ar archive"},
	{0, "PK\x03\x04", "a zip archive"},
	{257, "ustar", "a tar archive"},
	{0, "QFI\xfb", "a disk image"},
	{510, "\x55\xaa", "a disk image"},
	{0x438, "\x53\xef", "an ext2, ext3 or ext4 file system"},
}

// foreignKind says what a file is that is not an initramfs, where it is a kind
// that people mistake for one; else "".
func foreignKind(b []byte) string {
	for _, k := range foreignKinds {
		if len(b) > k.off && bytes.HasPrefix(b[k.off:], []byte(k.magic)) {
			return k.what
		}
	}
	if beginsAsText(b) {
		return "a text file"
	}
	return ""
}

// foreignWithin says what begins with those bytes in a compressed file, where that is no cpio archive for the kernel but a kind that is known; else nil.
func foreignWithin(head []byte) error {
	if bytes.HasPrefix(head, []byte("070701")) || bytes.HasPrefix(head, []byte("070702")) {
		return nil
	}
	if what := foreignKind(head); what != "" {
		return fmt.Errorf("%w: what is compressed is %s", ErrFormat, what)
	}
	if m, ok := sniffCompression(head); ok {
		return fmt.Errorf("%w: it is compressed twice: what is in it is %s again", ErrFormat, m.name)
	}
	return nil
}

// beginsAsText looks at the first 512 bytes.
func beginsAsText(b []byte) bool {
	head := b[:min(len(b), 512)]
	for len(head) > 0 && !utf8.Valid(head) && len(b) > 512 && len(head) > 508 {
		head = head[:len(head)-1] // a character cut in two
	}
	return len(head) > 0 && show.IsText(head)
}

// saidOfUnknown describes bytes that start no segment.
func saidOfUnknown(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\x04\x22\x4d\x18")):
		return "an lz4 frame, which the kernel does not read (lz4 -l writes what it does)"
	case len(b) > 3 && b[0]&0xf0 == 0x50 && string(b[1:4]) == "\x2a\x4d\x18":
		return "a skippable zstd frame, which the kernel does not read"
	}
	return fmt.Sprintf("neither cpio nor a compression that the kernel reads (% x)", b[:min(len(b), 6)])
}
