package initrd

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"groundhog/initrd/show"
)

// foreignKind says what a file is that is not an initramfs, where it is a kind
// that people mistake for one; else "".
func foreignKind(b []byte) string {
	at := func(off int, magic string) bool {
		return len(b) >= off+len(magic) && string(b[off:off+len(magic)]) == magic
	}
	switch {
	case at(0, "\x7fELF"):
		return "an ELF file"
	case at(0x202, "HdrS"):
		return "a Linux kernel (x86 bzImage)"
	case at(0x38, "ARM\x64"):
		return "a Linux kernel (arm64 Image)"
	case at(0x24, "\x18\x28\x6f\x01"):
		return "a Linux kernel (arm zImage)"
	case at(0, "MZ"):
		return "an EFI program (a unified kernel image must be rebuilt, not patched)"
	case at(0, "\x27\x05\x19\x56"):
		return "a U-Boot image (take the header off first, with dumpimage)"
	case at(0, "\xd0\x0d\xfe\xed"):
		return "a device tree or U-Boot FIT image"
	case at(0, "ANDROID!"):
		return "an Android boot image"
	case at(0, "070707"):
		return "a cpio archive in the old ASCII format (odc), which the kernel does not read"
	case at(0, "\xc7\x71"), at(0, "\x71\xc7"):
		return "a binary cpio archive, which the kernel does not read"
	case at(0, "hsqs"):
		return "a squashfs image"
	case at(0, "!<arch>\n"):
		return "a .deb or ar archive"
	case at(257, "ustar"):
		return "a tar archive"
	case at(0, "QFI\xfb"), at(510, "\x55\xaa"):
		return "a disk image"
	case at(0x438, "\x53\xef"):
		return "an ext2, ext3 or ext4 file system"
	case beginsAsText(b):
		return "a text file"
	}
	return ""
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
	case bytes.HasPrefix(b, []byte("\x89LZO")):
		return "lzo, which no Debian kernel's initramfs uses"
	case len(b) > 3 && b[0]&0xf0 == 0x50 && string(b[1:4]) == "\x2a\x4d\x18":
		return "a skippable zstd frame, which the kernel does not read"
	}
	return fmt.Sprintf("neither cpio nor a compression that the kernel reads (% x)", b[:min(len(b), 6)])
}
