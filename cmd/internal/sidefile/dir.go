package sidefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// OpenDir is [os.OpenRoot], but for what is no directory: a named pipe would never open.
func OpenDir(name string) (*os.Root, error) {
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOTDIR}
	}
	return os.OpenRoot(name)
}

// OwnDir is the directory of that name in another, which others may write to; it is made if need be, for us alone. It is refused where
// it is not ours, or others may write to it, as is what is no directory: a link would lead away. It is held open: whatever takes its
// name later, nothing is read or written elsewhere by it.
func OwnDir(parent *os.Root, name string) (*os.Root, error) {
	if err := parent.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	at := filepath.Join(parent.Name(), name)
	named, err := parent.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !named.IsDir() {
		return nil, fmt.Errorf("%s: it is there and no directory: %w", at, ErrKind)
	}
	dir, err := parent.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	if err := ownDir(dir, at, named); err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

func ownDir(dir *os.Root, at string, named fs.FileInfo) error {
	info, err := dir.Stat(".")
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !os.SameFile(named, info):
		return fmt.Errorf("%s: somebody changed it just now: %w", at, ErrStranger)
	case !ok || int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s: it belongs to somebody else: %w", at, ErrStranger)
	case info.Mode().Perm()&Nobody != 0:
		return fmt.Errorf("%s: others may write there (mode %04o): %w", at, info.Mode().Perm(), ErrStranger)
	}
	return nil
}

// BelieveDir is nil where a directory belongs to us or to root, and others can write to it neither as anybody nor, where mask says so, as its
// group: nobody exchanges what is put there. at is its name for people.
func BelieveDir(dir *os.Root, at string, mask fs.FileMode) error {
	info, err := dir.Stat(".")
	if err != nil {
		return err
	}
	if err := checkOwner(at, info); err != nil {
		return err
	}
	if info.Mode().Perm()&mask != 0 {
		return fmt.Errorf("%s: others may write there (mode %04o): %w", at, info.Mode().Perm(), ErrStranger)
	}
	return nil
}
