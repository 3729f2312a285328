package sysroot

import (
	"io/fs"
	"os"
	"path"

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
	f, err := b.openAt(".", unix.O_PATH)
	if err != nil {
		dir.Close()
		return nil
	}
	f.Close()
	return b
}

// takesName reports whether a name is for it.
func (b *beneath) takesName(name string) bool { return b != nil && len(name) < maxPath }

func (b *beneath) openAt(name string, flags uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	for {
		fd, err := unix.Openat2(b.fd, name, &how)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &fs.PathError{Op: "openat2", Path: name, Err: err}
		}
		if flags&unix.O_NONBLOCK != 0 { // it was for the opening; files are not polled
			unix.SetNonblock(fd, false)
		}
		return os.NewFile(uintptr(fd), path.Base(name)), nil
	}
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
	n, err := unix.Readlinkat(int(f.Fd()), "", target)
	if err == unix.ENOENT { // what readlinkat(2) says of an empty path to what is no link
		err = unix.EINVAL
	}
	if err != nil {
		return "", &fs.PathError{Op: "readlinkat", Path: name, Err: err}
	}
	return string(target[:n]), nil
}

func (b *beneath) open(name string) (*os.File, error) {
	return b.openAt(name, unix.O_RDONLY|unix.O_NONBLOCK)
}

func (b *beneath) close() error {
	if b == nil {
		return nil
	}
	return b.dir.Close()
}
