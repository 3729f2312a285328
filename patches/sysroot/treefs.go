package sysroot

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

var (
	_ fs.StatFS     = (*Tree)(nil)
	_ fs.ReadFileFS = (*Tree)(nil)
	_ fs.ReadDirFS  = (*Tree)(nil)
	_ fs.ReadLinkFS = (*Tree)(nil)
)

var errNotRegular = errors.New("not a regular file")

// validName accepts what [fs.ValidPath] does and, beyond that, names that are not UTF-8: a name of Linux is any
// bytes, and a file that could not be asked for would be in no manifest.
func validName(name string) bool { return fs.ValidPath(strings.ToValidUTF8(name, "?")) }

// resolveName resolves name, its last link too if follow is set.
func (t *Tree) resolveName(op, name string, follow bool) (string, error) {
	if !validName(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	dir, base := name, "."
	if !follow {
		dir, base = path.Dir(name), path.Base(name)
	}
	at, isDir, err := t.cachedDir(dir)
	if err == nil && !isDir && !follow {
		err = fs.ErrNotExist
	}
	if err != nil {
		return "", pathError(t, op, name, at, err)
	}
	return path.Join(at, base), nil
}

// infoAt is what is at name.
func (t *Tree) infoAt(op, name string, follow bool) (fs.FileInfo, error) {
	at, err := t.resolveName(op, name, follow)
	if err != nil {
		return nil, err
	}
	fi, err := t.lstat(at)
	if err != nil {
		return nil, pathError(t, op, name, at, err)
	}
	return fi, nil
}

// Stat describes the file that name leads to, under that file's own name.
func (t *Tree) Stat(name string) (fs.FileInfo, error) { return t.infoAt("stat", name, true) }

// Lstat describes the file or symbolic link at name.
func (t *Tree) Lstat(name string) (fs.FileInfo, error) { return t.infoAt("lstat", name, false) }

// ReadLink returns a symbolic link's target as it is stored: it may be absolute,
// and then means the tree's root.
func (t *Tree) ReadLink(name string) (string, error) {
	at, err := t.resolveName("readlink", name, false)
	if err != nil {
		return "", err
	}
	target, err := t.readLink(at)
	if err != nil {
		return "", pathError(t, "readlink", name, at, err)
	}
	return target, nil
}

// Open opens a regular file or a directory. Anything else is refused: a device or
// a named pipe of a foreign tree is nothing to open on the build host.
func (t *Tree) Open(name string) (fs.File, error) {
	at, err := t.resolveName("open", name, false)
	var info fs.FileInfo
	var parts []layerPart
	if err == nil {
		info, parts, err = t.cachedEntry(at)
	}
	if err != nil || info.Mode().Type() == fs.ModeSymlink { // else it was found by looking once
		if at, err = t.resolveName("open", name, true); err != nil {
			return nil, err
		}
		info, parts, err = t.cachedEntry(at)
	}
	if err != nil {
		return nil, pathError(t, "open", name, at, err)
	}
	return t.openEntry(name, at, info, parts)
}

// LookAt describes what is at name, as [Tree.Lstat] does, and opens it as it was found: who asks for both has it looked up once.
func (t *Tree) LookAt(name string) (info fs.FileInfo, open func() (fs.File, error), err error) {
	at, err := t.resolveName("lstat", name, false)
	if err != nil {
		return nil, nil, err
	}
	info, parts, err := t.cachedEntry(at)
	if err != nil {
		return nil, nil, pathError(t, "lstat", name, at, err)
	}
	return info, func() (fs.File, error) { return t.openEntry(name, at, info, parts) }, nil
}

// openEntry opens what was found at a place, and name was asked for.
func (t *Tree) openEntry(name, at string, info fs.FileInfo, parts []layerPart) (fs.File, error) {
	switch {
	case info.IsDir():
		return &dirFile{tree: t, path: name, info: info}, nil
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	f, err := t.layers[parts[0].level].open(parts[0].path)
	if err != nil {
		return nil, pathError(t, "open", name, at, err)
	}
	if n, ok := f.(*nodeFile); ok { // its size was limited when it was unpacked
		n.tree = t
		return n, nil
	}
	if info.Size() > t.limit {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: showName(name), Err: tooLong(t.limit)}
	}
	return &meteredFile{f, t}, nil
}

// maxReads is how often the limit of bytes may be read from all files: whoever describes a tree and attributes it to packages reads
// each file twice, and a patch reads what it copies once more than that.
const maxReads = 4

// meteredFile is a file of a directory. What a file without data, or a thousand
// small ones, may cost in time has a bound.
type meteredFile struct {
	fs.File
	tree *Tree
}

func (f *meteredFile) Read(b []byte) (int, error) { return f.tree.countRead(f.File.Read(b)) }

// Capabilities is the value of the extended attribute security.capability, nil where there is none (what a manifest knows file capabilities by).
func (f *meteredFile) Capabilities() ([]byte, error) { return capabilitiesOf(f.File) }

// countRead counts what a Read has returned, and returns that unless it was too much.
func (t *Tree) countRead(n int, err error) (int, error) {
	if t.read.Add(int64(n))/maxReads > t.limit {
		return 0, fmt.Errorf("the files of the root tree: %w", tooLong(t.limit*maxReads))
	}
	return n, err
}

// ReadFile reads a regular file.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	f, err := t.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := int64(bytes.MinRead)
	if info, err := f.Stat(); err == nil { // a hint: a sparse file's size is a claim
		size += min(info.Size(), fileLimit)
	}
	b := bytes.NewBuffer(make([]byte, size)[:0])
	if _, err := b.ReadFrom(f); err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: bareCause(err)}
	}
	return b.Bytes(), nil
}

