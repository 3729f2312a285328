package undo

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A treeWriter makes changes below a directory and nowhere else (os.Root, and [Inside] before), all
// of them or none. Each file is complete and on the disk under another name
// before the first one gets its own.
type treeWriter struct {
	root *os.Root
	aside,
	made []string // directories, the outermost first
	done []fileBefore
}

// fileBefore is how a file was before.
type fileBefore struct {
	change Change
	mode   fs.FileMode
	time   time.Time
}

// asideOf is the name that a file has until it is complete. mkinitramfs does
// not run what begins with a dot.
func asideOf(name string) string {
	return path.Join(path.Dir(name), "."+path.Base(name)+".groundhog-new")
}

// Write makes the changes of each group in turn; those of one are on the
// disk before the next one begins. Then it removes those of the directories
// that are empty, the last one first.
func Write(dir string, empty []string, groups ...[]Change) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := checkInside(root, empty, groups); err != nil {
		return err
	}
	w := &treeWriter{root: root}
	if err := w.writeGroups(groups); err != nil {
		err = fmt.Errorf("writing below %s: %w", dir, err)
		if undone := w.rollback(); undone != nil {
			err = fmt.Errorf("%w; rolling back: %w", err, undone)
		}
		return err
	}
	for _, name := range slices.Backward(empty) {
		_ = removeEmpty(root, name) // one that is not empty stays
	}
	return nil
}

// removeEmpty removes an empty directory and nothing else: os.Root's Remove would take
// a file or a symbolic link of that name, too.
func removeEmpty(root *os.Root, name string) error {
	dir, err := root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Unlinkat(int(dir.Fd()), path.Base(name), unix.AT_REMOVEDIR)
}

func (w *treeWriter) writeGroups(groups [][]Change) error {
	for _, c := range slices.Concat(groups...) {
		if err := w.stageChange(c); err != nil {
			return err
		}
	}
	for _, group := range groups {
		dirs := map[string]bool{}
		for _, c := range group {
			if err := w.commitChange(c); err != nil {
				return err
			}
			for dir := path.Dir(c.Path); !dirs[dir]; dir = path.Dir(dir) {
				dirs[dir] = true
			}
		}
		for dir := range dirs {
			if err := w.syncDir(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// stageChange checks that the file is still what the change was worked out from, and
// writes its new content aside.
func (w *treeWriter) stageChange(c Change) error {
	now, err := w.root.ReadFile(c.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if (err == nil) != (c.Before != nil) || !bytes.Equal(now, c.Before) {
		return fmt.Errorf("%s: somebody changed it just now", c.Path)
	}
	if c.After == nil {
		return nil
	}
	if err := w.makeDirs(path.Dir(c.Path)); err != nil {
		return err
	}
	var when time.Time
	if c.Like != "" {
		info, err := w.root.Stat(c.Like)
		if err != nil {
			return err
		}
		when = info.ModTime()
	}
	return w.createAside(c.Path, c.After, c.Mode, when)
}

// createAside writes a file aside. It belongs to whom the file in its place does, as
// far as we may give it away.
func (w *treeWriter) createAside(name string, data []byte, mode fs.FileMode, when time.Time) error {
	aside := asideOf(name)
	if err := w.root.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // left by a run that was killed
	}
	f, err := w.root.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w.aside = append(w.aside, aside)
	if old, err := w.root.Lstat(name); err == nil {
		if st, ok := old.Sys().(*syscall.Stat_t); ok {
			_ = f.Chown(int(st.Uid), int(st.Gid))
		}
	}
	_, err = f.Write(data)
	err = cmp.Or(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil && !when.IsZero() {
		err = w.root.Chtimes(aside, when, when)
	}
	return err
}

func (w *treeWriter) makeDirs(dir string) error {
	if dir == "." {
		return nil
	}
	if _, err := w.root.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := w.makeDirs(path.Dir(dir)); err != nil {
		return err
	}
	w.made = append(w.made, dir)
	return cmp.Or(w.root.Mkdir(dir, 0o755), w.root.Chmod(dir, 0o755)) // whatever the umask
}

// commitChange gives the file its name, or removes it.
func (w *treeWriter) commitChange(c Change) error {
	u := fileBefore{change: c}
	if info, err := w.root.Lstat(c.Path); err == nil {
		u.mode, u.time = info.Mode().Perm(), info.ModTime()
	}
	var err error
	switch {
	case c.After != nil:
		err = w.root.Rename(asideOf(c.Path), c.Path)
	case c.Before != nil:
		err = w.root.Remove(c.Path)
	}
	if err == nil {
		w.done = append(w.done, u)
	}
	return err
}

func (w *treeWriter) syncDir(dir string) error {
	f, err := w.root.Open(dir)
	if err != nil {
		return err
	}
	return cmp.Or(f.Sync(), f.Close())
}

// rollback undoes what was done, the last thing first.
func (w *treeWriter) rollback() error {
	var errs []error
	for _, u := range slices.Backward(w.done) {
		c := u.change
		switch {
		case c.Before != nil:
			err := w.createAside(c.Path, c.Before, u.mode, u.time)
			if err == nil {
				err = w.root.Rename(asideOf(c.Path), c.Path)
			}
			errs = append(errs, err)
		case c.After != nil:
			errs = append(errs, w.root.Remove(c.Path))
		}
	}
	for _, name := range w.aside {
		_ = w.root.Remove(name) // most have their own names by now
	}
	for _, dir := range slices.Backward(w.made) {
		_ = w.root.Remove(dir)
	}
	return cmp.Or(errs...)
}
