package patches

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"groundhog/initrd"
)

// archiveFS is an archive, as the kernel unpacks it, for who reads root trees.
type archiveFS struct{ img *initrd.Image }

func (a archiveFS) statFile(op, name string, follow bool) (*archiveFile, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	at, ok := name, true
	if follow {
		at, ok = a.img.Resolve(name)
	}
	e := a.img.Lookup(at)
	if name == "." {
		return &archiveFile{fsys: a, name: ".", mode: fs.ModeDir | 0o755}, nil
	}
	if !ok || e == nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	f := &archiveFile{fsys: a, name: at, e: e, mode: fs.FileMode(e.Perm() & 0o777)}
	switch {
	case e.IsDir():
		f.mode |= fs.ModeDir
	case e.IsLink():
		f.mode |= fs.ModeSymlink
	case !e.IsFile():
		f.mode |= fs.ModeIrregular
	}
	return f, nil
}

func (a archiveFS) Open(name string) (fs.File, error) {
	f, err := a.statFile("open", name, true)
	if err != nil {
		return nil, err
	}
	if f.mode.IsRegular() {
		f.Reader = bytes.NewReader(a.img.Content(f.e))
	}
	if f.mode.IsDir() {
		list, err := a.ReadDir(name)
		return &archiveDir{f, list}, err
	}
	return f, nil
}

func (a archiveFS) Lstat(name string) (fs.FileInfo, error) {
	f, err := a.statFile("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return archiveInfo{f}, nil
}

func (a archiveFS) ReadLink(name string) (string, error) {
	f, err := a.statFile("readlink", name, false)
	if err == nil && f.mode.Type() != fs.ModeSymlink {
		err = &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	if err != nil {
		return "", err
	}
	return string(f.e.Data), nil
}

func (a archiveFS) ReadDir(name string) ([]fs.DirEntry, error) {
	dir, err := a.statFile("readdir", name, true)
	if err != nil {
		return nil, err
	}
	var list []fs.DirEntry
	for at := range a.img.Tree() {
		if path.Dir(at) == dir.name && at != "." {
			if f, err := a.statFile("readdir", at, false); err == nil {
				list = append(list, fs.FileInfoToDirEntry(archiveInfo{f}))
			}
		}
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// archiveFile is an entry as a file.
type archiveFile struct {
	*bytes.Reader // of a regular file
	fsys          archiveFS
	name          string
	e             *initrd.Entry // nil: the root directory
	mode          fs.FileMode
}

func (f *archiveFile) Close() error               { return nil }
func (f *archiveFile) Held() []byte               { return f.fsys.img.Content(f.e) } // of a regular file
func (f *archiveFile) Stat() (fs.FileInfo, error) { return archiveInfo{f}, nil }
func (f *archiveFile) Read(b []byte) (int, error) {
	if f.Reader == nil {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
	}
	return f.Reader.Read(b)
}

// archiveDir is a directory whose list has not been read to its end.
type archiveDir struct {
	*archiveFile
	rest []fs.DirEntry
}

func (d *archiveDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(d.rest)
	} else if len(d.rest) == 0 {
		return nil, io.EOF
	}
	list := d.rest[:min(n, len(d.rest))]
	d.rest = d.rest[len(list):]
	return list, nil
}

type archiveInfo struct{ f *archiveFile }

func (i archiveInfo) Name() string       { return path.Base(i.f.name) }
func (i archiveInfo) Mode() fs.FileMode  { return i.f.mode }
func (i archiveInfo) ModTime() time.Time { return time.Time{} }
func (i archiveInfo) IsDir() bool        { return i.f.mode.IsDir() }
func (i archiveInfo) Sys() any           { return nil }
func (i archiveInfo) Size() int64 {
	if !i.f.mode.IsRegular() {
		return 0
	}
	return i.f.fsys.img.ContentSize(i.f.e)
}
