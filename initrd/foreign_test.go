package initrd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// at is n zeros with magic at off.
func at(n, off int, magic string) []byte {
	b := make([]byte, n)
	copy(b[off:], magic)
	return b
}

// What people mistake for an initramfs is named.
func TestForeign(t *testing.T) {
	bz := at(4096, 0x202, "HdrS")
	copy(bz, "MZ\xea\x07")
	binary.LittleEndian.PutUint16(bz[510:], 0xaa55)
	arm := at(4096, 0x24, "\x18\x28\x6f\x01")
	copy(arm, "\x00\x00\xa0\xe1")
	small := run(file("f", ""))
	var b bytes.Buffer // an lz4 frame proper, which the kernel does not read
	b.WriteString("\x04\x22\x4d\x18\x64\x40\xa7")
	for want, b := range map[string][]byte{
		"empty":                   {},
		"nothing but zeros":       make([]byte, 1<<16),
		"begins with zeros":       append(make([]byte, 512), small...),
		"ELF":                     at(4096, 0, "\x7fELF\x02\x01\x01"),
		"x86 bzImage":             bz,
		"arm64 Image":             at(4096, 0x38, "ARM\x64"),
		"arm zImage":              arm,
		"EFI program":             at(4096, 0, "MZ"),
		"text file":               []byte("#!/bin/sh\n# größe\nexec true\n"),
		"tar archive":             append([]byte("etc/"), at(1024, 253, "ustar")...),
		"U-Boot image":            at(128, 0, "\x27\x05\x19\x56"),
		"FIT":                     at(128, 0, "\xd0\x0d\xfe\xed"),
		"lz4 -l":                  b.Bytes(),
		"old ASCII":               []byte("070707" + strings.Repeat("0", 120)),
		"binary cpio":             at(128, 0, "\xc7\x71\x01"),
		"squashfs":                at(128, 0, "hsqs"),
		"ar archive":              []byte("!<arch>\ndebian-binary   "),
		"disk image":              at(4096, 510, "\x55\xaa"),
		"ext4":                    at(4096, 0x438, "\x53\xef"),
		"flags 0x303 in lzop's":   []byte(lzoMagic + "\x10\x30\x20\xa0\x09\x40\x01\x05\x00\x00\x03\x03" + strings.Repeat("\x00", 17)),
		"skippable zstd frame":    at(64, 0, "\x50\x2a\x4d\x18"),
		"(de ad be ef 01 02)":     []byte("\xde\xad\xbe\xef\x01\x02\x03"),
		"integrity check 4":       pipe(t, "", small, "xz", "-c"),
		"header flags 0x10":       append([]byte("\x1f\x8b\x08\x10\x00\x00\x00\x00\x00\x03comment\x00"), 0x03, 0x00),
		"no cpio header":          pack(t, Gzip, []byte(strings.Repeat("\x03\x01", 100))),
		"off a 4-byte boundary":   join(pack(t, Gzip, small), make([]byte, (4-len(pack(t, Gzip, small))%4)%4+1), small),
		"boundary at 0x201 of":    pack(t, Zstd, join(small, []byte{0}, small)),
		"four zeros between lz4":  join(pack(t, Lz4, small), pack(t, Zstd, small)),
		"segment 1 at offset":     join(small, []byte("junk")),
		"an lzma dictionary of 4": []byte("\x5d\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00"),
		"gzip: damaged: ":         append(pack(t, Gzip, small)[:len(pack(t, Gzip, small))-8], "wrong CRC"[:8]...),
		"a zip archive":           []byte("PK\x03\x04\x0a\x00"),

		"what is compressed is a text file":         pack(t, Gzip, []byte("text\n")),
		"what is compressed is a tar archive":       pack(t, Xz, append([]byte("etc/"), at(1024, 253, "ustar")...)),
		"what is compressed is a binary cpio":       pack(t, Zstd, at(128, 0, "\xc7\x71\x01")),
		"what is compressed is an ext2":             pack(t, Zstd, at(4096, 0x438, "\x53\xef")),
		"which the kernel does not read (cpio -o -": pack(t, Gzip, []byte("070707"+strings.Repeat("0", 120))),
		"twice: what is in it is zstd again":        pack(t, Gzip, pack(t, Zstd, small)),
	} {
		_, err := Read(bytes.NewReader(b), Limits{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", want, err)
		} else if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v wraps neither", want, err)
		}
	}
}

// Where a compressed segment is whole, and a byte in it another, it does not end too early, whatever the decoder misses.
func TestDamaged(t *testing.T) {
	var entries []Entry
	for i := range 200 {
		entries = append(entries, file(fmt.Sprintf("f%d", i), strings.Repeat(fmt.Sprint(i*i*i), 40)))
	}
	plain := run(entries...)
	for _, c := range []Compression{Zstd, Xz} {
		packed := pack(t, c, plain)
		for at := len(packed) / 8; at < len(packed)-len(packed)/8; at += len(packed)/97 + 1 {
			b := bytes.Clone(packed)
			b[at] ^= 0x55
			if _, err := Read(bytes.NewReader(b), Limits{}); err != nil && errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, byte %d of %d: %v", c, at, len(b), err)
			}
		}
		if _, err := Read(bytes.NewReader(packed[:len(packed)/2]), Limits{}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s, cut: %v", c, err)
		}
	}
}