// ReadDir lists a directory of all layers, sorted. Names may be of any bytes, and are what [Tree.Open] takes.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	at, err := t.resolveName("readdir", name, true)
	if err != nil {
		return nil, err
	}
	parts, err := t.layerParts(at)
	if err != nil {
		return nil, pathError(t, "readdir", name, at, err)
	}
	seen := map[string]bool{}
	var list []fs.DirEntry
	for _, p := range parts {
		entries, err := t.layers[p.level].readDir(p.path)
		if err != nil {
			return nil, pathError(t, "readdir", name, at, err)
		}
		for _, e := range entries {
			base := e.Name()
			if seen[base] || t.movedAway(layerPart{p.level, path.Join(p.path, base)}) {
				continue
			}
			seen[base] = true
			list = append(list, dirEntry{tree: t, path: path.Join(at, base), mode: e.Type()})
		}
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return list, nil
}

// dirEntry asks for the rest of its information only when somebody wants it.
type dirEntry struct {
	tree *Tree
	path string
	mode fs.FileMode
}

func (e dirEntry) Name() string               { return path.Base(e.path) }
func (e dirEntry) IsDir() bool                { return e.mode.IsDir() }
func (e dirEntry) Type() fs.FileMode          { return e.mode }
func (e dirEntry) Info() (fs.FileInfo, error) { return e.tree.Lstat(e.path) }
func (e dirEntry) String() string             { return fs.FormatDirEntry(e) }

// dirFile is an open directory; it is read at the first ReadDir.
type dirFile struct {
	tree *Tree
	path string
	info fs.FileInfo
	rest []fs.DirEntry
	read bool
}

func (d *dirFile) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *dirFile) Close() error               { return nil }

func (d *dirFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.path, Err: errors.New("is a directory")}
}

func (d *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		list, err := d.tree.ReadDir(d.path)
		if err != nil {
			return nil, err
		}
		d.rest, d.read = list, true
	}
	if n <= 0 {
		n = len(d.rest)
	} else if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	list := d.rest[:n:n]
	d.rest = d.rest[n:]
	return list, nil
}
