package initrd

import "sync/atomic"

// Limits bound what reading an archive may cost. Zero fields mean the default.
type Limits struct {
	Unpacked int64 // bytes of all segments after decompression; 2 GiB
	Segments int   // 256
	Entries  int   // 1 Mi
}

// budget is what reading may still cost, and what is done with contents as they
// come in.
type budget struct {
	Limits           // what is left of them
	digests *digests // hashes what is read; may be nil
	skim    *skimmer // lets contents go; may be nil
}

// DefaultLimits are the limits in force where none are given.
var DefaultLimits = Limits{Unpacked: 2 << 30, Segments: 256, Entries: 1 << 20}

func (l Limits) withDefaults() Limits {
	if l.Unpacked == 0 {
		l.Unpacked = DefaultLimits.Unpacked
	}
	if l.Segments == 0 {
		l.Segments = DefaultLimits.Segments
	}
	if l.Entries == 0 {
		l.Entries = DefaultLimits.Entries
	}
	return l
}

// Segment is one run of cpio records, plain or compressed. A compressed one
// may hold several runs; the trailers between them are entries of their own.
type Segment struct {
	Offset      int64 // where it begins in the file that was read, or last written
	Size        int64 // bytes in that file, the zeros behind it not counted
	Padding     int64 // zeros behind it
	Unpacked    int64 // bytes after decompression, zeros after the trailer included
	Compression Compression
	Level       int // of the next encoding; 0 is the default of the compression
	Entries     []*Entry

	raw   []byte   // as it came in
	was   *Segment // all of it as it stands in the file that was read
	dirty bool
}

// Edited reports whether the segment no longer is the bytes that were read.
func (s *Segment) Edited() bool { return s.dirty }

// Image is an initramfs file, and the tree that the kernel makes of it.
type Image struct {
	Segments []*Segment

	digests *digests
	size    int64 // bytes of the file that was read, or last written
	tree    map[string]*Entry
	names   atomic.Pointer[[]string] // those of tree, sorted; nil: somebody has yet to ask for them
	dirs    map[string]realParent    // parents as stored, to where they resolve
	ignored []*Entry
	edits   map[string]*Edit
	changes int // how often a path was edited
}

// Size is the length in bytes of the file that was read, or last written.
func (img *Image) Size() int64 { return img.size }
