package initrd

import (
	"cmp"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
)

// maxSymlinks is how many symlinks one lookup follows, path_resolution(7).
const maxSymlinks = 40

// maxComponent is the kernel's NAME_MAX.
const maxComponent = 255

// linkGroup is the names of one hard-linked file, in the order of the archive.
type linkGroup struct {
	members []*Entry
	names   int    // how many there were as it was read
	over    string // where a later record wrote into the file: what is there is its content
}

// realParent is where a directory leads that the archive names.
type realParent struct {
	real  string
	links int // how many symlinks were followed on the way
}

// buildTree builds the tree that the kernel makes of the segments, in its order.
func (img *Image) buildTree() error {
	img.tree = map[string]*Entry{".": {Name: ".", Mode: TypeDir | 0o755}}
	img.names.Store(nil)
	img.dirs = map[string]realParent{}
	img.edits = map[string]*Edit{}
	img.ignored = nil
	u := &unpacking{Image: img, held: map[string]int{}, over: map[string][]*linkGroup{}}
	for i, s := range img.Segments {
		links := map[linkKey]*linkGroup{}
		u.nodes = map[nodeKey]*Entry{}
		for _, e := range s.Entries {
			if e.IsTrailer() { // the kernel forgets its hard links here
				clear(links)
				clear(u.nodes)
				continue
			}
			e.joinLinkGroup(links)
			name, err := img.kernelPlace(e.Name)
			if err == nil {
				err = u.refuseMisread(name, e)
			}
			if err != nil {
				return fmt.Errorf("segment %d: %w", i, err)
			}
			if !u.unpackEntry(name, e) {
				img.ignored = append(img.ignored, e)
				if e.isFurtherName() {
					return fmt.Errorf("segment %d: %w: %q: a hard link where the kernel makes none", i, ErrFormat, e.Name)
				}
			}
		}
	}
	u.shareModes()
	return nil
}

// unpacking is a tree that is being made.
type unpacking struct {
	*Image
	held    map[string]int          // how many names each directory holds
	over    map[string][]*linkGroup // by the name through which a later record wrote into them
	changed int                     // names that paths went through and that lead elsewhere now
	nodes   map[nodeKey]*Entry      // the first names of device nodes, pipes and sockets that say that they have several
}

// nodeKey is what the kernel knows the names of one node by (find_link).
type nodeKey struct {
	linkKey
	mode uint32 // its type
}

// maxSteps is how many directories a symlink may lead through: forty such links may be followed for each name that is looked up.
const maxSteps = 64

// maxChanged is how many of those there may be: after each all paths are followed anew.
const maxChanged = 1024

// refuseMisread is an error where the kernel would make of e something else than its record says, which no tool's records lead to: whoever
// reads them would take another content, mode or place for the one that the machine has.
func (u *unpacking) refuseMisread(name string, e *Entry) error {
	no := func(why string) error { return fmt.Errorf("%w: %q: %s", ErrFormat, e.Name, why) }
	old := u.tree[name]
	last := e.Name[strings.LastIndexByte(e.Name, '/')+1:]
	if e.Name != "." && (last == "" || last == ".") && (!e.IsDir() || old != nil && !old.IsDir()) {
		return no("the name of a directory, which it is none of")
	}
	if e.IsLink() {
		if to := linkTarget(e); len(to) >= maxNameSize || strings.Count(to, "/") > maxSteps {
			return no("a symlink's target that is too long for the kernel, or leads through more directories than any does")
		}
	}
	if err := u.refusesNode(name, e); err != nil || old == nil {
		return cmp.Or(err, u.refusesLink(name, e))
	}
	inPlace := old.IsFile() && e.IsFile() && !e.isFurtherName() // opened and truncated, not made anew
	switch {
	case u.over[name] != nil && !inPlace:
		return no("in the place of a file that other names have, and that was written into")
	case inPlace && old.link != nil && (old.link.over != "" && old.link.over != name || u.isOver(old.link.members[0], name)):
		return no("a file of several names is written into by more than one of them")
	case old.IsDir() && (name == "." || u.held[name] > 0) && e.givesAway(old):
		return no("in the place of a directory that stays, and gets its owner and mode")
	case old.Type() == e.Type() && (e.Type() == TypeChar || e.Type() == TypeBlock) && old.Rdev != e.Rdev:
		return no("a device node in the place of one with another number, which the kernel keeps")
	case u.changed == maxChanged && leadsElsewhere(old, e):
		return fmt.Errorf("%w of %d symlinks and directories that change", ErrTooLarge, maxChanged)
	}
	return u.refusesLink(name, e)
}

