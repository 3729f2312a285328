package sniff

import (
	"fmt"
	"io"
)

// findMBR looks for an MBR's table, with partitions or empty. Beside a GPT its entries count only where it is a hybrid one.
func (i *Image) findMBR(first []byte, guided bool) string {
	if !bootSigned(first) || !guided && isFAT(first) { // mtools gives a filesystem's own sector a table, too
		return ""
	}
	var all []mbrEntry
	for n := range 4 {
		e := first[mbrEntries+16*n:][:16]
		if e[0] != 0 && e[0] != 0x80 { // the boot flag: a filesystem's boot sector has code there
			return ""
		}
		if size := int64(le.Uint32(e[12:])); e[4] != 0 && size != 0 && (e[4] != 0xee || !guided) {
			all = append(all, mbrEntry{n + 1, int64(le.Uint32(e[8:])), size})
		}
	}
	switch {
	case !guided && announcesGPT(first): // the kernel reads no entry beside one that speaks of a GPT, and there is none that holds
		return ""
	case len(all) == 0:
		return ""
	}
	i.mbr = all
	if i.foursAlone = looksLike4096(first, all); guided {
		return "a hybrid MBR"
	}
	return "an MBR"
}

// mbrEntry is a partition in an MBR, in sectors.
type mbrEntry struct {
	n          int
	from, size int64
}

// headlessGPT reports whether there is a GPT's header and no MBR that says so.
func headlessGPT(first []byte) bool {
	for _, sector := range []int{512, 4096} {
		if len(first) >= 2*sector && string(first[sector:sector+8]) == "EFI PART" && !announcesGPT(first) {
			return true
		}
	}
	return false
}

// looksLike4096 reports whether partitions look as if they were counted in sectors of 4096 bytes, of which a MBR says nothing: on a
// disk with such sectors all begin at a MiB, and where they would in sectors of 512 there is nothing.
func looksLike4096(first []byte, all []mbrEntry) bool {
	early := false
	for _, e := range all {
		if e.from == 0 || e.from%256 != 0 {
			return false
		}
		if at := e.from * 512; at < int64(len(first)) {
			early = true
			for _, c := range first[at:] {
				if c != 0 {
					return false
				}
			}
		}
	}
	return early
}

// fitsMBR refuses an MBR whose partitions are not in the image or not on the disk. It counts in the disk's own sectors.
func (i *Image) fitsMBR(size, disk, block int64, content io.ReaderAt) error {
	unit := max(block, 512)
	if len(i.mbr) > 0 && i.foursAlone && block == 512 {
		return fmt.Errorf("%w: its MBR looks like one for disks with sectors of 4096 bytes, this one has 512", ErrFit)
	}
	for _, e := range i.mbr {
		end, what := (e.from+e.size)*unit, fmt.Sprintf("partition %d of its MBR", e.n)
		switch {
		case size > 0 && end > size && unit > 512 && (e.from+e.size)*512 <= size:
			return fmt.Errorf("%w: %s ends inside the image on disks with sectors of 512 bytes, this one has %d", ErrFit, what, block)
		case size > 0 && end > size && !readOnly(content, e.from*unit, size):
			return fmt.Errorf("%w: %s ends at byte %d, the image at %d: it was cut, or is not whole", ErrFit, what, end, size)
		case disk > 0 && end > disk:
			return fmt.Errorf("%w: %s ends at byte %d, the disk at %d: it is made for a larger one", ErrFit, what, end, disk)
		}
	}
	return nil
}
