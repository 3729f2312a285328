package sysroot

import (
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// beneath opens names below a directory by one call of the kernel each (openat2(2), Linux 5.6), which refuses whatever leads
// through a symbolic link. os.Root promises as much on any system, but opens and closes each directory on the way: most of the
// processor's time that a manifest of a root tree took went there.
type beneath struct {
	dir *os.File
	fd  int
}

// maxPath is what the kernel takes of a path at once, its zero byte included (PATH_MAX).
const maxPath = 4096

// openBeneath is nil where the kernel, or who confines this process, has no such call.
func openBeneath(root *os.Root) *beneath {
	dir, err := root.Open(".")
	if err != nil {
		return nil
	}
	b := &beneath{dir, int(dir.Fd())}
	if _, err := b.lstat("."); err != nil {
		dir.Close()
		return nil
	}
	return b
}

// takesName reports whether a name is for it.
func (b *beneath) takesName(name string) bool { return b != nil && len(name) < maxPath }

func (b *beneath) openAt(name string, flags uint64) (*beneathFile, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	f := &beneathFile{name: name}
	var err error
	if f.fd, err = withoutEINTR(func() (int, error) { return unix.Openat2(b.fd, name, &how) }); err != nil {
		return nil, &fs.PathError{Op: "openat2", Path: name, Err: err}
	}
	return f, nil
}

func (b *beneath) lstat(name string) (fs.FileInfo, error) {
	f, err := b.openAt(name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

func (b *beneath) readLink(name string) (string, error) {
	f, err := b.openAt(name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return "", err
	}
	defer f.Close()
	target := make([]byte, maxPath)
	n, err := unix.Readlinkat(f.fd, "", target)
	if err == unix.ENOENT { // what readlinkat(2) says of an empty path to what is no link
		err = unix.EINVAL
	}
	if err != nil {
		return "", &fs.PathError{Op: "readlinkat", Path: name, Err: err}
	}
	return string(target[:n]), nil
}

// open does not wait for who may write to a named pipe; of a regular file nothing is waited for in any case.
func (b *beneath) open(name string) (fs.File, error) {
	return b.openAt(name, unix.O_RDONLY|unix.O_NONBLOCK)
}

// beneathFile is an open file, of one goroutine. An [os.File] asks the kernel for three things more, and can wait for what is no regular file.
type beneathFile struct {
	name string
	fd   int
}

func (f *beneathFile) Read(b []byte) (int, error) {
	n, err := withoutEINTR(func() (int, error) { return unix.Read(f.fd, b) })
	switch {
	case err != nil:
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: err}
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

func (f *beneathFile) Stat() (fs.FileInfo, error) {
	i := &beneathInfo{name: path.Base(f.name)}
	if err := syscall.Fstat(f.fd, &i.stat); err != nil {
		return nil, &fs.PathError{Op: "fstat", Path: f.name, Err: err}
	}
	return i, nil
}

func (f *beneathFile) Close() error {
	fd := f.fd
	f.fd = -1 // which is no file's, should it be closed once more
	return unix.Close(fd)
}

// capabilitiesOf is the value of the extended attribute security.capability of an open file: what was opened is asked, no name, which
// may be another file's by then. It is nil where there is none, or on a file system without such attributes.
func capabilitiesOf(f fs.File) (value []byte, err error) {
	get := func(fd int) {
		var room [64]byte // the longest form that there is has 24
		var n int
		if n, err = withoutEINTR(func() (int, error) { return unix.Fgetxattr(fd, "security.capability", room[:]) }); err == nil {
			value = append([]byte{}, room[:n]...)
		}
	}
	switch f := f.(type) {
	case *beneathFile:
		get(f.fd)
	case *os.File:
		conn, closed := f.SyscallConn()
		if closed == nil {
			closed = conn.Control(func(fd uintptr) { get(int(fd)) })
		}
		if closed != nil {
			return nil, closed
		}
	}
	if err == unix.ENODATA || err == unix.EOPNOTSUPP {
		return nil, nil
	}
	return value, err
}

func withoutEINTR(call func() (int, error)) (n int, err error) {
	for n, err = call(); err == unix.EINTR; n, err = call() {
	}
	return n, err
}

// beneathInfo is what stat(2) says.
type beneathInfo struct {
	name string
	stat syscall.Stat_t
}

func (i *beneathInfo) Name() string       { return i.name }
func (i *beneathInfo) Size() int64        { return i.stat.Size }
func (i *beneathInfo) ModTime() time.Time { return time.Unix(i.stat.Mtim.Unix()) }
func (i *beneathInfo) IsDir() bool        { return i.stat.Mode&unix.S_IFMT == unix.S_IFDIR }
func (i *beneathInfo) Sys() any           { return &i.stat }

func (i *beneathInfo) Mode() fs.FileMode {
	m := fs.FileMode(i.stat.Mode & 0o777)
	for _, bits := range modeBits {
		if i.stat.Mode&bits.mask == bits.unix {
			m |= bits.mode
		}
	}
	return m
}

// modeBits are the bits of a mode that stat(2) and Go have different names for.
var modeBits = []struct {
	mask, unix uint32
	mode       fs.FileMode
}{
	{unix.S_IFMT, unix.S_IFDIR, fs.ModeDir}, {unix.S_IFMT, unix.S_IFLNK, fs.ModeSymlink}, {unix.S_IFMT, unix.S_IFIFO, fs.ModeNamedPipe},
	{unix.S_IFMT, unix.S_IFSOCK, fs.ModeSocket}, {unix.S_IFMT, unix.S_IFBLK, fs.ModeDevice}, {unix.S_IFMT, unix.S_IFCHR, fs.ModeDevice | fs.ModeCharDevice},
	{unix.S_ISUID, unix.S_ISUID, fs.ModeSetuid}, {unix.S_ISGID, unix.S_ISGID, fs.ModeSetgid}, {unix.S_ISVTX, unix.S_ISVTX, fs.ModeSticky},
}

func (b *beneath) close() error {
	if b == nil {
		return nil
	}
	return b.dir.Close()
}
