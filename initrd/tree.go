package initrd

import (
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
)

// maxLinks is how many symlinks one lookup follows, path_resolution(7).
const maxLinks = 40

// linkGroup is the names of one hard-linked file, in the order of the archive.
type linkGroup struct {
	members []*Entry
	names   int    // how many there were as it was read
	over    string // where a later segment wrote into the file: what is there is its content
}

// index builds the tree that the kernel makes of the segments, in its order.
func (img *Image) index() error {
	img.tree = map[string]*Entry{".": {Name: ".", Mode: TypeDir | 0o755}}
	img.dirs = map[string]string{}
	img.edits = map[string]*Edit{}
	img.ignored = nil
	held := map[string]int{}
	for i, s := range img.Segments {
		links := map[linkKey]*linkGroup{}
		for _, e := range s.Entries {
			if e.IsTrailer() { // the kernel forgets its hard links here
				clear(links)
				continue
			}
			e.join(links)
			name, err := img.place(e.Name)
			if err != nil {
				return fmt.Errorf("segment %d: %w", i, err)
			}
			if !img.unpack(name, e, held) {
				img.ignored = append(img.ignored, e)
			}
		}
	}
	return nil
}

// unpack puts e at name as the kernel does (init/initramfs.c, do_name), or
// says that it does not. held counts what each directory holds.
func (img *Image) unpack(name string, e *Entry, held map[string]int) bool {
	dir, old := img.tree[path.Dir(name)], img.tree[name]
	switch {
	case name == "." && !e.IsDir():
		return false // the root stays what it is
	case !e.IsFile() && !e.IsLink() && (len(e.Data) > 0 || !e.known()):
		return false // passed over
	case dir == nil || !dir.IsDir():
		return false
	case old == nil:
		held[path.Dir(name)]++
	case old.IsDir() && !e.IsDir() && held[name] > 0:
		return false // rmdir fails, and what should come in its place with it
	case old.IsFile() && e.IsFile() && old.link != nil && (e.link == nil || e.link.members[0] == e):
		old.link.over = name // opened and truncated, not made anew
	}
	if old != nil && (old.IsLink() || e.IsLink()) {
		clear(img.dirs) // what went through it may lead elsewhere now
	}
	img.tree[name] = e
	return true
}

type linkKey struct {
	ino uint32
	dev Device
}

func (e *Entry) join(links map[linkKey]*linkGroup) {
	e.link = nil
	if e.Nlink < 2 || !e.IsFile() {
		return
	}
	k := linkKey{e.Ino, e.Dev}
	if links[k] == nil {
		links[k] = &linkGroup{}
	}
	e.link = links[k]
	e.link.members = append(e.link.members, e)
	e.link.names++
}

// place is where the kernel puts a name: its parent's symlinks followed, the
// last component as it is.
func (img *Image) place(name string) (string, error) {
	name = path.Clean(name)
	dir, base := path.Split(name)
	if dir == "" {
		return name, nil
	}
	real, err := img.parentDir(path.Clean(dir))
	if err != nil {
		return "", err
	}
	if real = path.Join(real, base); len(real) >= maxNameSize {
		return "", fmt.Errorf("%w: %.40q…: a path of %d bytes, through symlinks", ErrFormat, real, len(real))
	}
	return real, nil
}

// parentDir is where the directory leads that the archive calls name. What is
// known of its own parent is not found out again for each entry; deep trees
// would take for ever.
func (img *Image) parentDir(name string) (string, error) {
	if real, ok := img.dirs[name]; ok {
		return real, nil
	}
	real, err := img.place(name)
	if err != nil {
		return "", err
	}
	e := img.tree[real]
	if e != nil && e.IsLink() {
		if real, err = img.resolve(real, true); err != nil {
			return "", err
		}
		e = img.tree[real]
	}
	if e != nil { // else it may still come, as a symlink
		img.dirs[name] = real
	}
	return real, nil
}

// resolve follows all symlinks of name. With strict a link that climbs above
// the root is an error; the kernel would stop at the root. A component that is
// not there stays as it is.
func (img *Image) resolve(name string, strict bool) (string, error) {
	todo := strings.Split(path.Clean(name), "/")
	at := "."
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if at == "." && strict {
				return "", fmt.Errorf("%w: %q: it leads out of the archive through a symlink", ErrFormat, name)
			}
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		e := img.tree[next]
		if e == nil || !e.IsLink() {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%w: %q: too many levels of symbolic links", ErrFormat, name)
		}
		target, _, _ := strings.Cut(string(e.Data), "\x00") // as the kernel reads it
		if strings.HasPrefix(target, "/") {
			at = "."
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return at, nil
}

// trim makes an absolute or relative path a name as the tree has it.
func trim(name string) string { return path.Clean(strings.TrimLeft(name, "/")) }

// Lookup returns the entry at name as the kernel leaves it, or nil. Symlinks
// are followed in all components but the last.
func (img *Image) Lookup(name string) *Entry {
	dir, base := path.Split(trim(name))
	real, err := img.resolve(dir, false)
	if err != nil {
		return nil
	}
	return img.tree[path.Join(real, base)]
}

// Resolve returns the name that name leads to, all symlinks followed, and
// whether something is there.
func (img *Image) Resolve(name string) (string, bool) {
	real, err := img.resolve(trim(name), false)
	return real, err == nil && img.tree[real] != nil
}

// ReadFile returns the content of the regular file that name leads to. The
// caller must not write to it.
func (img *Image) ReadFile(name string) ([]byte, error) {
	real, ok := img.Resolve(name)
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	e := img.tree[real]
	if !e.IsFile() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrInvalid}
	}
	return img.Content(e), nil
}

// Content is a file's content: of a hard link, that of whichever of its names
// carries it.
func (img *Image) Content(e *Entry) []byte {
	if e.link == nil {
		if e.away != nil {
			e.seg.load()
		}
		return e.Data
	}
	if e.link.over != "" {
		if o := img.tree[e.link.over]; o != nil && o.IsFile() && o.link != e.link {
			return img.Content(o)
		}
	}
	for _, m := range slices.Backward(e.link.members) {
		if len(m.Data) > 0 {
			return m.Data
		}
	}
	return nil
}

// LinkID tells hard-linked names apart: entries of one file have the same
// non-nil value.
func (e *Entry) LinkID() any {
	if e.link == nil {
		return nil
	}
	return e.link
}

// Tree yields name and entry of all that the kernel has after the last
// segment, in the order of the names; directories come before what they hold.
func (img *Image) Tree() iter.Seq2[string, *Entry] {
	return func(yield func(string, *Entry) bool) {
		for _, name := range slices.Sorted(maps.Keys(img.tree)) {
			if img.tree[name].seg != nil && !yield(name, img.tree[name]) {
				return
			}
		}
	}
}

// Ignored is the entries that the kernel does not unpack, because the
// directory they belong in is not there.
func (img *Image) Ignored() []*Entry { return img.ignored }
