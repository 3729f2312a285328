// Package sidefile opens the files beside the work, which somebody else may have put there: known_hosts, an
// ssh configuration, a record. A FIFO would keep a reader waiting for ever and a device would act on being
// opened, so nothing but a regular file is read, and none waits. A file that decides something is believed only
// where nobody but its reader, or root, could have written it.
package sidefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrKind is that a name leads to something else than a regular file.
var ErrKind = errors.New("not a regular file")

// ErrStranger is that somebody else than us or root could have written a file.
var ErrStranger = errors.New("not believed")

// Open opens a regular file for reading. A symbolic link is followed. The error names what else is there.
func Open(name string) (*os.File, error) { return openOwn(name, 0) }

// OpenHere is Open for a name that must not be a symbolic link.
func OpenHere(name string) (*os.File, error) { return openOwn(name, unix.O_NOFOLLOW) }

func openOwn(name string, flag int) (*os.File, error) {
	// open(2): O_NONBLOCK keeps a FIFO without a writer from waiting, and means nothing for a regular file.
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|flag, 0)
	if errors.Is(err, syscall.ELOOP) && flag&unix.O_NOFOLLOW != 0 {
		return nil, fmt.Errorf("%s: a symbolic link: %w", name, ErrKind)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %s: %w", name, kindOf(info.Mode()), ErrKind)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "of a strange kind"
}

// Others are who besides its owner may be able to write to a file that is believed, as permission bits.
const (
	Nobody = fs.FileMode(0o022) // neither its group nor anybody
	Group  = fs.FileMode(0o002) // its group may: a umask of 002 with a group for each user
)

// Believe is nil where a file, and a symbolic link that leads to it by this name, belong to us or to root and
// nobody else can write to the file. mask is Nobody or Group.
func Believe(f *os.File, mask fs.FileMode) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := checkOwner(f.Name(), info); err != nil {
		return err
	}
	if others := info.Mode().Perm() & mask; others != 0 {
		return fmt.Errorf("%s: others may write to it (mode %04o): %w", f.Name(), info.Mode().Perm(), ErrStranger)
	}
	link, err := os.Lstat(f.Name())
	if err != nil || link.Mode()&fs.ModeSymlink == 0 {
		return err
	}
	return checkOwner(f.Name(), link)
}

// BelieveBeside is nil where whoever could have written f could have written the other file, too, of which f says something. So f belongs
// to us, to root or to the other file's owner, and may be writable for everybody only if the other file is.
func BelieveBeside(f *os.File, other fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	a, okA := info.Sys().(*syscall.Stat_t)
	b, okB := other.Sys().(*syscall.Stat_t)
	if !okA || !okB || a.Uid != b.Uid {
		if err := checkOwner(f.Name(), info); err != nil {
			return err
		}
	}
	if info.Mode().Perm()&^other.Mode().Perm()&Group != 0 {
		return fmt.Errorf("%s: others may write to it (mode %04o): %w", f.Name(), info.Mode().Perm(), ErrStranger)
	}
	return nil
}

// checkOwner is nil where a file belongs to us or to root; under sudo(8) also where it belongs to who called it.
func checkOwner(name string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: whose it is cannot be told: %w", name, ErrStranger)
	}
	me := os.Geteuid()
	if stat.Uid == 0 || int(stat.Uid) == me {
		return nil
	}
	if caller, err := strconv.Atoi(os.Getenv("SUDO_UID")); me == 0 && err == nil && int(stat.Uid) == caller {
		return nil
	}
	return fmt.Errorf("%s: it belongs to user %d, neither us nor root: %w", name, stat.Uid, ErrStranger)
}

// Read reads a file that is believed (Open, Believe), at most most bytes of it.
func Read(name string, mask fs.FileMode, most int64) ([]byte, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := Believe(f, mask); err != nil {
		return nil, err
	}
	return ReadAll(f, most)
}

// ReadAll reads an open file, at most most bytes of it.
func ReadAll(f *os.File, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s: larger than %d bytes", f.Name(), most)
	}
	return b, err
}