// givesAway reports whether the kernel, which cannot make e where a directory is, gives that what it would have given to e.
func (e *Entry) givesAway(dir *Entry) bool {
	switch {
	case e.IsFile() || e.IsDir() || !e.isKnownType() || !e.IsLink() && len(e.Data) > 0:
		return false
	case e.UID != dir.UID || e.GID != dir.GID:
		return true
	}
	return !e.IsLink() && (e.Mode^dir.Mode)&^TypeMask != 0
}

// leadsElsewhere reports whether what went through a name leads elsewhere from now on.
func leadsElsewhere(old, e *Entry) bool {
	return old.IsLink() != e.IsLink() || old.IsDir() != e.IsDir() || e.IsLink() && linkTarget(old) != linkTarget(e)
}

// isOver reports whether the file of that entry is one of others that was written into, by another name than that.
func (u *unpacking) isOver(e *Entry, name string) bool {
	at, err := u.kernelPlace(e.Name)
	return err != nil || at != name && u.over[at] != nil
}

// refusesLink is an error where a further name of a hard-linked file would be one of something else.
func (u *unpacking) refusesLink(name string, e *Entry) error {
	if !e.isFurtherName() {
		return nil
	}
	first := e.link.members[0]
	switch at, err := u.kernelPlace(first.Name); {
	case err != nil:
		return err
	case at == name || u.tree[at] != first || e.link.over != "":
		return fmt.Errorf("%w: %q: a hard link to %q, which is no longer that file", ErrFormat, e.Name, first.Name)
	case e.Mode != first.Mode || e.UID != first.UID || e.GID != first.GID:
		return fmt.Errorf("%w: %q and %q: hard links of one file that differ in mode or owner", ErrFormat, first.Name, e.Name)
	}
	return nil
}

// refusesNode is an error where the kernel would make of a device node, a pipe or a socket a further name of another one.
func (u *unpacking) refusesNode(name string, e *Entry) error {
	if e.Nlink < 2 || e.IsFile() || e.IsLink() || e.IsDir() || len(e.Data) > 0 || !e.isKnownType() {
		return nil
	}
	k := nodeKey{linkKey{e.Ino, e.Dev}, e.Type()}
	first := u.nodes[k]
	if first == nil {
		u.nodes[k] = e
		return nil
	}
	at, err := u.kernelPlace(first.Name)
	if err == nil && (at == name || u.tree[at] != first || e.Rdev != first.Rdev || e.Mode != first.Mode || e.UID != first.UID || e.GID != first.GID) {
		err = fmt.Errorf("%w: %q: a hard link to %q, which is another node, or none", ErrFormat, e.Name, first.Name)
	}
	return err
}

// isFurtherName reports whether e is a further name of a file that is there.
func (e *Entry) isFurtherName() bool { return e.link != nil && e.link.members[0] != e }

// unpackEntry puts e at name as the kernel does (init/initramfs.c, do_name), or
// says that it does not.
func (u *unpacking) unpackEntry(name string, e *Entry) bool {
	dir, old := u.tree[path.Dir(name)], u.tree[name]
	switch {
	case name == "." && !e.IsDir():
		return false // the root stays what it is
	case !e.IsFile() && !e.IsLink() && (len(e.Data) > 0 || !e.isKnownType()):
		return false // passed over
	case dir == nil || !dir.IsDir():
		return false
	case len(path.Base(name)) > maxComponent, old == nil && name != "." && strings.HasSuffix(e.Name, "/."):
		return false // ENAMETOOLONG, ENOENT
	case old == nil:
		u.held[path.Dir(name)]++
	case old.IsDir() && !e.IsDir() && u.held[name] > 0:
		return false // rmdir fails, and what should come in its place with it
	case old.IsFile() && e.IsFile() && old.link != nil && !e.isFurtherName():
		if old.link.over == "" {
			u.over[name] = append(u.over[name], old.link)
		}
		old.link.over = name
	}
	if old != nil && leadsElsewhere(old, e) {
		u.changed++
		clear(u.dirs)
	}
	u.tree[name] = e
	return true
}

// shareModes gives all names of a file that was written into the mode and the owner that it was given.
func (u *unpacking) shareModes() {
	for name, groups := range u.over {
		o := u.tree[name]
		for _, g := range groups {
			for _, m := range g.members {
				m.Mode, m.UID, m.GID = o.Mode, o.UID, o.GID
			}
		}
	}
}

// linkTarget is where a symlink leads, as the kernel reads it.
func linkTarget(e *Entry) string {
	target, _, _ := strings.Cut(string(e.Data), "\x00")
	return target
}

