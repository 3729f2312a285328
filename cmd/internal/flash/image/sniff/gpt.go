package sniff

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

var le, be = binary.LittleEndian, binary.BigEndian

// Where an MBR's four entries of 16 bytes are, and its signature.
const (
	mbrEntries = 446
	mbrSign    = 510
)

func bootSigned(b []byte) bool { return len(b) >= 512 && b[mbrSign] == 0x55 && b[mbrSign+1] == 0xaa }

// announcesGPT reports whether the MBR says that there is a GPT, without which no kernel looks for one (block/partitions/efi.c).
func announcesGPT(first []byte) bool {
	if !bootSigned(first) {
		return false
	}
	for e := first[mbrEntries:mbrSign]; len(e) > 0; e = e[16:] {
		if e[4] == 0xee {
			return true
		}
	}
	return false
}

// findGPT looks for a GUID partition table (UEFI specification, 5.3) in sectors of any size; an image may have several.
func (i *Image) findGPT(first []byte) string {
	if !announcesGPT(first) {
		return ""
	}
	what := ""
	for _, sector := range []int64{512, 4096, 1024, 2048} {
		if s := i.gptHeader(first, sector); s != "" {
			i.sectors = append(i.sectors, sector)
			what = s
		}
	}
	if len(i.sectors) > 1 {
		what = "GPTs for several sizes of sectors"
	}
	return what
}

// gptHeader is a GPT's, in the second sector.
func (i *Image) gptHeader(first []byte, sector int64) string {
	if int64(len(first)) < 2*sector {
		return ""
	}
	h := first[sector : 2*sector]
	size := int64(le.Uint32(h[12:]))
	if string(h[:8]) != "EFI PART" || size < 92 || size > sector {
		return ""
	}
	sum := bytes.Clone(h[:size])
	copy(sum[16:20], "\x00\x00\x00\x00")
	last := le.Uint64(h[48:]) // usable
	at, count, length := le.Uint64(h[72:]), int64(le.Uint32(h[80:])), int64(le.Uint32(h[84:]))
	if crc32.ChecksumIEEE(sum) != le.Uint32(h[16:]) || le.Uint64(h[24:]) != 1 || last > math.MaxInt64/4096-1 {
		return ""
	}
	known := at <= uint64(len(first))/uint64(sector) && length >= 128 && length <= 4096 && count <= (int64(len(first))-int64(at)*sector)/length
	if known && crc32.ChecksumIEEE(first[int64(at)*sector:][:count*length]) != le.Uint32(h[88:]) {
		return ""
	}
	// A kernel takes no table whose last usable sector is not on the disk.
	i.parts = append(i.parts, partOf{what: "what its GPT may use", end: (int64(last) + 1) * sector, sector: sector, table: true})
	if at < math.MaxInt64/4096 && length > 0 && count <= 1<<20 { // else no kernel would read it
		i.parts = append(i.parts, partOf{what: "its GPT's list of partitions", end: int64(at)*sector + count*length, sector: sector})
	}
	if !known { // the table is longer than what is looked at, or from a maker of its own
		return "a GPT"
	}
	entries := first[int64(at)*sector:]
	for p := range count {
		e := entries[p*length:][:128]
		from, to := le.Uint64(e[32:]), le.Uint64(e[40:])
		if bytes.Equal(e[:16], make([]byte, 16)) || to < from || to > math.MaxInt64/4096-1 {
			continue
		}
		i.parts = append(i.parts, partOf{what: fmt.Sprintf("its partition %d", p+1), start: int64(from) * sector, end: (int64(to) + 1) * sector, sector: sector})
	}
	return "a GPT"
}
