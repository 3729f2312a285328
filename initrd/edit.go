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
	name, err := img.editedName(name)
	if err != nil {
		return false, err
	}
	old := img.tree[name]
	if old != nil && f.Mode == 0 {
		f.Mode = old.Mode
	}
	if err := f.checkFile(name, old); err != nil {
		return false, err
	}
	if old != nil && old.Mode == f.Mode && bytes.Equal(img.Content(old), f.Data) {
		return false, nil
	}
	img.digests.hashNow(f.Data)
	if old != nil && old.seg != nil {
		return true, img.replaceEntry(name, old, f)
	}
	dir, err := img.makeParent(name)
	if err != nil {
		return false, err
	}
	e := &Entry{Name: name, Mode: f.Mode, Nlink: 1, Mtime: dir.Mtime, Data: f.Data}
	if e.IsDir() {
		e.Nlink = 2
	}
	img.insertEntry(img.segmentFor(dir), e)
	return true, nil
}

// checkFile says whether the kernel would make of f what it says. A device node
// can change its mode; a new one has no number.
func (f File) checkFile(name string, old *Entry) error {
	switch f.Mode & TypeMask {
	case TypeFile:
		return nil
	case TypeLink:
		if n := len(f.Data); n == 0 || n > maxNameSize || bytes.IndexByte(f.Data, 0) >= 0 {
			return fmt.Errorf("%s: not the target of a symlink: %q", name, f.Data[:min(n, 80)])
		}
		return nil
	case TypeBlock, TypeChar:
		if old == nil || old.Type() != f.Mode&TypeMask {
			return fmt.Errorf("%s: a device node cannot be made", name)
		}
	case TypeDir, TypePipe, TypeSocket:
	default:
		return fmt.Errorf("%s: mode %#o has no file type", name, f.Mode)
	}
	if len(f.Data) > 0 {
		return fmt.Errorf("%s: only files and symlinks have content", name)
	}
	return nil
}

// editedName is the name in the tree that an edit of name means.
func (img *Image) editedName(name string) (string, error) {
	name = treeName(name)
	if err := checkName(name); err != nil {
		return "", err
	}
	if name == "." {
		return "", fmt.Errorf("%q: the root is not to be edited", name)
	}
	return img.kernelPlace(name)
}

// makeParent is the directory that name belongs in, made where it is missing.
func (img *Image) makeParent(name string) (*Entry, error) {
	dir := path.Dir(name)
	e := img.tree[dir]
	switch {
	case e == nil:
		up, err := img.makeParent(dir)
		if err != nil {
			return nil, err
		}
		e = &Entry{Name: dir, Mode: up.Mode, Nlink: 2, Mtime: up.Mtime}
		img.insertEntry(img.segmentFor(up), e)
	case !e.IsDir():
		return nil, fmt.Errorf("%s: not a directory in the archive", dir)
	}
	return e, nil
}

// segmentFor is the segment for a new entry in dir: the one that has the copy of
// dir that the kernel sees, and without one the last.
func (img *Image) segmentFor(dir *Entry) *Segment {
	if dir.seg != nil {
		return dir.seg
	}
	return img.Segments[len(img.Segments)-1]
}

// replaceEntry changes the entry at name in its place.
func (img *Image) replaceEntry(name string, old *Entry, f File) error {
	if old.IsDir() != (f.Mode&TypeMask == TypeDir) {
		return fmt.Errorf("%s: a directory cannot become a file, nor a file a directory", name)
	}
	e := *old
	if e.Type() != f.Mode&TypeMask {
		e.Rdev = Device{}
	}
	e.Mode, e.Data, e.away = f.Mode, f.Data, nil
	if old.link != nil {
		old.leaveLinkGroup()
		e.link, e.Nlink, e.Ino = nil, 1, old.seg.freeInode()
	}
	s := old.seg
	s.Entries[slices.Index(s.Entries, old)] = &e
	s.dirty = true
	img.setEntry(name, &e)
	return nil
}

// Remove takes the entry at name out of the archive, every copy of it. A
// directory must be empty.
func (img *Image) Remove(name string) error {
	name, err := img.editedName(name)
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
			at, err := img.kernelPlace(e.Name)
			if e.IsTrailer() || err != nil || at != name {
				return false
			}
			if e.link != nil {
				e.leaveLinkGroup()
			}
			s.dirty = true
			return true
		})
	}
	img.setEntry(name, nil)
	return nil
}

// setEntry makes e (nil: nothing) the entry at name and notes the edit.
func (img *Image) setEntry(name string, e *Entry) {
	ed := img.edits[name]
	if ed == nil {
		ed = &Edit{Name: name, Before: img.tree[name]}
		img.edits[name] = ed
	}
	ed.After = e
	if e == nil || img.tree[name] == nil {
		img.names.Store(nil)
	}
	if e == nil {
		delete(img.tree, name)
		if ed.Before == nil {
			delete(img.edits, name)
		}
	} else {
		img.tree[name] = e
	}
	clear(img.dirs)
	img.changes++
}

// EditCount is how often a path was edited since the image was read: what was found out at the same count is still so.
func (img *Image) EditCount() int { return img.changes }
