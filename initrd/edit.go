package initrd

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// File is what an edit says of an entry. The image adds the rest as its
// surroundings have it: owner root, the time of the directory, a fresh inode.
type File struct {
	Mode uint32 // type and permission bits; of an existing entry 0 keeps them
	Data []byte // a file's content or a symlink's target
}

// Edit is one path that differs from the archive as it was read.
type Edit struct {
	Name   string
	Before *Entry // nil where there was none
	After  *Entry // nil where it was removed
}

// Edits returns what differs from the archive as it was read, by name.
func (img *Image) Edits() []Edit {
	var all []Edit
	for _, e := range img.edits {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(a, b Edit) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Put makes the entry at name what f says, and reports whether that changed
// anything. Symlinks are followed in all components but the last; parents are
// made as needed, with their own parent's mode. The copy that the kernel sees
// is the one that changes.
func (img *Image) Put(name string, f File) (bool, error) {
	name, err := img.target(name)
	if err != nil {
		return false, err
	}
	old := img.tree[name]
	if old != nil && f.Mode == 0 {
		f.Mode = old.Mode
	}
	if old != nil && old.Mode == f.Mode && bytes.Equal(img.Content(old), f.Data) {
		return false, nil
	}
	if old != nil && old.seg != nil {
		return true, img.replace(name, old, f)
	}
	dir, err := img.parent(name)
	if err != nil {
		return false, err
	}
	e := &Entry{Name: name, Mode: f.Mode, Nlink: 1, Mtime: dir.Mtime, Data: f.Data}
	if e.IsDir() {
		e.Nlink = 2
	}
	img.insert(img.home(dir), e)
	return true, nil
}

// target is the name in the tree that an edit of name means.
func (img *Image) target(name string) (string, error) {
	name = trim(name)
	if err := checkName(name); err != nil {
		return "", err
	}
	if name == "." {
		return "", fmt.Errorf("%q: the root is not to be edited", name)
	}
	return img.place(name)
}

// parent is the directory that name belongs in, made where it is missing.
func (img *Image) parent(name string) (*Entry, error) {
	dir := path.Dir(name)
	e := img.tree[dir]
	switch {
	case e == nil:
		up, err := img.parent(dir)
		if err != nil {
			return nil, err
		}
		e = &Entry{Name: dir, Mode: up.Mode, Nlink: 2, Mtime: up.Mtime}
		img.insert(img.home(up), e)
	case !e.IsDir():
		return nil, fmt.Errorf("%s: not a directory in the archive", dir)
	}
	return e, nil
}

// home is the segment for a new entry in dir: the one that has the copy of
// dir that the kernel sees, and without one the last.
func (img *Image) home(dir *Entry) *Segment {
	if dir.seg != nil {
		return dir.seg
	}
	return img.Segments[len(img.Segments)-1]
}

// replace changes the entry at name in its place.
func (img *Image) replace(name string, old *Entry, f File) error {
	if old.IsDir() != (f.Mode&TypeMask == TypeDir) {
		return fmt.Errorf("%s: a directory cannot become a file, nor a file a directory", name)
	}
	e := *old
	e.Mode, e.Data = f.Mode, f.Data
	e.Rdev = Device{}
	if old.link != nil {
		old.unlink()
		e.link, e.Nlink, e.Ino = nil, 1, old.seg.freeInode()
	}
	s := old.seg
	s.Entries[slices.Index(s.Entries, old)] = &e
	s.dirty = true
	img.set(name, &e)
	return nil
}

// unlink takes e out of its hard-linked file; the others keep the content.
func (e *Entry) unlink() {
	g := e.link
	g.members = slices.DeleteFunc(g.members, func(m *Entry) bool { return m == e })
	for _, m := range g.members {
		m.Nlink--
	}
	if n := len(g.members); n > 0 && len(e.Data) > 0 {
		g.members[n-1].Data = e.Data
	}
}

// Remove takes the entry at name out of the archive, every copy of it. A
// directory must be empty.
func (img *Image) Remove(name string) error {
	name, err := img.target(name)
	if err != nil {
		return err
	}
	if img.tree[name] == nil {
		return fmt.Errorf("%s: not in the archive", name)
	}
	for other := range img.tree {
		if strings.HasPrefix(other, name+"/") {
			return fmt.Errorf("%s: a directory that is not empty", name)
		}
	}
	for _, s := range img.Segments {
		s.Entries = slices.DeleteFunc(s.Entries, func(e *Entry) bool {
			at, err := img.place(e.Name)
			if e.IsTrailer() || err != nil || at != name {
				return false
			}
			if e.link != nil {
				e.unlink()
			}
			s.dirty = true
			return true
		})
	}
	img.set(name, nil)
	return nil
}

// PutLinks makes names hard links of one new file. The names must be free.
// They go to the end of the segment, last name first and the content on the
// last record, as GNU cpio writes them.
func (img *Image) PutLinks(names []string, f File) error {
	var s *Segment
	var group linkGroup
	var ino, mtime uint32
	names = slices.Sorted(slices.Values(names))
	for i, name := range slices.Backward(names) {
		name, err := img.target(name)
		if err != nil {
			return err
		}
		if img.tree[name] != nil {
			return fmt.Errorf("%s: already in the archive", name)
		}
		dir, err := img.parent(name)
		if err != nil {
			return err
		}
		if s == nil {
			s = img.home(dir)
			ino, mtime = s.freeInode(), dir.Mtime
		}
		e := &Entry{Name: s.prefix() + name, Mode: f.Mode, Nlink: uint32(len(names)), Mtime: mtime,
			Ino: ino, Dev: s.dev(), Sum: s.sums(), seg: s, link: &group}
		if i == 0 {
			e.Data = f.Data
		}
		group.members = append(group.members, e)
		s.Entries = append(s.Entries, e)
		s.dirty = true
		img.set(name, e)
	}
	return nil
}

// insert puts a new entry into s where the order of the names has it: after
// its directory, before the hard links at the end.
func (img *Image) insert(s *Segment, e *Entry) {
	name := e.Name
	e.Name = s.prefix() + name
	e.Ino, e.Dev, e.Sum, e.seg = s.freeInode(), s.dev(), s.sums(), s
	at := 0
	for i, other := range s.Entries {
		// Of several runs in one segment the last is ours.
		if other.IsTrailer() || other.link == nil && path.Clean(other.Name) < name {
			at = i + 1
		}
	}
	s.Entries = slices.Insert(s.Entries, at, e)
	s.dirty = true
	img.set(name, e)
}

// set makes e (nil: nothing) the entry at name and notes the edit.
func (img *Image) set(name string, e *Entry) {
	ed := img.edits[name]
	if ed == nil {
		ed = &Edit{Name: name, Before: img.tree[name]}
		img.edits[name] = ed
	}
	ed.After = e
	if e == nil {
		delete(img.tree, name)
		if ed.Before == nil {
			delete(img.edits, name)
		}
	} else {
		img.tree[name] = e
	}
	clear(img.dirs)
}

// The conventions of a segment, which new entries keep.

// prefix is "./" where the segment's names have it.
func (s *Segment) prefix() string {
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

func (s *Segment) dev() Device {
	if len(s.Entries) == 0 {
		return Device{}
	}
	return s.Entries[0].Dev
}

func (s *Segment) sums() bool { return len(s.Entries) > 0 && s.Entries[0].Sum }

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
