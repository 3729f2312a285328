package initrd

import (
	"fmt"
	"slices"
)

// PutLinks makes names hard links of one new file. The names must be free.
// They go to the end of the segment, last name first and the content on the
// last record, as GNU cpio writes them.
func (img *Image) PutLinks(names []string, f File) error {
	names, err := img.requireFree(names)
	if err != nil || len(names) == 0 {
		return err
	}
	if f.Mode&TypeMask != TypeFile {
		return fmt.Errorf("%s: mode %#o is not a file's", names[0], f.Mode)
	}
	img.digests.hashNow(f.Data)
	at := 0
	var mtime uint32
	for _, name := range names {
		dir, err := img.makeParent(name)
		if err != nil {
			return err
		}
		// By the last of their segments all their directories are there.
		at = max(at, slices.Index(img.Segments, img.segmentFor(dir)))
		mtime = max(mtime, dir.Mtime)
	}
	s := img.Segments[at]
	group, ino := &linkGroup{names: len(names)}, s.freeInode()
	for i, name := range slices.Backward(names) {
		e := &Entry{Name: s.namePrefix() + name, Mode: f.Mode, Nlink: uint32(len(names)), Mtime: mtime,
			Ino: ino, Dev: s.entryDevice(), Sum: s.hasChecksums(), seg: s, link: group}
		if i == 0 {
			e.Data = f.Data
		}
		group.members = append(group.members, e)
		s.Entries = append(s.Entries, e)
		img.setEntry(name, e)
	}
	s.dirty = true
	return nil
}

// requireFree is where names lead to, sorted; nothing may be there.
func (img *Image) requireFree(names []string) ([]string, error) {
	var all []string
	for _, name := range names {
		name, err := img.editedName(name)
		if err != nil {
			return nil, err
		}
		if img.tree[name] != nil || slices.Contains(all, name) {
			return nil, fmt.Errorf("%s: already in the archive", name)
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return all, nil
}

// leaveLinkGroup takes e out of its hard-linked file; the others keep the content.
func (e *Entry) leaveLinkGroup() {
	g := e.link
	g.members = slices.DeleteFunc(g.members, func(m *Entry) bool { return m == e })
	n := len(g.members)
	for _, m := range g.members {
		// Below 2 the kernel would no longer link them.
		m.Nlink = max(m.Nlink-1, uint32(min(n, 2)))
	}
	if n > 0 && len(e.Data) > 0 {
		g.members[n-1].Data = e.Data
	}
}
