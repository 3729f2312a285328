package initrd

import (
	"path"
	"slices"
	"strings"
)

// The conventions of a segment, which new entries keep.

// namePrefix is "./" where the segment's names have it.
func (s *Segment) namePrefix() string {
	for _, e := range s.Entries {
		if e.Name != "." {
			if strings.HasPrefix(e.Name, "./") {
				return "./"
			}
			break
		}
	}
	return ""
}

func (s *Segment) entryDevice() Device {
	if len(s.Entries) == 0 {
		return Device{}
	}
	return s.Entries[0].Dev
}

func (s *Segment) hasChecksums() bool { return len(s.Entries) > 0 && s.Entries[0].Sum }

// freeInode is a number that no entry of s has: one more than the highest, or
// the lowest free one where there is no more.
func (s *Segment) freeInode() uint32 {
	var top uint32
	for _, e := range s.Entries {
		top = max(top, e.Ino)
	}
	if top+1 != 0 {
		return top + 1
	}
	used := map[uint32]bool{}
	for _, e := range s.Entries {
		used[e.Ino] = true
	}
	n := uint32(1)
	for used[n] {
		n++
	}
	return n
}

// insertEntry puts a new entry into s where the order of the names has it: after
// its directory, before the hard links at the end.
func (img *Image) insertEntry(s *Segment, e *Entry) {
	name := e.Name
	e.Name = s.namePrefix() + name
	e.Ino, e.Dev, e.Sum, e.seg = s.freeInode(), s.entryDevice(), s.hasChecksums(), s
	at := len(s.Entries)
	for ; at > 0; at-- {
		// Of several runs in one segment the last is ours.
		other := s.Entries[at-1]
		if other.IsTrailer() || other.link == nil && path.Clean(other.Name) < name {
			break
		}
	}
	s.Entries = slices.Insert(s.Entries, at, e)
	s.dirty = true
	img.setEntry(name, e)
}
