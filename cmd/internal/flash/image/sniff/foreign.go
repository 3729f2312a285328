package sniff

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

// How to make a disk image of another program's.
const (
	howToConvert = ": qemu-img convert -O raw makes a disk image of it"
	howToUnpack  = ": unpack it"
)

// foreignFormats is what is no disk image though it may hold one, by the bytes that it begins with.
var foreignFormats = []struct {
	magic  string
	offset int
	what   string
}{
	// Disks of virtual machines.
	{"QFI\xfb\x00\x00\x00\x01", 0, "a qcow image" + howToConvert},
	{"QFI\xfb", 0, "a qcow2 image" + howToConvert},
	{"QED\x00", 0, "a QED image" + howToConvert},
	{"KDMV", 0, "a VMDK image" + howToConvert},
	{"COWD", 0, "a VMDK image of ESX" + howToConvert},
	{"# Disk DescriptorFile", 0, "a VMDK's description, without the disk that it describes" + howToConvert},
	{"conectix", 0, "a VHD image" + howToConvert},
	{"vhdxfile", 0, "a VHDX image" + howToConvert},
	{"\x7f\x10\xda\xbe", 64, "a VDI image" + howToConvert},
	{"<<< ", 0, "a VDI image" + howToConvert},
	{"WithoutFreeSpace", 0, "a Parallels image" + howToConvert},
	{"WithouFreSpacExt", 0, "a Parallels image" + howToConvert},
	{"Bochs Virtual HD Image", 0, "a Bochs image" + howToConvert},
	{"$SDI0001", 0, "a SDI image"},
	{"encrcdsa", 0, "an encrypted DMG image" + howToConvert},
	{"sprs", 0, "a sparse image of macOS" + howToConvert},
	{"shdw", 0, "an ASIF image of macOS" + howToConvert},
	// Images that other tools write to disks, or that hold part of one.
	{"\x3a\xff\x26\xed", 0, "an Android sparse image: simg2img makes a disk image of it"},
	{"ANDROID!", 0, "an Android boot image"},
	{"VNDRBOOT", 0, "an Android vendor boot image"},
	{"CrAU", 0, "an Android update"},
	{"AVB0", 0, "an Android verified boot image"},
	{"MSWIM\x00\x00\x00", 0, "a WIM image of Windows"},
	{"WLPWM\x00\x00\x00", 0, "a WIM image of Windows"},
	{"UF2\n\x57\x51\x5d\x9e", 0, "a UF2 file for a microcontroller"},
	{"UBI#", 0, "a UBI image, for flash memory without a controller"},
	{"\x31\x18\x10\x06", 0, "a UBIFS image, for flash memory without a controller"},
	{"\x85\x19\x01\x20", 0, "a JFFS2 image, for flash memory without a controller"},
	{"\x85\x19\x02\xe0", 0, "a JFFS2 image, for flash memory without a controller"},
	{"\x85\x19\x03\x20", 0, "a JFFS2 image, for flash memory without a controller"},
	{"HDR0", 0, "a TRX firmware image"},
	{"\xd0\x0d\xfe\xed", 0, "a device tree, or a FIT image with a kernel"},
	{"\x27\x05\x19\x56", 0, "a U-Boot image (uImage)"},
	{"partclone-image", 0, "a partclone image: partclone.restore writes it"},
	{"PartImage-VoLuMe", 0, "a partimage image"},
	{"FsArCh_", 0, "an FSArchiver archive"},
	{"\xfe\xef\x01", 0, "a Ghost image"},
	{"EVF\x09\x0d\x0a\xff\x00", 0, "an EWF image (EnCase)"},
	{"AFF10\r\n", 0, "an AFF image"},
	{"#!/bin/sh\n#V2.0 Format\n", 0, "a cloop image"},
	{"\x96\x82\x45\x61\x30\x36\x8b\x4f", 0, "a casync index"},
	// Kernels, programs.
	{"\x7fELF", 0, "an ELF program, a kernel perhaps"},
	{"HdrS", 514, "a Linux kernel"},
	{"ARM\x64", 56, "a Linux kernel"},
	{"RISCV\x00\x00\x00", 48, "a Linux kernel"},
	{"RSC\x05", 56, "a Linux kernel"},
	{"\x18\x28\x6f\x01", 36, "a Linux kernel (zImage)"},
	{"\xcf\xfa\xed\xfe", 0, "a program of macOS"},
	{"\xce\xfa\xed\xfe", 0, "a program of macOS"},
	{"\xca\xfe\xba\xbe", 0, "a program of macOS, or Java's"},
	{"\x00asm", 0, "a WebAssembly program"},
	// Archives, packages, and what is compressed in ways that are not decoded.
	{"\x02\x21\x4c\x18", 0, "lz4's legacy format: lz4 -d unpacks it"},
	{"\x5d\x00\x00", 0, "an lzma file: xz -d unpacks it"},
	{"LZIP", 0, "an lzip file: lzip -d unpacks it"},
	{"\x89LZO\x00\r\n\x1a\n", 0, "an lzop file: lzop -d unpacks it"},
	{"\x1f\x9d", 0, "a file of compress(1): gzip -d unpacks it"},
	{"\x1f\xa0", 0, "a file of compress(1): gzip -d unpacks it"},
	{"\x1f\x1e", 0, "a file of pack(1): gzip -d unpacks it"},
	{"7z\xbc\xaf\x27\x1c", 0, "a 7-Zip archive" + howToUnpack},
	{"PK\x03\x04", 0, "a zip archive" + howToUnpack},
	{"PK\x05\x06", 0, "an empty zip archive"},
	{"PK\x07\x08", 0, "a zip archive" + howToUnpack},
	{"Rar!\x1a\x07", 0, "a RAR archive" + howToUnpack},
	{"MSCF\x00\x00\x00\x00", 0, "a cabinet archive" + howToUnpack},
	{"xar!", 0, "a xar archive" + howToUnpack},
	{"ustar", 257, "a tar archive" + howToUnpack},
	{"!<arch>\ndebian-binary", 0, "a Debian package"},
	{"!<arch>\n", 0, "an ar archive, a Debian package perhaps"},
	{"!<thin>\n", 0, "an ar archive"},
	{"\xed\xab\xee\xdb", 0, "an RPM package"},
	{"07070", 0, "a cpio archive, an initramfs perhaps"},
	{"\xc7\x71", 0, "a cpio archive, an initramfs perhaps"},
	{"\x71\xc7", 0, "a cpio archive, an initramfs perhaps"},
	{"ArC\x01", 0, "an archive of FreeArc"},
	{"BORG_SEG", 0, "a segment of a Borg repository"},
	// Encrypted and signed.
	{"Salted__", 0, "a file that openssl encrypted"},
	{"age-encryption.org/", 0, "a file that age encrypted"},
	// Other things that lie about.
	{"HTTP/1.", 0, "an answer of a web server, with its headers"},
	{"HTTP/2 ", 0, "an answer of a web server, with its headers"},
	{"zsync: ", 0, "a .zsync file, without what it describes"},
	{"JigsawDownload template ", 0, "a jigdo template: jigdo-lite makes an image of it"},
	{"\x00ZCK1", 0, "a zchunk file: unzck unpacks it"},
	{"%PDF-", 0, "a PDF document"},
	{"%!PS", 0, "a PostScript document"},
	{"\x89PNG\r\n\x1a\n", 0, "a picture"},
	{"\xff\xd8\xff", 0, "a picture"},
	{"GIF8", 0, "a picture"},
	{"RIFF", 0, "a picture, a sound or a film"},
	{"ftyp", 4, "a film"},
	{"\x1aE\xdf\xa3", 0, "a film"},
	{"OggS", 0, "a sound or a film"},
	{"ID3", 0, "a sound"},
	{"fLaC", 0, "a sound"},
	{"SQLite format 3\x00", 0, "an SQLite database"},
	{"PACK\x00\x00\x00", 0, "a pack of git's"},
	{"\xd4\xc3\xb2\xa1", 0, "a packet capture"},
	{"\x0a\x0d\x0d\x0a", 0, "a packet capture"},
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0, "a document of Microsoft Office"},
}

