package sysroot

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"groundhog/initrd/debian"
)

// A Tree is layers seen as one. It may be used by several goroutines at once.
type Tree struct {
	layers []namedLayer // the lowest first
	moves  []dirMove

	packages []Package // of all layers
	unpacked int64     // bytes that they came to

	limit int64        // bytes of one file of a directory
	read  atomic.Int64 // bytes of all that was read of files

	mu    sync.Mutex
	known map[string]treePlace // directories and links looked up so far
	dirs  map[string]string    // directories by the names that they were asked for by, to where they are

	parsed sync.Map // of every [Closure]
}

// A treePlace is what is at a name: one part for a file or a link, all that merge for a directory.
type treePlace struct {
	info  fs.FileInfo
	parts []layerPart
}

type namedLayer struct {
	name string
	layerStore
}

// A layerPart is what one layer holds of a directory, under its name in that layer.
type layerPart struct {
	level int
	path  string
}

// A dirMove says that a layer's directory at from is seen at to, because a layer
// below has a symbolic link there that leads to it.
type dirMove struct {
	level    int
	from, to string
}

func newTree() *Tree { return &Tree{known: map[string]treePlace{}, dirs: map[string]string{}} }

// Open lays the layers over one another, the last one on top.
func Open(layers ...Layer) (*Tree, error) {
	if len(layers) == 0 {
		return nil, errors.New("opening the root tree: no layer given")
	}
	t := newTree()
	for _, l := range layers {
		t.limit = max(t.limit, l.limit)
		if err := t.addLayer(l); err != nil {
			return nil, errors.Join(fmt.Errorf("opening the root tree: %w", err), t.Close())
		}
	}
	return t, nil
}

func (t *Tree) addLayer(l Layer) error {
	if l.debs {
		p, err := unpackDebs(l, t)
		if err != nil {
			return err
		}
		t.pushLayer(namedLayer{l.path, p.mem}, nil)
		t.packages = append(t.packages, p.packages...)
		t.unpacked = p.limit - p.left
		return nil
	}
	d, err := openHostDir(l.path)
	if err != nil {
		return err
	}
	var moves []dirMove
	for _, name := range debian.MergedDirs {
		fi, err := d.lstat(name)
		if err != nil || !fi.IsDir() {
			continue
		}
		if low, err := t.lstat(name); err != nil || low.Mode().Type() != fs.ModeSymlink {
			continue
		}
		if to, low, err := walkLinks(t, name); err == nil && low.IsDir() {
			moves = append(moves, dirMove{len(t.layers), name, to})
		}
	}
	t.pushLayer(namedLayer{l.path, d}, moves)
	return nil
}

func (t *Tree) pushLayer(l namedLayer, moves []dirMove) {
	t.layers = append(t.layers, l)
	t.moves = append(t.moves, moves...)
	clear(t.known)
	clear(t.dirs)
	t.parsed.Clear()
}

// Close lets go of the directories. Packages need no closing.
func (t *Tree) Close() error {
	var errs []error
	for _, l := range t.layers {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// Layers names the layers, the lowest first, as they were given.
func (t *Tree) Layers() []string {
	var names []string
	for _, l := range t.layers {
		names = append(names, l.name)
	}
	return names
}

// layerParts is what the layers hold of a directory, the topmost first.
func (t *Tree) layerParts(dir string) ([]layerPart, error) {
	fi, list, err := t.cachedEntry(dir)
	if err == nil && !fi.IsDir() {
		err = syscall.ENOTDIR
	}
	return list, err
}

// cachedEntry is what is at name, which has no symbolic link among its directories. Directories and links are asked for
// again and again, on the way to all that is in them; they are looked up once.
func (t *Tree) cachedEntry(name string) (fs.FileInfo, []layerPart, error) {
	t.mu.Lock()
	p, ok := t.known[name]
	t.mu.Unlock()
	if ok {
		return p.info, p.parts, nil
	}
	info, parts, err := t.lookUpEntry(name)
	if err == nil && info.Mode()&(fs.ModeDir|fs.ModeSymlink) != 0 {
		t.mu.Lock()
		t.known[name] = treePlace{info, parts}
		t.mu.Unlock()
	}
	return info, parts, err
}

// maxNamedDirs is how many names of directories are remembered: through links one has any number of them.
const maxNamedDirs = 1 << 16

// cachedDir is where name leads, links followed, and whether that is a directory: where one is it is found out once. With an error it
// returns where it got stuck.
func (t *Tree) cachedDir(name string) (at string, isDir bool, err error) {
	t.mu.Lock()
	at, ok := t.dirs[name]
	t.mu.Unlock()
	if ok {
		return at, true, nil
	}
	at, info, err := walkLinks(t, name)
	if err != nil || !info.IsDir() {
		return at, false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirs) < maxNamedDirs {
		t.dirs[name] = at
	}
	return at, true, nil
}

// lookUpEntry is cachedEntry, looked up.
func (t *Tree) lookUpEntry(name string) (fs.FileInfo, []layerPart, error) {
	if name == "." {
		return t.rootEntry()
	}
	parents, err := t.layerParts(path.Dir(name))
	if err != nil {
		return nil, nil, err
	}
	var info fs.FileInfo
	var found []layerPart
	for _, p := range parents {
		at := layerPart{p.level, path.Join(p.path, path.Base(name))}
		if t.movedAway(at) {
			continue
		}
		fi, err := t.layers[at.level].lstat(at.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if info == nil {
			info = fi
		} else if !fi.IsDir() {
			break // hidden, with all below it
		}
		found = append(found, at)
		if !fi.IsDir() {
			return info, found, nil
		}
	}
	if info == nil {
		return nil, nil, fs.ErrNotExist
	}
	return info, t.movedHere(name, found), nil
}

func (t *Tree) rootEntry() (fs.FileInfo, []layerPart, error) {
	if len(t.layers) == 0 {
		return nil, nil, fs.ErrNotExist
	}
	var all []layerPart
	for i := range slices.Backward(t.layers) {
		all = append(all, layerPart{i, "."})
	}
	fi, err := t.layers[len(t.layers)-1].lstat(".")
	return fi, all, err
}

func (t *Tree) movedAway(p layerPart) bool {
	return slices.ContainsFunc(t.moves, func(m dirMove) bool { return m.level == p.level && m.from == p.path })
}

func (t *Tree) movedHere(dir string, parts []layerPart) []layerPart {
	for _, m := range t.moves {
		if m.to == dir {
			parts = append(parts, layerPart{m.level, m.from})
		}
	}
	slices.SortStableFunc(parts, func(a, b layerPart) int { return b.level - a.level })
	return parts
}

func (t *Tree) lstat(name string) (fs.FileInfo, error) {
	fi, _, err := t.cachedEntry(name)
	return fi, err
}

func (t *Tree) readLink(name string) (string, error) {
	info, parts, err := t.cachedEntry(name)
	if err == nil && info.Mode().Type() != fs.ModeSymlink {
		err = syscall.EINVAL // as readlink(2) says
	}
	if err != nil {
		return "", err
	}
	return t.layers[parts[0].level].readLink(parts[0].path)
}
