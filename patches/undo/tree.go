// Package undo edits a root tree so that it can be undone.
//
// A [Tree] reads files, notes what they are to become, and works out the [Change]s
// that lead there; [Write] makes them on the disk, all or none. What was there
// before is kept in the tree itself, below [KeepDir], and [Revert] works out the
// way back, as long as nobody else changed the files since.
package undo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"groundhog/patches/sysroot"
)

// Edit is a change to a text; it changes nothing where it has been made.
type Edit = func(text []byte) ([]byte, error)

// Change is one file of a root tree, before and after.
type Change struct {
	Path   string      // below the root, free of symbolic links
	Before []byte      // nil: there is no such file
	After  []byte      // nil: it is to be removed
	Mode   fs.FileMode // permission bits to have afterwards
	Like   string      // the file whose time of modification it takes, by path; "": now
}

// Tree is a root tree under work. Nothing in it is written.
type Tree struct {
	Of      string   // what the tree is of, for messages: "bookworm"
	Touched []string // paths that were set; the caller empties it
	Notes   []string // what the user should know

	root   fs.FS
	keeper *keeper
	state  *undoState        // of an earlier run, or nil
	files  map[string]*File  // by resolved path
	names  map[string]string // name asked for, resolved path
}

// File is a file at three times.
type File struct {
	original []byte // as it is without us; nil: none
	Current  []byte
	After    []byte
	Mode     fs.FileMode // permission bits to have afterwards; 0: those of a new file
	nowMode  fs.FileMode // of Current
}

// Open begins to work on a root tree.
func Open(root fs.FS) (*Tree, error) {
	t := &Tree{root: root, files: map[string]*File{}, names: map[string]string{}}
	var err error
	if t.keeper, err = openKeeper(root); err != nil {
		return nil, err
	}
	t.state, err = t.keeper.readState()
	return t, err
}

func (t *Tree) addNote(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

// At is where the file lies that was loaded under a name.
func (t *Tree) At(name string) string { return t.names[name] }

// File is the loaded file at a path, nil of others.
func (t *Tree) File(at string) *File { return t.files[at] }

// maxFile bounds the files of a root tree that are read to be edited: each
// is a text of a few kilobytes.
const maxFile = 16 << 20

// Load reads the file at name, once. Its original is the copy that an earlier run
// kept, unless somebody changed the file since. Then the original is what is there
// now, and pristine (which may be nil) takes groundhog's own lines out.
func (t *Tree) Load(name string, pristine Edit) (*File, error) {
	at, ok := t.names[name]
	if !ok {
		var err error
		if at, err = placeInTree(t.root, name); err != nil {
			return nil, err
		}
		t.names[name] = at
		t.noteLinks(name, at)
	}
	if f := t.files[at]; f != nil {
		return f, nil
	}
	f, err := readTreeFile(t.root, at)
	if err != nil {
		return nil, err
	}
	f.original = f.Current
	if e := t.state.entryFor(at); e != nil && e.wroteHash(sumIfThere(f.Current)) && sumIfThere(f.Current) != e.Before {
		kept, err := t.keeper.originalOf(e)
		if err != nil {
			return nil, err
		}
		f.original = kept.Current
	}
	if f.original != nil && pristine != nil {
		if f.original, err = pristine(f.original); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", name, t.Of, err)
		}
	}
	f.After = f.original
	t.files[at] = f
	return f, nil
}

// noteLinks says which link makes the file at name that at another place, once of a directory's.
func (t *Tree) noteLinks(name, at string) {
	for from, rest := "", name; rest != "" && name != at; {
		part, below, _ := strings.Cut(rest, "/")
		from, rest = path.Join(from, part), below
		to, err := sysroot.Resolve(t.root, from)
		if err != nil {
			return // it is to be made
		}
		if to == from {
			continue
		}
		note := fmt.Sprintf("%s leads to %s, which is what is changed", from, to)
		if rest != "" {
			note = fmt.Sprintf("%s leads to %s, and what is below is changed there", from, to)
		}
		if !slices.Contains(t.Notes, note) {
			t.Notes = append(t.Notes, note)
		}
		name = path.Join(to, rest)
		from = to
	}
}

// readTreeFile reads what is at a path free of links.
func readTreeFile(root fs.FS, at string) (*File, error) {
	r, err := root.Open(at)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{}, nil
	} else if err != nil {
		return nil, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", at)
	}
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s: more than %d bytes", at, maxFile)
	}
	if b == nil {
		b = []byte{}
	}
	return &File{Current: b, Mode: info.Mode().Perm(), nowMode: info.Mode().Perm()}, err
}

// placeInTree is where name leads, links followed inside the tree; what is not there
// yet is placed below what is.
func placeInTree(root fs.FS, name string) (string, error) {
	at, err := sysroot.Resolve(root, name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || name == "." {
		return at, err
	}
	dir, err := placeInTree(root, path.Dir(name))
	if err != nil {
		return "", err
	}
	at = path.Join(dir, path.Base(name))
	if _, err := fs.Lstat(root, at); err == nil {
		return "", fmt.Errorf("%s: a symbolic link that leads nowhere", at)
	}
	return at, nil
}

// Edit changes a text that is there already, or makes one where there is none.
func (t *Tree) Edit(name string, pristine, change Edit) error {
	f, err := t.Load(name, pristine)
	if err != nil {
		return err
	}
	after, err := change(bytes.Clone(f.After))
	if err != nil {
		return fmt.Errorf("%s of %s: %w", name, t.Of, err)
	}
	t.Set(name, f, 0o644, after)
	return nil
}

// Wrote reports whether an earlier run knew the file at a name that was loaded, and whether what is there now is what it wrote.
func (t *Tree) Wrote(name string) (known, wrote bool) {
	at := t.names[name]
	e := t.state.entryFor(at)
	return e != nil, e != nil && e.wroteHash(sumIfThere(t.files[at].Current))
}

// HasState reports whether an earlier run left word of what it did.
func (t *Tree) HasState() bool { return t.state != nil }

// Own writes a file that is groundhog's alone: no original, and its mode is ours.
func (t *Tree) Own(name string, mode fs.FileMode, data []byte) error {
	f, err := t.Load(name, nil)
	if err != nil {
		return err
	}
	f.original, f.Mode = nil, 0
	t.Set(name, f, mode, data)
	return nil
}

// Keep leaves the file as it is now, even where an earlier run made it so.
func (t *Tree) Keep(name string) error {
	f, err := t.Load(name, nil)
	if err == nil {
		f.After = f.Current
	}
	return err
}

// Set notes the new content of a file that was loaded under that name. mode is
// that of a new file.
func (t *Tree) Set(name string, f *File, mode fs.FileMode, after []byte) {
	f.After = after
	if f.Mode == 0 {
		f.Mode = mode
	}
	if at := t.names[name]; !slices.Contains(t.Touched, at) {
		t.Touched = append(t.Touched, at)
	}
}

// Paths is those of all loaded files, sorted.
func (t *Tree) Paths() []string { return slices.Sorted(maps.Keys(t.files)) }

// needsWriting reports whether the file has to be written.
func (f *File) needsWriting() bool {
	return (f.After == nil) != (f.Current == nil) || !bytes.Equal(f.After, f.Current) ||
		f.After != nil && f.Mode != f.nowMode
}

// changesOriginal reports whether groundhog makes the file other than it was.
func (f *File) changesOriginal() bool {
	return (f.After == nil) != (f.original == nil) || !bytes.Equal(f.After, f.original)
}