// foreignFile is the kind of file that begins with b; "" where it may be a disk image.
func foreignFile(b []byte) string {
	for _, f := range foreignFormats {
		if len(b) > f.offset && bytes.HasPrefix(b[f.offset:], []byte(f.magic)) {
			return f.what
		}
	}
	if name := Compression(b); name != "" { // what a decoder has left packed once more
		return "compressed twice, with " + name + " inside"
	}
	switch {
	case isPE(b):
		return "a PE program: a kernel, a UKI or a boot loader"
	case formData.Match(b[:min(len(b), 1024)]):
		return "a form as a browser sends it, with a file in it perhaps"
	case oldTar(b):
		return "a tar archive" + howToUnpack
	}
	return textFile(b)
}

// formData begins what a browser sends of a form with files (RFC 7578); who stores it as it comes has its head before the file.
var formData = regexp.MustCompile(`^--[^\r\n]{1,70}\r\nContent-Disposition: `)

// isPE reports whether b is the beginning of a program for EFI or Windows (PE format, 2.1 and 2.2).
func isPE(b []byte) bool {
	if len(b) < 64 || string(b[:2]) != "MZ" {
		return false
	}
	at := int64(le.Uint32(b[60:]))
	return at+4 > int64(len(b)) || string(b[at:at+4]) == "PE\x00\x00"
}

// oldTar reports whether the first block is a tar's header from before ustar: its checksum says so (tar(5)).
func oldTar(b []byte) bool {
	if len(b) < 512 || b[0] == 0 {
		return false
	}
	said, err := strconv.ParseInt(strings.Trim(string(b[148:156]), " \x00"), 8, 32)
	if err != nil {
		return false
	}
	sum := int64(8 * ' ')
	for n, c := range b[:512] {
		if n < 148 || n >= 156 {
			sum += int64(c)
		}
	}
	return said == sum
}
