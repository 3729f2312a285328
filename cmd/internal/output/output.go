// Package output writes files that come to be together, or not at all.
package output

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/sidefile"
)

// Files is files that come to be together: each is written aside ([sidefile.Aside]), and all get their names once all are
// complete. Until then nothing is at their names but what was there before.
type Files struct {
	Stdout io.Writer // what [Stdio] stands for; nil: it is a name as others are

	files []outputFile
}

// Stdio is the name that stands for standard output.
const Stdio = "-"

type outputFile struct {
	path  string
	perm  os.FileMode     // once it is complete
	dir   *os.Root        // that path is in
	aside *sidefile.Aside // in dir
	tmp   *os.File        // of what goes to standard output: a file without a name, in the place of dir and aside
}

// Check refuses two outputs that are one file, or both standard output: one would take the place of the other. It refuses an output that is one of the
// inputs, too, under whatever name.
func Check(outputs, inputs []string) error {
	for i, out := range outputs {
		for _, other := range outputs[:i] {
			switch {
			case out == Stdio && other == Stdio:
				return errors.New("standard output is named twice")
			case out != "" && sameName(out, other):
				return hint.To(fmt.Errorf("%s is named for two outputs", out), "each needs a file of its own")
			}
		}
		there, err := os.Stat(out)
		if err != nil || out == Stdio {
			continue
		}
		for _, in := range inputs {
			if info, err := os.Stat(in); err == nil && os.SameFile(info, there) {
				return hint.To(fmt.Errorf("%s is the input: it is never written over", out), "name another file for the output")
			}
		}
	}
	return nil
}

// sameName reports whether two names, of files that need not be there, are one name in one directory.
func sameName(a, b string) bool {
	if filepath.Base(a) != filepath.Base(b) {
		return false
	}
	dirA, errA := os.Stat(filepath.Dir(a))
	dirB, errB := os.Stat(filepath.Dir(b))
	return errA == nil && errB == nil && os.SameFile(dirA, dirB)
}

