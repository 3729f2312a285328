package sysroot

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"groundhog/initrd/debian"
)

// Bounds of path_resolution(7) and of PATH_MAX, in links and in bytes.
const (
	maxLinks  = 40
	maxTarget = 4095
)

// plainFS is any other file system as a nameLookup.
type plainFS struct{ fs.FS }

func (p plainFS) lstat(name string) (fs.FileInfo, error) { return fs.Lstat(p.FS, name) }
func (p plainFS) readLink(name string) (string, error)   { return fs.ReadLink(p.FS, name) }

func lookupIn(fsys fs.FS) nameLookup {
	if t, ok := fsys.(*Tree); ok {
		return t
	}
	return plainFS{fsys}
}

// walkLinks follows name, which may hold "..", to a name without symbolic links, and
// says what is there. With an error it returns where it got stuck.
func walkLinks(l nameLookup, name string) (string, fs.FileInfo, error) {
	at, rest, links := ".", name, 0
	info, err := l.lstat(at)
	if err != nil {
		return at, nil, err
	}
	for more := rest != ""; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if !info.IsDir() {
			return at, nil, syscall.ENOTDIR
		}
		next := path.Join(at, part) // "..", "." and "" included: at has no links
		if part == ".." && at == "." {
			next = "."
		}
		if !validName(next) {
			return at, nil, fs.ErrInvalid
		}
		if info, err = l.lstat(next); err != nil {
			return next, nil, err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			at = next
			continue
		}
		target, err := l.readLink(next)
		if err == nil {
			links++
			err = checkLink(target, links)
		}
		if err != nil {
			return next, nil, err
		}
		if target[0] == '/' {
			at = "."
		}
		if more {
			target += "/" + rest
		}
		rest, more = target, true
		if info, err = l.lstat(at); err != nil {
			return at, nil, err
		}
	}
	return at, info, nil
}

func checkLink(target string, links int) error {
	switch {
	case links > maxLinks:
		return syscall.ELOOP
	case target == "":
		return fs.ErrNotExist
	case len(target) > maxTarget:
		return syscall.ENAMETOOLONG
	}
	return nil
}

// Resolve returns the name of the same file with every symbolic link followed
// inside fsys. The file must exist. fsys should implement fs.ReadLinkFS; without,
// nothing is taken for a link.
func Resolve(fsys fs.FS, name string) (string, error) {
	if !validName(name) {
		return "", &fs.PathError{Op: "resolve", Path: name, Err: fs.ErrInvalid}
	}
	at, _, err := walkLinks(lookupIn(fsys), name)
	if err != nil {
		return "", pathError(fsys, "resolve", name, at, err)
	}
	return at, nil
}

// A movedDir is a directory that programs know by a name at which a tree has a link to another place.
type movedDir struct{ at, name string }

// movedDirs is those of /usr and of what is merged into it. Where a link leads from one of these to another all is known by either name.
func movedDirs(fsys fs.FS) (moved []movedDir) {
	var merged []string
	for _, dir := range debian.MergedDirs {
		merged = append(merged, "usr/"+dir)
	}
	merged = append(merged, debian.MergedDirs...)
	for _, name := range append(slices.Clone(merged), "usr") {
		at, err := Resolve(fsys, name)
		inPlace := slices.ContainsFunc(merged, func(dir string) bool { return strings.HasPrefix(at+"/", dir+"/") })
		if err == nil && at != "usr" && !inPlace {
			moved = append(moved, movedDir{at, name})
		}
	}
	slices.SortStableFunc(moved, func(a, b movedDir) int { return len(b.at) - len(a.at) })
	return moved
}

// Named is the name by which programs know what is at a path free of links: where a tree has /usr, or a directory that is merged into it, at another
// place, and a link to that, it is the link's name that counts.
func Named(fsys fs.FS, at string) string { return named(movedDirs(fsys), at) }

func named(moved []movedDir, at string) string {
	for _, m := range moved {
		if below, ok := strings.CutPrefix(at, m.at+"/"); ok {
			return path.Join(m.name, below)
		}
	}
	return at
}

// Find returns the first of the names that exists in fsys, links followed.
// Each is also tried as its twin of the merged /usr: packages of a release that
// has /lib as a link to /usr/lib may still carry lib/x or usr/lib/x, and a tree of
// packages alone has no such link. The twin, if it is the one there, is returned.
func Find(fsys fs.FS, names ...string) (string, error) {
	var trouble error
	for _, name := range names {
		for _, try := range []string{name, debian.UsrTwin(name)} {
			if try == "" {
				continue
			}
			_, err := Resolve(fsys, try)
			if err == nil {
				return try, nil
			}
			if !isAbsent(err) {
				trouble = cmp.Or(trouble, err)
			}
		}
	}
	if trouble != nil {
		return "", trouble
	}
	return "", &NotFound{Name: strings.Join(names, " or "), Layers: layersOf(fsys)}
}

// isAbsent reports whether err means that there is no such file.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// NotFound says that a name is in none of a tree's layers. errors.Is finds
// fs.ErrNotExist in it.
type NotFound struct {
	Name   string
	At     string   // the name that Name's symbolic links lead to, if it is another
	Layers []string // empty for a file system that is no Tree
}

func (e *NotFound) Error() string {
	s := showName(e.Name) + ": "
	if e.At != "" && e.At != e.Name {
		s += "leads to " + showName(e.At) + ", "
	}
	s += "not found"
	if len(e.Layers) > 0 {
		s += " in " + strings.Join(e.Layers, ", ")
	}
	return s
}

func (e *NotFound) Unwrap() error { return fs.ErrNotExist }

func layersOf(fsys fs.FS) []string {
	if t, ok := fsys.(*Tree); ok {
		return t.Layers()
	}
	return nil
}

// showName is a name for a message. Names come from foreign files: one that is not
// plain text is quoted, so that a message stays one line and no terminal obeys it.
func showName(name string) string {
	if q := strconv.Quote(name); q[1:len(q)-1] != name {
		return q
	}
	return name
}

// pathError is the error for an operation on name that got stuck at another.
func pathError(fsys fs.FS, op, name, at string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: op, Path: showName(name), Err: bareCause(err)}
	}
	e := &NotFound{Name: name, Layers: layersOf(fsys)}
	if !strings.HasPrefix(name, at) {
		e.At = at
	}
	return e
}