type linkKey struct {
	ino uint32
	dev Device
}

func (e *Entry) joinLinkGroup(links map[linkKey]*linkGroup) {
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

// kernelPlace is where the kernel puts a name: its parent's symlinks followed, the
// last component as it is.
func (img *Image) kernelPlace(name string) (string, error) {
	p, err := img.placeClean(path.Clean(name))
	return p.real, err
}

// placeClean is kernelPlace of a name that path.Clean has made, so that all its parents are clean, too.
func (img *Image) placeClean(name string) (realParent, error) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return realParent{real: name}, nil
	}
	p, err := img.parentDir(name[:i])
	if err != nil {
		return realParent{}, err
	}
	if p.real == "." {
		p.real = name[i+1:]
	} else {
		p.real += name[i:]
	}
	if len(p.real) >= maxNameSize {
		return realParent{}, fmt.Errorf("%w: %.40q…: a path of %d bytes, through symlinks", ErrFormat, p.real, len(p.real))
	}
	return p, nil
}

// parentDir is where the directory leads that the archive calls name. What is
// known of its own parent is not found out again for each entry; deep trees
// would take for ever.
func (img *Image) parentDir(name string) (realParent, error) {
	if p, ok := img.dirs[name]; ok {
		return p, nil
	}
	p, err := img.placeClean(name)
	if err != nil {
		return realParent{}, err
	}
	e := img.tree[p.real]
	if e != nil && e.IsLink() {
		to, links, err := img.resolveLinks(p.real, true)
		if p.links += links; err == nil && p.links > maxSymlinks {
			err = tooManyLinks(name)
		}
		if err != nil {
			return realParent{}, err
		}
		p.real = to
		e = img.tree[to]
	}
	if e != nil { // else it may still come, as a symlink
		img.dirs[name] = p
	}
	return p, nil
}

func tooManyLinks(name string) error {
	return fmt.Errorf("%w: %q: too many levels of symbolic links", ErrFormat, name)
}

// resolveLinks follows all symlinks of name, and says how many. With strict a link that climbs above
// the root is an error; the kernel would stop at the root. A component that is
// not there stays as it is, but nothing leads on through one.
func (img *Image) resolveLinks(name string, strict bool) (string, int, error) {
	todo := strings.Split(path.Clean(name), "/")
	at, links := ".", 0
	for len(todo) > 0 {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".", "..":
			if e := img.tree[at]; e == nil || !e.IsDir() {
				return "", links, fmt.Errorf("%w: %q: it leads through %q, which is no directory", ErrFormat, name, at)
			}
			if part != ".." {
				continue
			}
			if at == "." && strict {
				return "", links, fmt.Errorf("%w: %q: it leads out of the archive through a symlink", ErrFormat, name)
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
		if links++; links > maxSymlinks {
			return "", links, tooManyLinks(name)
		}
		target := linkTarget(e)
		if strings.HasPrefix(target, "/") {
			at = "."
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return at, links, nil
}

// treeName makes an absolute or relative path a name as the tree has it.
func treeName(name string) string { return path.Clean(strings.TrimLeft(name, "/")) }

// Lookup returns the entry at name as the kernel leaves it, or nil. Symlinks
// are followed in all components but the last.
func (img *Image) Lookup(name string) *Entry {
	dir, base := path.Split(treeName(name))
	real, _, err := img.resolveLinks(dir, false)
	if err != nil {
		return nil
	}
	return img.tree[path.Join(real, base)]
}

// Resolve returns the name that name leads to, all symlinks followed, and
// whether something is there.
func (img *Image) Resolve(name string) (string, bool) {
	real, _, err := img.resolveLinks(treeName(name), false)
	return real, err == nil && img.tree[real] != nil
}

// FileAt returns the regular file that name leads to, nil where there is none.
func (img *Image) FileAt(name string) *Entry {
	real, ok := img.Resolve(name)
	if e := img.tree[real]; ok && e.IsFile() {
		return e
	}
	return nil
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
			e.seg.loadContents()
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
		names := img.names.Load()
		if names == nil {
			sorted := slices.Sorted(maps.Keys(img.tree))
			names = &sorted
			img.names.Store(names)
		}
		for _, name := range *names {
			if img.tree[name].seg != nil && !yield(name, img.tree[name]) {
				return
			}
		}
	}
}

// Ignored is the entries that the kernel does not unpack, because the
// directory they belong in is not there.
func (img *Image) Ignored() []*Entry { return img.ignored }