// Create starts a file that will have permission bits perm, but for those that the umask takes from others. What goes to standard output is a file, too, until all is complete.
func (o *Files) Create(path string, perm os.FileMode) (*os.File, error) {
	if path == Stdio && o.Stdout != nil {
		if isNowhere(o.Stdout) {
			return nil, errors.New("writing to standard output: it is closed, or is /dev/null, and nobody would have the file")
		}
		f, err := os.CreateTemp("", "groundhog-*")
		if err == nil {
			err = os.Remove(f.Name()) // it may have private keys in it, and a run that is killed removes nothing
		}
		if err != nil {
			return nil, keptFirst(err)
		}
		o.files = append(o.files, outputFile{path: path, tmp: f})
		return f, nil
	}
	if isOpenFile(path) {
		return nil, hint.To(fmt.Errorf("writing %s: it is the name of a file that is open already", path), "- is standard output")
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("writing %s: it is there and no regular file", path)
	}
	dir, err := sidefile.OpenDir(filepath.Dir(path))
	if cause, ok := errors.AsType[*fs.PathError](err); ok {
		err = fmt.Errorf("creating a file in %s: %w", filepath.Dir(path), cause.Err)
	}
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	aside, err := sidefile.NewAside(dir, filepath.Base(path))
	if err != nil {
		dir.Close()
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	o.files = append(o.files, outputFile{path: path, perm: perm, dir: dir, aside: aside})
	return aside.File, nil
}

// Behind is what is behind a writer that passes on what it is given.
func Behind(w io.Writer) io.Writer {
	for {
		over, ok := w.(interface{ Unwrap() io.Writer })
		if !ok {
			return w
		}
		w = over.Unwrap()
	}
}

// isNowhere reports whether a writer is /dev/null, opened to read as well: what Go's runtime puts in the place of a standard output that is
// closed. A shell's >/dev/null is open to write only.
func isNowhere(w io.Writer) bool {
	f, ok := Behind(w).(*os.File)
	if !ok {
		return false
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	null, nullErr := os.Stat(os.DevNull)
	info, infoErr := f.Stat()
	return errors.Join(err, nullErr, infoErr) == nil && flags&unix.O_ACCMODE == unix.O_RDWR && os.SameFile(info, null)
}

// isOpenFile reports whether a name is that of an open file, as /dev/stdout and /dev/fd/3 are. Behind it a regular file may be, and what
// got this name would take the place of the name: as root that leaves the machine without its /dev/stdout.
func isOpenFile(path string) bool {
	const proc = "/proc/"
	dir, _ := filepath.EvalSymlinks(filepath.Dir(path))
	target, _ := os.Readlink(path)
	return strings.HasPrefix(dir+"/", proc) || strings.HasPrefix(target, proc)
}

// Write writes a whole file.
func (o *Files) Write(path string, perm os.FileMode, write func(io.Writer) error) error {
	f, err := o.Create(path, perm)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		if cause, ok := errors.AsType[*fs.PathError](err); ok && cause.Path == f.Name() { // another file may have been read meanwhile
			err = cause.Err
		}
		return o.failed(path, err)
	}
	return nil
}

// longestTurn is how long this run waits for another one that gives its files their names. Then it goes on all the same: whoever can read a directory can
// lock it.
const longestTurn = 2 * time.Second

// takeTurn waits until no other run gives files their names in the directory of the first one, so that of two runs with the same outputs all files are
// one's, and returns what ends the turn.
func (o *Files) takeTurn() (end func()) {
	i := slices.IndexFunc(o.files, func(f outputFile) bool { return f.dir != nil })
	if i < 0 {
		return func() {}
	}
	dir, err := o.files[i].dir.Open(".")
	if err != nil {
		return func() {} // it can be written to, and not read
	}
	sidefile.TakeTurn(dir, longestTurn)
	return func() { dir.Close() }
}

// failed says which file could not be written. A cause that names it as well is taken out of its own words.
func (o *Files) failed(path string, err error) error {
	if cause, ok := errors.AsType[*os.LinkError](err); ok {
		err = cause.Err
	}
	switch {
	case path == Stdio && o.Stdout != nil:
		return keptFirst(err)
	case errors.Is(err, syscall.EBUSY):
		return hint.To(fmt.Errorf("writing %s: %w", path, err), "a file that is mounted by itself cannot be replaced: name one beside it, or - and send that there")
	}
	return fmt.Errorf("writing %s: %w", path, err)
}

func keptFirst(err error) error {
	return hint.To(fmt.Errorf("writing to standard output, all of which is kept in a file first: %w", err), "TMPDIR names another directory for such files")
}

// Commit gives the files their modes and names, in the order in which they were
// created. They are not synced: no build tool does that to what can be built again.
func (o *Files) Commit() error {
	for _, f := range o.files {
		if f.tmp != nil {
			if err := o.printFile(f.tmp); err != nil {
				return fmt.Errorf("writing to standard output: %w", err)
			}
		} else if err := f.aside.Complete(f.perm &^ forbiddenToOthers()); err != nil {
			return o.failed(f.path, err)
		}
	}
	defer o.takeTurn()()
	for _, f := range o.files {
		if f.tmp != nil {
			continue
		}
		if err := f.aside.Become(filepath.Base(f.path)); err != nil {
			return o.failed(f.path, err)
		}
		f.dir.Close()
	}
	o.files = nil
	return nil
}

// forbiddenToOthers is what the umask takes from a file's group and from others. What it takes from the owner stays: a file that its owner cannot read is of no use.
func forbiddenToOthers() fs.FileMode {
	mask := unix.Umask(0o077) // there is no other way to ask that every system has; what is made meanwhile is its owner's alone
	unix.Umask(mask)
	return fs.FileMode(mask) & 0o077
}

// printFile copies a complete file to standard output.
func (o *Files) printFile(f *os.File) error {
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
		if f.tmp != nil {
			f.tmp.Close()
			continue
		}
		f.aside.Discard()
		f.dir.Close()
	}
}
