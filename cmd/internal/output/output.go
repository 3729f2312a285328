// Package output writes files that come to be together, or not at all.
package output

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/hint"
)

// Files is files that come to be together: each is written beside its place
// under another name, and all are renamed once all are complete. Until then
// nothing is at their names but what was there before, and nobody but their owner
// can read them. What a run that was killed has left is removed by the next one
// that writes the same file.
type Files struct {
	Stdout io.Writer // what [Stdio] stands for; nil: it is a name as others are

	files []output
}

// Stdio is the name that stands for standard output.
const Stdio = "-"

type output struct {
	path string
	tmp  *os.File
	perm os.FileMode // once it is complete
}

// NotOver refuses outputs that are among the inputs, under whatever name.
func NotOver(outputs, inputs []string) error {
	for _, out := range outputs {
		there, err := os.Stat(out)
		if err != nil {
			continue
		}
		for _, in := range inputs {
			if info, err := os.Stat(in); err == nil && os.SameFile(info, there) {
				return hint.To(fmt.Errorf("%s is the input: it is never written over", out), "name another file with --output")
			}
		}
	}
	return nil
}

// OneStdout refuses two outputs that are standard output: what both write there is of no use.
func OneStdout(outputs ...string) error {
	n := 0
	for _, path := range outputs {
		if path == Stdio {
			n++
		}
	}
	if n > 1 {
		return errors.New("standard output is named twice")
	}
	return nil
}

// Create starts a file that will have permission bits perm. What goes to standard output is a file, too, until all is complete.
func (o *Files) Create(path string, perm os.FileMode) (*os.File, error) {
	if path == Stdio && o.Stdout != nil {
		f, err := os.CreateTemp("", "groundhog-*")
		if err != nil {
			return nil, fmt.Errorf("writing to standard output: %w", err)
		}
		o.files = append(o.files, output{path, f, perm})
		return f, nil
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("writing %s: it is there and no regular file", path)
	}
	removeLeft(path)
	f, err := createAside(path)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	o.files = append(o.files, output{path, f, perm})
	return f, nil
}

// Write writes a whole file.
func (o *Files) Write(path string, perm os.FileMode, write func(io.Writer) error) error {
	f, err := o.Create(path, perm)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// Commit gives the files their modes and names, in the order in which they were
// created. They are not synced: no build tool does that to what can be built again.
func (o *Files) Commit() error {
	for _, f := range o.files {
		if f.path == Stdio {
			if err := o.print(f.tmp); err != nil {
				return fmt.Errorf("writing to standard output: %w", err)
			}
		} else if err := errors.Join(f.tmp.Chmod(f.perm), f.tmp.Close()); err != nil {
			return fmt.Errorf("writing %s: %w", f.path, err)
		}
	}
	for _, f := range o.files {
		if f.path == Stdio {
			continue
		}
		if err := os.Rename(f.tmp.Name(), f.path); err != nil {
			return err
		}
	}
	o.files = nil
	return nil
}

// print copies a complete file to standard output and removes it.
func (o *Files) print(f *os.File) error {
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(o.Stdout, f)
	return err
}

// Discard removes what was not committed.
func (o *Files) Discard() {
	for _, f := range o.files {
		f.tmp.Close()
		os.Remove(f.tmp.Name())
	}
}

// asidePrefix and asideSuffix are around the random part of the name that an
// incomplete file has.
func asidePrefix(path string) string { return "." + filepath.Base(path) + "." }

const asideSuffix = ".groundhog-part"

// createAside makes the file that path is written as, 0600, and locks it
// (flock(2)): who holds the lock is alive.
func createAside(path string) (*os.File, error) {
	for {
		name := filepath.Join(filepath.Dir(path), asidePrefix(path)+rand.Text()[:10]+asideSuffix)
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if cause := (*fs.PathError)(nil); errors.As(err, &cause) { // the name is ours, and nobody knows it
			return nil, fmt.Errorf("creating a file in %s: %w", filepath.Dir(path), cause.Err)
		}
		if err != nil {
			return nil, err
		}
		// The umask may have taken bits of 0600 away. Where there are no locks, what is left stays.
		err = f.Chmod(0o600)
		if lock := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil && lock != unix.EWOULDBLOCK && sameFile(f, name) {
			return f, nil
		}
		f.Close()
		if err != nil {
			os.Remove(name)
			return nil, err
		}
		// Between its making and its lock somebody took it for left over: once more.
	}
}

// sameFile reports whether name still is f.
func sameFile(f *os.File, name string) bool {
	a, errA := f.Stat()
	b, errB := os.Lstat(name)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// removeLeft removes the incomplete files that killed runs of ours have left of
// path: those that are ours and that nobody has locked.
func removeLeft(path string) {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // whoever creates the file will say so
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), asidePrefix(path)) && strings.HasSuffix(e.Name(), asideSuffix) && e.Type().IsRegular() {
			removeUnlocked(filepath.Join(dir, e.Name()))
		}
	}
}

func removeUnlocked(name string) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !ownRegular(info) || unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || !sameFile(f, name) {
		return
	}
	os.Remove(name)
}

func ownRegular(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().IsRegular() && int(st.Uid) == os.Geteuid()
}
