package sniff

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// begins is so many bytes that begin with s.
func begins(n int, s string) []byte { return append([]byte(s), make([]byte, n-len(s))...) }

// at is zeros with s at an offset.
func at(off int, s string) []byte {
	return begins(max(4096, off+len(s)), strings.Repeat("\x00", off)+s)
}

// pe is a program with its header behind a stub for DOS.
func pe() []byte {
	b := begins(4096, "MZ")
	le.PutUint32(b[60:], 128)
	copy(b[128:], "PE\x00\x00")
	b[510], b[511] = 0x55, 0xaa
	return b
}

func v7tar() []byte {
	b := begins(1024, "disk.img")
	copy(b[100:], "0000644\x000000000\x000000000\x0000000001000\x0014000000000\x00")
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// What people have in a disk image's place: each is refused by its name.
func TestForeign(t *testing.T) {
	sum := strings.Repeat("0123456789abcdef", 4)
	for what, c := range map[string]struct {
		b    []byte
		want string
	}{
		"a public key":            {[]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@here\n"), "public key"},
		"an ecdsa key":            {[]byte("ecdsa-sha2-nistp256 AAAAE2VjZHNh me@here\n"), "public key"},
		"a security key":          {[]byte("sk-ssh-ed25519@openssh.com AAAAGnNr me\n"), "public key"},
		"known_hosts":             {[]byte("bench-1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5\n"), "public key"},
		"a private key":           {[]byte("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n"), "private key"},
		"a certificate":           {[]byte("-----BEGIN CERTIFICATE-----\nMIIB\n"), "PEM"},
		"a signature":             {[]byte("-----BEGIN PGP SIGNATURE-----\n\niQ\n"), "PGP"},
		"signify":                 {[]byte("untrusted comment: signature\nRW\n"), "signify"},
		"hello":                   {[]byte("hello\n"), "a text"},
		"Latin-1":                 {[]byte("gr\xfc\xdfe aus k\xf6ln, dem schönen Ort am Rhein, wo niemand Bilder von Platten hat"), "a text"},
		"UTF-16":                  {[]byte("\xff\xfeh\x00e\x00l\x00l\x00o\x00\n\x00"), "UTF-16"},
		"a BOM":                   {[]byte("\ufeff{}"), "JSON"},
		"a web page":              {[]byte("<!doctype html>\n<html lang=en><title>Login</title>" + strings.Repeat(" ", 9000)), "web page"},
		"a web page of Latin-1":   {[]byte("<html>" + strings.Repeat("\xe9t\xe9 ", 900)), "web page"},
		"a web page of Shift JIS": {[]byte("<!DOCTYPE html>" + strings.Repeat("\x93\xfa\x96{\x8c\xea", 900)), "web page"},
		"curl -i":                 {append([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n"), make([]byte, 4096)...), "web server"},
		"curl -i, HTTP/2":         {append([]byte("HTTP/2 200 \r\ncontent-length: 9\r\n\r\n"), make([]byte, 4096)...), "web server"},
		"an upload, not unpacked": {append([]byte("--x1\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n"), make([]byte, 4096)...), "a form"},
		"zsync":                   {append([]byte("zsync: 0.6.2\nFilename: x.img\n\n"), make([]byte, 4096)...), "zsync"},
		"a jigdo template":        {append([]byte("JigsawDownload template 1.0 \r\n"), make([]byte, 4096)...), "jigdo"},
		"a web page, plain":       {[]byte("\n\n  <HTML><BODY>"), "web page"},
		"XHTML":                   {[]byte("<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC>"), "web page"},
		"an error of S3":          {[]byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code></Error>"), "XML"},
		"a bmap":                  {[]byte("<?xml version=\"1.0\" ?>\n<!-- This file contains the block map -->\n<bmap version=\"2.0\"></bmap>\n"), "bmap"},
		"JSON":                    {[]byte(`{"message":"404 Not found"}`), "JSON"},
		"an LFS pointer":          {[]byte("version https://git-lfs.github.com/spec/v1\noid sha256:" + sum + "\nsize 3145728\n"), "git-LFS"},
		"SHA256SUMS":              {[]byte(sum + "  disk.img\n"), "checksums"},
		"BSD's sums":              {[]byte("SHA256 (disk.img) = " + sum + "\n"), "checksums"},
		"a bare sum":              {[]byte(sum + "\n"), "checksums"},
		"a script":                {[]byte("#!/bin/sh\nexit 1\n"), "script"},
		"cloud-init":              {[]byte("#cloud-config\nusers: []\n"), "cloud-init"},
		"a VMDK's description":    {[]byte("# Disk DescriptorFile\nversion=1\n"), "VMDK"},
		"a torrent":               {[]byte("d8:announce35:udp://tracker.example:6969/announce4:infod6:lengthi9e6:pieces20:\x00\x01\xff"), "torrent"},
		"a torrent without one":   {[]byte("d4:infod6:lengthi9e4:name1:x12:piece lengthi9e6:pieces20:\x00\x01\xffee"), "torrent"},
		"a link":                  {[]byte("https://example.org/disk.img.xz\n"), "a link"},
		"an answer with a header": {[]byte("HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n"), "web server"},
		"Intel HEX":               {[]byte(":10010000214601360121470136007EFE09D2190140\n"), "Intel HEX"},
		"a tar":                   {at(257, "ustar\x0000"), "tar"},
		"an old tar":              {v7tar(), "tar"},
		"zip":                     {begins(4096, "PK\x03\x04"), "zip"},
		"7z":                      {begins(4096, "7z\xbc\xaf\x27\x1c"), "7-Zip"},
		"rar":                     {begins(4096, "Rar!\x1a\x07\x01"), "RAR"},
		"a .deb":                  {begins(4096, "!<arch>\ndebian-binary   "), "Debian package"},
		"a library":               {begins(4096, "!<arch>\n/        "), "ar archive"},
		"an RPM":                  {begins(4096, "\xed\xab\xee\xdb\x03"), "RPM"},
		"cpio newc":               {begins(4096, "070701"), "cpio"},
		"cpio, binary":            {begins(4096, "\xc7\x71"), "cpio"},
		"lzma":                    {begins(4096, "\x5d\x00\x00\x80\x00"), "lzma"},
		"xz in something":         {begins(4096, "\xfd7zXZ\x00\x00"), "compressed twice"},
		"gzip in something":       {begins(4096, "\x1f\x8b\x08"), "compressed twice"},
		"zstd, skippable":         {begins(4096, "\x5a\x2a\x4d\x18"), "compressed twice"},
		"ELF":                     {begins(4096, "\x7fELF\x02\x01\x01"), "ELF"},
		"a UKI":                   {pe(), "PE program"},
		"bzImage":                 {at(514, "HdrS"), "kernel"},
		"an arm64 Image":          {at(56, "ARM\x64"), "kernel"},
		"a zImage":                {at(36, "\x18\x28\x6f\x01"), "kernel"},
		"a uImage":                {begins(4096, "\x27\x05\x19\x56"), "uImage"},
		"a device tree":           {begins(4096, "\xd0\x0d\xfe\xed"), "device tree"},
		"an Android sparse image": {begins(4096, "\x3a\xff\x26\xed"), "Android sparse"},
		"an Android boot image":   {begins(4096, "ANDROID!"), "Android boot"},
		"WIM":                     {begins(4096, "MSWIM\x00\x00\x00"), "WIM"},
		"UF2":                     {begins(4096, "UF2\n\x57\x51\x5d\x9e"), "UF2"},
		"UBI":                     {begins(4096, "UBI#\x01"), "UBI"},
		"JFFS2":                   {begins(4096, "\x85\x19\x03\x20"), "JFFS2"},
		"a DMG, encrypted":        {begins(4096, "encrcdsa"), "DMG"},
		"a PDF":                   {begins(4096, "%PDF-1.7\n%\xe2\xe3"), "PDF"},
		"a picture":               {begins(4096, "\x89PNG\r\n\x1a\n"), "picture"},
		"a database":              {begins(4096, "SQLite format 3\x00"), "SQLite"},
		"a partclone image":       {begins(4096, "partclone-image0002"), "partclone"},
		"encrypted":               {begins(4096, "Salted__12345678"), "encrypted"},
		"old COW":                 {begins(4096, "COWD"), "VMDK"},
		"macOS' program":          {begins(4096, "\xcf\xfa\xed\xfe"), "macOS"},
		"a git bundle":            {[]byte("# v2 git bundle\n"), "git"},
		"nothing":                 {nil, "empty"},
	} {
		_, err := Look(c.b)
		if !errors.Is(err, ErrNoImage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

// What nobody knows is not refused by a name, and not taken for an image either.
func TestUnknown(t *testing.T) {
	protective := make([]byte, 1<<20)
	protective[510], protective[511], protective[450], protective[454] = 0x55, 0xaa, 0xee, 1
	damaged := bytes.Clone(gptImage(512, 8<<20, [2]int64{2048, 4095})[:1<<20])
	damaged[512+40] ^= 1
	bare := bytes.Clone(gptImage(512, 8<<20, [2]int64{2048, 4095})[:1<<20])
	clear(bare[:512])
	entries := bytes.Clone(gptImage(512, 8<<20, [2]int64{2048, 4095})[:1<<20])
	entries[1024+33] ^= 1
	for what, b := range map[string][]byte{"noise": judge.Noise(5, 1<<20), "little noise": judge.Noise(5, 100), "zeros": make([]byte, 1<<20), "one byte": {0},
		"a protective MBR alone": protective, "a damaged GPT": damaged, "a GPT without an MBR": bare, "damaged entries": entries} {
		if i, err := Look(b); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %+v, %v", what, i, err)
		}
	}
}

// gptImage is an image with a GPT for such sectors, and partitions from and to them, both inclusive.
func gptImage(sector, size int64, parts ...[2]int64) []byte {
	b := make([]byte, size)
	b[510], b[511], b[450] = 0x55, 0xaa, 0xee
	le.PutUint32(b[454:], 1)
	le.PutUint32(b[458:], uint32(size/sector-1))
	for n, p := range parts {
		e := b[2*sector+int64(n)*128:]
		copy(e, "\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4unique GUID here")
		le.PutUint64(e[32:], uint64(p[0]))
		le.PutUint64(e[40:], uint64(p[1]))
	}
	h := b[sector:]
	copy(h, "EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")
	array := 128 * 128 / sector
	for off, v := range map[int]int64{24: 1, 32: size/sector - 1, 40: 2 + array, 48: size/sector - array - 2, 72: 2} {
		le.PutUint64(h[off:], uint64(v))
	}
	le.PutUint32(h[80:], 128)
	le.PutUint32(h[84:], 128)
	le.PutUint32(h[88:], crc32.ChecksumIEEE(b[2*sector:][:128*128]))
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
	return b
}

// mbrImage has partitions from a sector on, and so long.
func mbrImage(parts ...[2]uint32) []byte {
	b := make([]byte, 4<<20)
	b[510], b[511] = 0x55, 0xaa
	for n, p := range parts {
		e := b[446+16*n:]
		e[4] = 0x83
		le.PutUint32(e[8:], p[0])
		le.PutUint32(e[12:], p[1])
	}
	return b
}

func fat() []byte {
	b := begins(1<<20, "\xeb\x3c\x90mkfs.fat")
	copy(b[11:], "\x00\x02\x04\x01\x00\x02\x00\x02\x00\x08\xf8")
	b[510], b[511] = 0x55, 0xaa
	return b
}

// superblock is a filesystem's, with numbers of so many bytes, little-endian where they are positive.
func superblock(off int, magic string, numbers ...[3]int64) []byte {
	b := make([]byte, 256<<10)
	copy(b[off:], magic)
	for _, n := range numbers { // offset, bytes, value
		for i := range n[1] {
			b[n[0]+i] = byte(n[2] >> (8 * i))
		}
	}
	return b
}

// A GPT that ends in its own list of partitions was cut.
func TestCutInGPT(t *testing.T) {
	whole := gptImage(512, 8<<20, [2]int64{2048, 4095})
	for _, n := range []int64{1024, 1025, 1536, 4096, 34*512 - 1} {
		i := judge.Value(Look(whole[:n]))(t)
		if err := i.Whole(n, nil); !errors.Is(err, ErrFit) || !strings.Contains(err.Error(), "it was cut") {
			t.Errorf("%d bytes: %+v, %v", n, i, err)
		}
	}
	if _, err := Look(append([]byte("\x8c\x0d\x04\x09\x03\x02"), judge.Noise(7, 4096)...)); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "PGP") {
		t.Error(err)
	}
}

// An image that is whole goes onto a disk that is large enough and has its sectors, and onto no other; one that was cut goes
// nowhere.
func TestFits(t *testing.T) {
	const mib = 1 << 20
	gpt512, gpt4096 := gptImage(512, 8*mib, [2]int64{2048, 4095}, [2]int64{4096, 12287}), gptImage(4096, 8*mib, [2]int64{256, 1535})
	hybrid := bytes.Clone(gpt512)
	copy(hybrid[446+16:], hybrid[446:462])
	hybrid[446+16+4] = 0x83
	le.PutUint32(hybrid[446+16+8:], 2048)
	le.PutUint32(hybrid[446+16+12:], 2048)
	for what, c := range map[string]struct {
		b                 []byte
		name              string
		size, disk, block int64
		fits              bool
	}{
		"GPT":                             {gpt512, "a GPT", 8 * mib, 8 * mib, 512, true},
		"GPT, larger disk":                {gpt512, "a GPT", 8 * mib, 800 * mib, 512, true},
		"GPT, size not known":             {gpt512, "a GPT", 0, 8 * mib, 512, true},
		"GPT, a file for a disk":          {gpt512, "a GPT", 8 * mib, 8 * mib, 1, true},
		"GPT, its backup is cut":          {gpt512, "a GPT", 7 * mib, 8 * mib, 512, true},
		"GPT, cut":                        {gpt512, "a GPT", 6*mib - 512, 8 * mib, 512, false},
		"GPT, cut, nothing of a disk":     {gpt512, "a GPT", 6*mib - 1, 0, 0, false},
		"GPT of a larger card":            {gpt512, "a GPT", 7 * mib, 7 * mib, 512, false},
		"GPT, partitions larger":          {gpt512, "a GPT", 0, 5 * mib, 512, false},
		"GPT for 512 on 4096":             {gpt512, "a GPT", 8 * mib, 8 * mib, 4096, false},
		"GPT for 4096":                    {gpt4096, "a GPT", 8 * mib, 8 * mib, 4096, true},
		"GPT for 4096 on 512":             {gpt4096, "a GPT", 8 * mib, 8 * mib, 512, false},
		"GPT for 4096, cut":               {gpt4096, "a GPT", 5 * mib, 8 * mib, 4096, false},
		"GPT for 4096, a larger card's":   {gpt4096, "a GPT", 6 * mib, 7 * mib, 4096, false},
		"hybrid":                          {hybrid, "a GPT and a hybrid MBR", 8 * mib, 8 * mib, 512, true},
		"hybrid on 4096":                  {hybrid, "a GPT and a hybrid MBR", 8 * mib, 8 * mib, 4096, false},
		"MBR":                             {mbrImage([2]uint32{2048, 2048}, [2]uint32{4096, 2048}), "an MBR", 3 * mib, 4 * mib, 512, true},
		"MBR, cut":                        {mbrImage([2]uint32{2048, 2048}, [2]uint32{4096, 2048}), "an MBR", 3*mib - 1, 4 * mib, 512, false},
		"MBR, cut, nothing of a disk":     {mbrImage([2]uint32{2048, 6144}), "an MBR", 3 * mib, 0, 0, false},
		"MBR of a larger card":            {mbrImage([2]uint32{2048, 65536}), "an MBR", 0, 4 * mib, 512, false},
		"MBR with 2 TiB":                  {mbrImage([2]uint32{1 << 31, 1<<32 - 1}), "an MBR", 4 * mib, 4 * mib, 512, false},
		"MBR on 4096":                     {mbrImage([2]uint32{2048, 2048}), "an MBR", 4 * mib, 400 * mib, 4096, false},
		"MBR for 4096":                    {mbrImage([2]uint32{256, 512}), "an MBR", 4 * mib, 400 * mib, 4096, true},
		"MBR for 4096 on 512":             {mbrImage([2]uint32{256, 512}), "an MBR", 4 * mib, 400 * mib, 512, false},
		"MBR, the whole of an ISO":        {mbrImage([2]uint32{0, 4096}), "an MBR", 2 * mib, 4 * mib, 512, true},
		"MBR, empty":                      {mbrImage(), "an MBR without partitions", 2 * mib, 4 * mib, 512, true},
		"FAT":                             {fat(), "a FAT filesystem", mib, mib, 512, true},
		"FAT, cut":                        {fat(), "a FAT filesystem", mib - 512, mib, 512, false},
		"FAT on 4096":                     {fat(), "a FAT filesystem", mib, mib, 4096, false},
		"ext":                             {superblock(1080, "\x53\xef", [3]int64{1028, 4, 4096}), "an ext filesystem", 4 * mib, 4 * mib, 512, true},
		"ext, cut":                        {superblock(1080, "\x53\xef", [3]int64{1028, 4, 4096}), "an ext filesystem", 3 * mib, 4 * mib, 512, false},
		"ext, 64 bits":                    {superblock(1080, "\x53\xef", [3]int64{1028, 4, 4096}, [3]int64{1024 + 96, 1, 0x80}, [3]int64{1024 + 0x150, 1, 1}), "an ext filesystem", 4 * mib, 4 * mib, 512, false},
		"ext with blocks of 1 KiB, 4096":  {superblock(1080, "\x53\xef", [3]int64{1028, 4, 4096}), "an ext filesystem", 4 * mib, 4 * mib, 4096, false},
		"squashfs":                        {superblock(0, "hsqs", [3]int64{40, 8, mib}), "a squashfs", mib, mib, 512, true},
		"squashfs, cut":                   {superblock(0, "hsqs", [3]int64{40, 8, mib}), "a squashfs", mib - 1, mib, 512, false},
		"erofs":                           {superblock(1024, "\xe2\xe1\xf5\xe0", [3]int64{1036, 1, 12}, [3]int64{1060, 4, 256}), "an erofs", mib, mib, 512, true},
		"erofs, cut":                      {superblock(1024, "\xe2\xe1\xf5\xe0", [3]int64{1036, 1, 12}, [3]int64{1060, 4, 257}), "an erofs", mib, mib, 512, false},
		"ISO 9660":                        {superblock(32769, "CD001", [3]int64{32768 + 80, 4, 512}, [3]int64{32768 + 128, 2, 2048}), iso, mib, mib, 512, true},
		"ISO 9660, cut":                   {superblock(32769, "CD001", [3]int64{32768 + 80, 4, 513}, [3]int64{32768 + 128, 2, 2048}), iso, mib, mib, 512, false},
		"NTFS":                            {superblock(3, "NTFS    ", [3]int64{11, 2, 512}, [3]int64{40, 8, 2047}), "an NTFS", mib, mib, 512, true},
		"NTFS, cut":                       {superblock(3, "NTFS    ", [3]int64{11, 2, 512}, [3]int64{40, 8, 2049}), "an NTFS", mib, mib, 512, false},
		"exFAT, a disk too small":         {superblock(3, "EXFAT   ", [3]int64{108, 1, 9}, [3]int64{72, 8, 2048}), "an exFAT", 0, mib - 512, 512, false},
		"LVM":                             {superblock(512, "LABELONE", [3]int64{512 + 20, 4, 32}, [3]int64{544 + 32, 8, mib}, [3]int64{512 + 24, 8, 0x31303020324d564c}), "an LVM physical volume", mib, mib, 512, true},
		"LVM, cut":                        {superblock(512, "LABELONE", [3]int64{512 + 20, 4, 32}, [3]int64{544 + 32, 8, mib + 1}, [3]int64{512 + 24, 8, 0x31303020324d564c}), "an LVM physical volume", mib, mib, 512, false},
		"md":                              {superblock(4096, "\xfc\x4e\x2b\xa9\x01", [3]int64{4096 + 128, 8, 100}, [3]int64{4096 + 136, 8, 1948}), "a member of a RAID", mib, mib, 512, true},
		"md, cut":                         {superblock(4096, "\xfc\x4e\x2b\xa9\x01", [3]int64{4096 + 128, 8, 100}, [3]int64{4096 + 136, 8, 1949}), "a member of a RAID", mib, mib, 512, false},
		"ZFS":                             {superblock(128<<10, "\x0c\xb1\xba\x00\x00\x00\x00\x00"), "a member of a ZFS pool", mib, mib, 512, true},
		"a boot sector":                   {append(begins(510, "\xeb\xfe\xfa"), 0x55, 0xaa), "an MBR without partitions", 512, mib, 512, true},
		"a boot sector with code at 446":  {append(begins(510, "\xeb\xfe"+strings.Repeat("\x90", 500)), 0x55, 0xaa), "a boot sector", 512, mib, 512, true},
		"larger than numbers go":          {superblock(0, "hsqs", [3]int64{40, 8, -1}), "a squashfs", mib, mib, 512, true},
		"a boot loader of a board's":      {at(8196, "eGON.BT0"+strings.Repeat("x", 20)), "an Allwinner boot loader", mib, mib, 512, true},
		"what was there before the table": {append(mbrImage([2]uint32{2048, 2048})[:1080], append([]byte("\x53\xef"), make([]byte, mib)...)...), "an MBR", 2 * mib, 2 * mib, 512, true},
	} {
		i, err := Look(c.b)
		if err != nil || i.What != c.name {
			t.Errorf("%s: %+v, %v", what, i, err)
			continue
		}
		if err := i.Fits(c.size, c.disk, c.block, nil); (err == nil) != c.fits || err != nil && !errors.Is(err, ErrFit) {
			t.Errorf("%s: %v, want it to fit: %v", what, err, c.fits)
		}
	}
}

// An image that ends inside its last partition is whole where all of that is a filesystem which nobody writes to.
func TestReadOnly(t *testing.T) {
	const mib = 1 << 20
	for name, b := range map[string][]byte{"MBR": mbrImage([2]uint32{2048, 1 << 17}), "GPT": gptImage(512, 64*mib, [2]int64{2048, 1<<17 - 40})} {
		for what, c := range map[string]struct {
			content []byte
			size    int64
			whole   bool
		}{
			"squashfs":        {superblock(0, "hsqs", [3]int64{40, 8, mib}), 2 * mib, true},
			"squashfs, cut":   {superblock(0, "hsqs", [3]int64{40, 8, mib}), 2*mib - 1, false},
			"erofs":           {superblock(1024, "\xe2\xe1\xf5\xe0", [3]int64{1036, 1, 12}, [3]int64{1060, 4, 256}), 2 * mib, true},
			"ext":             {superblock(1080, "\x53\xef", [3]int64{1028, 4, 1024}), 2 * mib, false},
			"nothing":         {nil, 2 * mib, false},
			"before it begin": {nil, mib, false},
		} {
			image := bytes.Clone(b[:2*mib])
			copy(image[mib:], c.content)
			i := judge.Value(Look(image))(t)
			if err := i.Whole(c.size, bytes.NewReader(image[:c.size])); (err == nil) != c.whole {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if err := i.Fits(c.size, 100*mib, 512, bytes.NewReader(image[:c.size])); (err == nil) != c.whole {
				t.Errorf("%s, %s, on a disk: %v", name, what, err)
			}
			if err := i.Fits(c.size, 3*mib, 512, bytes.NewReader(image[:c.size])); err == nil {
				t.Errorf("%s, %s: it is on a disk that its partition is not on", name, what)
			}
		}
	}
}

// run is what a tool makes in a directory.
func run(t *testing.T, dir, stdin string, command ...string) {
	t.Helper()
	cmd := exec.Command(judge.Tool(t, command[0]), command[1:]...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	judge.Run(t, cmd)
}

func sized(t *testing.T, dir string, mib int64) (name string) {
	t.Helper()
	name = filepath.Join(dir, "image")
	judge.WriteFile(t, name, "")
	judge.Must(t, os.Truncate(name, mib<<20))
	return name
}

func head(t *testing.T, name string) ([]byte, int64) {
	t.Helper()
	f := judge.Value(os.Open(name))(t)
	defer f.Close()
	info := judge.Value(f.Stat())(t)
	b := make([]byte, min(info.Size(), FirstLen))
	judge.Value(f.ReadAt(b, 0))(t)
	return b, info.Size()
}

// What the tools themselves make is known, is whole, and is noticed when it was cut.
func TestTools(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	for what, c := range map[string]struct {
		mib     int64
		want    string
		cut     bool // one byte less is noticed
		stdin   string
		command []string
	}{
		"sgdisk":      {8, "a GPT", false, "", []string{"sgdisk", "-n", "1:0:0", "image"}},
		"sfdisk, gpt": {8, "a GPT", false, "label: gpt\nsize=2MiB\nsize=3MiB\n", []string{"sfdisk", "-q", "image"}},
		"sfdisk, dos": {8, "an MBR", true, "label: dos\nsize=2MiB\ntype=5\nsize=2MiB\n", []string{"sfdisk", "-q", "image"}},
		"hybrid":      {8, "a GPT and a hybrid MBR", false, "", []string{"sgdisk", "-n", "1:0:+2M", "-h", "1", "image"}},
		"ext4":        {8, "an ext filesystem", true, "", []string{"mkfs.ext4", "-q", "-F", "image"}},
		"xfs":         {320, "an xfs filesystem", true, "", []string{"mkfs.xfs", "-q", "image"}},
		"btrfs":       {128, "a btrfs", true, "", []string{"mkfs.btrfs", "-q", "image"}},
		"f2fs":        {64, "an f2fs", true, "", []string{"mkfs.f2fs", "-q", "image"}},
		"minix":       {4, "a minix filesystem", false, "", []string{"mkfs.minix", "image"}},
		"swap":        {4, "swap", true, "", []string{"mkswap", "-q", "image"}},
		"luks2":       {20, "LUKS", false, "x", []string{"cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "image", "-"}},
		"luks1":       {20, "LUKS", false, "x", []string{"cryptsetup", "luksFormat", "-q", "--type", "luks1", "--pbkdf-force-iterations", "1000", "image", "-"}},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			name := sized(t, dir, c.mib)
			run(t, dir, c.stdin, c.command...)
			b, size := head(t, name)
			i, err := Look(b)
			if err != nil || i.What != c.want {
				t.Fatalf("%+v, %v, want %q", i, err, c.want)
			}
			if err := i.Fits(size, size, 512, nil); err != nil {
				t.Error(err)
			}
			if err := i.Whole(size/4, nil); err == nil && c.want != "LUKS" && c.want != "a minix filesystem" {
				t.Error("a quarter of it is whole")
			}
			if err := i.Whole(size-1, nil); c.cut && err == nil {
				t.Error("with a byte less it is whole")
			}
		})
	}
}

// createQEMU has qemu-img make a disk of 4 MiB. For LUKS it measures how long iterations take, gives up where a loaded machine gives it no CPU meanwhile, and may be asked again.
func createQEMU(t *testing.T, dir string, args ...string) {
	t.Helper()
	args = slices.Concat([]string{"create", "-q", "-f"}, args, []string{"image", "4M"})
	qemu := judge.Tool(t, "qemu-img")
	judge.Until(t, "qemu-img measures its CPU", func() bool {
		cmd := exec.Command(qemu, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil && strings.Contains(string(out), "Unable to get accurate CPU usage") {
			return false
		}
		if err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
		return true
	})
}

// Other programs' disks are known by their beginning, or their end.
func TestQEMU(t *testing.T) {
	for _, args := range [][]string{{"qcow"}, {"qcow2"}, {"qed"}, {"vmdk"}, {"vmdk", "-o", "subformat=monolithicFlat"}, {"vmdk", "-o", "subformat=twoGbMaxExtentSparse"},
		{"vmdk", "-o", "subformat=streamOptimized"}, {"vpc"}, {"vpc", "-o", "subformat=fixed"}, {"vhdx"}, {"vhdx", "-o", "subformat=fixed"}, {"vdi"}, {"parallels"}, {"luks", "--object", "secret,id=s,data=x", "-o", "key-secret=s,iter-time=10"}} {
		dir := t.TempDir()
		createQEMU(t, dir, args...)
		b, size := head(t, filepath.Join(dir, "image"))
		i, err := Look(b)
		if args[0] == "luks" {
			if err != nil || i.What != "LUKS" {
				t.Errorf("%q: %+v, %v", args, i, err)
			}
			continue
		}
		if errors.Is(err, ErrUnknown) {
			whole := judge.ReadFile(t, filepath.Join(dir, "image"))
			err = Last(whole[size-LastLen:])
		}
		if !errors.Is(err, ErrNoImage) || !strings.Contains(err.Error(), "qemu-img convert") {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := Last(begins(512, "koly\x00\x00\x00\x04")); !errors.Is(err, ErrNoImage) {
		t.Errorf("a DMG: %v", err)
	}
	if err := Last(make([]byte, 512)); err != nil {
		t.Error(err)
	}
}

// On a disk with sectors of 4096 bytes, sgdisk makes a GPT for those, and it fits no other.
func TestSgdisk4096(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	losetup := judge.Tool(t, "losetup")
	name := sized(t, t.TempDir(), 8)
	out, err := exec.Command(losetup, "--find", "--show", "--sector-size", "4096", name).CombinedOutput()
	if err != nil {
		judge.Missing(t, fmt.Sprintf("a loop device: %v: %s", err, out))
	}
	loop := strings.TrimSpace(string(out))
	defer exec.Command(losetup, "-d", loop).Run()
	run(t, "/", "", "sgdisk", "-n", "1:0:0", loop)
	b, size := head(t, name)
	i, err := Look(b)
	if err != nil || i.What != "a GPT" {
		t.Fatalf("%+v, %v", i, err)
	}
	if err := i.Fits(size, size, 4096, nil); err != nil {
		t.Error(err)
	}
	if err := i.Fits(size, size, 512, nil); !errors.Is(err, ErrFit) {
		t.Errorf("%v, want ErrFit", err)
	}
}

// Whatever an image begins with: nothing panics, and no end is before the beginning.
func FuzzLook(f *testing.F) {
	f.Add(gptImage(512, 1<<20, [2]int64{34, 100})[:70<<10], int64(1<<20), int64(1<<20), int64(512))
	f.Add(mbrImage([2]uint32{1, 2})[:4096], int64(5), int64(6), int64(4096))
	f.Add(fat()[:512], int64(0), int64(0), int64(0))
	for _, fs := range knownFilesystems {
		if fs.offset < 4096 {
			f.Add(at(fs.offset, fs.magic), int64(1), int64(1), int64(-1))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, size, disk, block int64) {
		i, err := Look(b)
		if (i == nil) == (err == nil) {
			t.Fatalf("%v, %v", i, err)
		}
		if err != nil {
			return
		}
		i.Fits(size, disk, block, bytes.NewReader(b))
		for _, p := range i.parts {
			if p.end < 0 {
				t.Errorf("%+v", p)
			}
		}
	})
}
