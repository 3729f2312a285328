package sidefile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Aside is a file that is written beside the one that it becomes, under a name that nobody knows beforehand: what others have
// put at either name is not written through, and until it is complete nobody but its owner can read it, mode 0600. It is
// locked (flock(2)) for as long as somebody is at work on it: a file without a lock was left by a run that was killed.
type Aside struct {
	*os.File          // for writing, until it is complete
	lock     *os.File // the same open file, which holds the lock
	dir      *os.Root
	name     string // in dir
}

// asideSuffix ends the names of files that are not complete.
const asideSuffix = ".groundhog-part"

// asidePrefix begins them: they are hidden. Of a long name they have the beginning alone, or no file system would take them (NAME_MAX).
func asidePrefix(name string) string {
	const most = 100
	base := filepath.Base(name)
	if len(base) > most {
		base = strings.ToValidUTF8(base[:most], "")
	}
	return "." + base + "."
}

// NewAside starts the file that becomes name in dir, or in a directory below it. What a run that was killed has left of that name is removed.
func NewAside(dir *os.Root, name string) (*Aside, error) {
	removeLeft(dir, name)
	for {
		a := &Aside{dir: dir, name: filepath.Join(filepath.Dir(name), asidePrefix(name)+rand.Text()[:10]+asideSuffix)}
		var err error
		a.File, err = dir.OpenFile(a.name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if cause, ok := errors.AsType[*fs.PathError](err); ok { // the name is ours, and nobody knows it
			return nil, fmt.Errorf("creating a file in %s: %w", filepath.Join(dir.Name(), filepath.Dir(name)), cause.Err)
		}
		if err == nil {
			a.File, err = renamedFile(a.File, filepath.Join(dir.Name(), name))
		}
		if err != nil {
			return nil, err
		}
		// The umask may have taken bits of 0600 away. Where there are no locks, what is left stays.
		err = a.Chmod(0o600)
		if lock := unix.Flock(int(a.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil && lock != unix.EWOULDBLOCK && sameFile(dir, a.name, a.File) {
			return a, nil
		}
		if err != nil {
			a.Discard()
			return nil, err
		}
		a.File.Close() // between its making and its lock somebody took it for left over: once more
	}
}

// renamedFile is a file by another name, which its errors have: nobody is helped by that of an incomplete file, which is gone then.
func renamedFile(f *os.File, name string) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Complete says that all is written, and gives the file its permission bits. It keeps its name and its lock.
func (a *Aside) Complete(perm fs.FileMode) error {
	fd, err := unix.FcntlInt(a.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		a.lock = os.NewFile(uintptr(fd), a.name) // a lock goes with the last descriptor of an open file
	}
	return errors.Join(err, a.Chmod(perm), a.File.Close())
}

// Become gives a complete file its name, in place of what was there.
func (a *Aside) Become(name string) error {
	if err := a.dir.Rename(a.name, name); err != nil {
		return err
	}
	return a.lock.Close()
}

// BecomeFirst is Become where nothing has the name yet; else the error is fs.ErrExist.
func (a *Aside) BecomeFirst(name string) error {
	defer a.Discard()
	return a.dir.Link(a.name, name)
}

// Discard removes the file, unless it has become another.
func (a *Aside) Discard() {
	a.dir.Remove(a.name)
	a.File.Close()
	if a.lock != nil {
		a.lock.Close()
	}
}

// Replace writes a file of mode 0600, whole or not at all.
func Replace(dir *os.Root, name string, write func(*os.File) error) error {
	a, err := NewAside(dir, name)
	if err != nil {
		return err
	}
	defer a.Discard()
	if err := errors.Join(write(a.File), a.Complete(0o600)); err != nil {
		return err
	}
	return a.Become(name)
}

// sameFile reports whether name still is f.
func sameFile(dir *os.Root, name string, f *os.File) bool {
	a, errA := f.Stat()
	b, errB := dir.Lstat(name)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// removeLeft removes the incomplete files that killed runs have left of name: those that are ours and that nobody has locked.
func removeLeft(dir *os.Root, name string) {
	at := filepath.Dir(name)
	entries, err := fs.ReadDir(dir.FS(), filepath.ToSlash(at))
	if err != nil {
		return // whoever creates the file will say so
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), asidePrefix(name)) && strings.HasSuffix(e.Name(), asideSuffix) && e.Type().IsRegular() {
			removeUnlocked(dir, filepath.Join(at, e.Name()))
		}
	}
}

func removeUnlocked(dir *os.Root, name string) {
	f, err := dir.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !ownRegular(info) || unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || !sameFile(dir, name, f) {
		return
	}
	dir.Remove(name)
}

func ownRegular(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().IsRegular() && int(st.Uid) == os.Geteuid()
}
