package disk

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"groundhog/initrd/show"
)

// Identity is a disk by what it is. Path is only where it was found.
type Identity struct {
	Path   string `json:"path"`            // "/dev/mmcblk0"
	Size   int64  `json:"size"`            // bytes
	Model  string `json:"model,omitzero"`  // what it calls itself
	Serial string `json:"serial,omitzero"` // its serial number
	CID    string `json:"cid,omitzero"`    // of an MMC or SD card, 32 hex digits
	PTUUID string `json:"ptuuid,omitzero"` // of its partition table, as blkid(8) prints it
}

// nameKind is a way in which a disk is named: KIND:VALUE.
type nameKind struct {
	name string
	of   func(*Identity) *string
	fold bool // upper and lower case mean the same
	own  bool // it is the disk's own, and no flash changes it
}

// nameKinds are all of them, in the order in which they are shown. push's survey has a fact of the same name for each (disk_NAME).
var nameKinds = []nameKind{
	{"serial", func(d *Identity) *string { return &d.Serial }, false, true},
	{"cid", func(d *Identity) *string { return &d.CID }, true, true},
	{"ptuuid", func(d *Identity) *string { return &d.PTUUID }, true, false},
}

func (k nameKind) sameName(a, b string) bool { return a == b || k.fold && strings.EqualFold(a, b) }

// Other reports whether it is certainly another disk: by its own name, where both have one of a kind.
func (d Identity) Other(before Identity) bool {
	for _, k := range nameKinds {
		a, b := *k.of(&d), *k.of(&before)
		if k.own && a != "" && b != "" && !k.sameName(a, b) {
			return true
		}
	}
	return false
}

// Described is a disk that somebody describes by words: path, size (bytes), model, serial, cid and ptuuid.
func Described(said func(name string) string) (Identity, error) {
	d := Identity{Path: said("path"), Model: attributeWord([]byte(said("model")))}
	for _, k := range nameKinds {
		*k.of(&d) = attributeWord([]byte(said(k.name)))
	}
	if size := said("size"); size != "" {
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return d, fmt.Errorf("a disk's size is %.40q", size)
		}
		d.Size = n
	}
	return d, d.Check()
}

// MaxSize is the largest disk there can be, in bytes: what the kernel's 64-bit file offsets reach (lseek(2)).
const MaxSize = math.MaxInt64 - math.MaxInt64%512

// maxWord bounds what a disk says of itself, in bytes.
const maxWord = 256

// Check refuses what no disk can be, where somebody else describes one.
func (d *Identity) Check() error {
	words := []string{d.Path, d.Model}
	for _, k := range nameKinds {
		words = append(words, *k.of(d))
	}
	for _, w := range words {
		if len(w) > maxWord || strings.Trim(w, printableASCII) != "" {
			return fmt.Errorf("a disk that calls itself %.80q", w)
		}
	}
	switch {
	case !strings.HasPrefix(d.Path, "/dev/") || strings.Trim(d.Path, pathBytes) != "" || strings.Contains(d.Path, ".."):
		return fmt.Errorf("%q is no disk", d.Path)
	case d.Size < 0 || d.Size > MaxSize || d.Size%512 != 0:
		return fmt.Errorf("%s: a disk of %d bytes", d.Path, d.Size)
	}
	return nil
}

const pathBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:+"

var printableASCII = func() string {
	var b strings.Builder
	for c := byte(' '); c <= '~'; c++ {
		b.WriteByte(c)
	}
	return b.String()
}()

// sameDisk reports whether d is the disk that was recorded. What is the disk's own decides. Of a disk
// that has nothing of its own, size and model must agree, and its table or its path: a flash changes the table, a boot the path.
func (r *Identity) sameDisk(d Identity) bool {
	if r.Size != d.Size {
		return false
	}
	own := false
	for _, k := range nameKinds {
		was, is := *k.of(r), *k.of(&d)
		if k.own && (was != "" || is != "") {
			if own = true; !k.sameName(was, is) {
				return false
			}
		}
	}
	return own || r.Model == d.Model && (r.PTUUID != "" && strings.EqualFold(r.PTUUID, d.PTUUID) || r.Path == d.Path)
}

// String is a disk in a few words, with what names it.
func (d Identity) String() string {
	s := d.Path + ", " + show.Bytes(d.Size)
	if d.Model != "" {
		s += ", " + d.Model
	}
	for _, k := range nameKinds {
		if v := *k.of(&d); v != "" {
			s += ", " + k.name + ":" + v
		}
	}
	return s
}
