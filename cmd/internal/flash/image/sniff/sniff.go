// Package sniff tells by an image's first MiB what it is, before any of it is on a disk: a partition table, a filesystem, a
// boot sector; or one of the many things that people have in an image's place, a page of a captive portal or the image
// of another program's; or nothing that anybody knows. Of what it knows it tells whether it fits a disk.
//
// It looks for what libblkid and the kernel look for (each format's own documentation, and util-linux' libblkid). Bytes
// that it reads are anybody's: a number is held against what there is before it is used.
package sniff

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// FirstLen is how much of an image's beginning is looked at, in bytes.
const FirstLen = 1 << 20

// Errors of Look and Fits.
var (
	ErrNoImage = errors.New("not a disk image")             // it is something else
	ErrUnknown = errors.New("not known to be a disk image") // nobody knows what it is
	ErrFit     = errors.New("it does not fit")
	ErrEmpty   = fmt.Errorf("%w: it is empty", ErrNoImage)
)

// Image is what the first MiB says of an image.
type Image struct {
	What  string // "a GPT", "an ext filesystem", ...
	parts []partOf
	// sectors is the sizes of a disk's sectors, in bytes, for which it is made; empty: any.
	sectors []int64
	mbr     []mbrEntry // partitions of an MBR, which counts in the disk's own sectors
	most    int64      // bytes of the largest sectors that a disk may have for its filesystem; 0: any
	// foursAlone: they look counted in sectors of 4096 bytes.
	foursAlone bool
}

// partOf is a part of an image that has an end: a partition, a filesystem, a table.
type partOf struct {
	what   string
	start  int64 // of a partition, in bytes
	end    int64 // byte behind it, on a disk with such sectors
	sector int64 // of a table for these; 0: for any
	table  bool  // it is the table's own end: the image may end before, the disk not
}

// Look tells what an image is that begins with first, at most [FirstLen] bytes; fewer are all of it. The error is
// [ErrNoImage] or [ErrUnknown], and says what it is, or that nobody knows.
func Look(first []byte) (*Image, error) {
	first = first[:min(len(first), FirstLen)]
	if len(first) == 0 {
		return nil, ErrEmpty
	}
	i := new(Image)
	var seen []string
	guided := i.findGPT(first)
	if guided != "" { // it has checksums: nothing else looks like one
		seen = append(seen, guided)
	} else if what := foreignFile(first); what != "" {
		return nil, fmt.Errorf("%w: %s", ErrNoImage, what)
	}
	table := i.findMBR(first, guided != "")
	if table != "" {
		seen = append(seen, table)
	}
	for _, f := range knownFilesystems {
		if len(seen) > 0 && f.name != iso { // what else is there is left of something before: the table counts
			continue
		}
		if what := f.nameIn(i, first); what != "" {
			seen = append(seen, what)
		}
	}
	if len(seen) == 0 {
		if what := bootSector(first); what != "" {
			seen = append(seen, what)
		}
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrUnknown, saidOfUnknown(first))
	}
	i.What = strings.Join(seen, " and ")
	return i, nil
}

// saidOfUnknown is what can be said of an image that begins with nothing known.
func saidOfUnknown(b []byte) string {
	switch {
	case headlessGPT(b):
		return "it has a GPT's header and no protective MBR, without which no system looks for one"
	case announcesGPT(b):
		return "its MBR speaks of a GPT, and there is none that holds"
	case looksPGP(b):
		return "it begins like a file that PGP encrypted or signed"
	}
	for _, c := range b {
		if c != 0 {
			return "neither a partition table nor a filesystem nor a boot sector begins it"
		}
	}
	return "it begins with nothing but zeros"
}

// looksPGP reports whether the first packet is of a session key, as an encrypted message has it, or of one that is signed (RFC 9580, 4.2 and 5).
func looksPGP(b []byte) bool {
	if len(b) < 16 {
		return false
	}
	switch {
	case b[0] == 0x84, b[0] == 0x8c, b[0] == 0xc1, b[0] == 0xc3: // a length of one byte
		return b[2] >= 3 && b[2] <= 6 && b[1] >= 4
	case b[0] == 0x85: // of two
		return b[3] == 3 || b[3] == 6
	case b[0] == 0x90:
		return b[1] == 13 && b[2] == 3
	}
	return false
}

// Fits refuses an image that cannot be whole, or whose table or filesystem is not for such a disk: size is the image's in
// bytes, 0 where that is not known yet; disk is the disk's and block its logical sectors', in bytes, 0 or 1 where they are not
// known. content, if not nil, is all of the image: a partition that it does not reach to the end of may hold no more than a
// read-only filesystem, which it has all of (OpenWrt's images are cut so).
func (i *Image) Fits(size, disk, block int64, content io.ReaderAt) error {
	if block > 1<<16 { // no disk's
		block = 0
	}
	if block >= 512 && len(i.sectors) > 0 {
		ok := false
		for _, s := range i.sectors {
			ok = ok || s == block
		}
		if !ok {
			return fmt.Errorf("%w: %s is for disks with sectors of %d bytes, this one has %d", ErrFit, i.What, i.sectors[0], block)
		}
	}
	if i.most > 0 && block > i.most {
		return fmt.Errorf("%w: %s has blocks of %d bytes, the disk's sectors have %d", ErrFit, i.What, i.most, block)
	}
	for _, p := range i.parts {
		if p.sector != 0 && block >= 512 && p.sector != block { // of a table for other disks, beside this one's
			continue
		}
		if size > 0 && p.end > size && !p.table && !readOnly(content, p.start, size) {
			return fmt.Errorf("%w: %s ends at byte %d, the image at %d: it was cut, or is not whole", ErrFit, p.what, p.end, size)
		}
		if disk > 0 && p.end > disk {
			return fmt.Errorf("%w: %s ends at byte %d, the disk at %d: it is made for a larger one", ErrFit, p.what, p.end, disk)
		}
	}
	return i.fitsMBR(size, disk, block, content)
}

// Whole refuses an image of so many bytes that says itself that it has more; content is as in [Image.Fits].
func (i *Image) Whole(size int64, content io.ReaderAt) error { return i.Fits(size, 0, 0, content) }

// readOnly reports whether at a partition's start there is a filesystem that is never written to, and that ends inside the image.
func readOnly(content io.ReaderAt, start, size int64) bool {
	if content == nil || start <= 0 || start >= size {
		return false
	}
	b := make([]byte, min(64<<10, size-start))
	if _, err := content.ReadAt(b, start); err != nil && err != io.EOF {
		return false
	}
	for _, f := range knownFilesystems {
		switch f.name {
		case squashfs, erofs, cramfs, romfs, iso:
			var i Image
			if f.nameIn(&i, b) != "" && len(i.parts) == 1 && i.parts[0].end <= size-start {
				return true
			}
		}
	}
	return false
}
