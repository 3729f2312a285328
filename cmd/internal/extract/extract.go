// Package extract unpacks an archive's files onto this machine, which whoever made the archive must not come to rule.
package extract

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/sidefile"
	"groundhog/initrd"
	"groundhog/manifest"
)

// Options are what is not the ordinary.
type Options struct {
	Special bool              // as root: make device nodes, keep setuid and setgid
	Each    func(name string) // is told each entry's name; may be nil
}

// Result is what came of it.
type Result struct {
	Entries int
	Notes   []string // what is not as the archive has it
}

// Into unpacks what the kernel ends up with into dir, which is made or must
// be empty, and ours. Everything happens below an [os.Root] and no name is ever opened
// that was not made here, so neither ".." nor a symlink leads anywhere else.
// Device nodes, setuid and setgid are made only where Special asks for them: an
// archive may come from anybody, and other users of this machine could use them.
// After an error what is there stays there.
func Into(dir string, img *initrd.Image, o Options) (*Result, error) {
	top, made, err := emptyDir(dir)
	if err != nil {
		return nil, fmt.Errorf("extracting to %s: %w", dir, bareCause(err))
	}
	defer top.Close()
	x := &extractor{img: img, top: top, root: os.Geteuid() == 0, special: o.Special && os.Geteuid() == 0, keepTop: !made,
		each: o.Each, dirs: map[string]bool{".": true}, first: map[any]string{}}
	defer x.leaveDir()
	if err := x.unpackAll(); err != nil {
		return nil, fmt.Errorf("extracting to %s: %w (%d entries are there)", dir, err, x.done)
	}
	return &Result{x.done, x.allNotes()}, nil
}

// emptyDir makes dir, or sees that it is an empty directory. Only its owner can look into one that was made, whatever the archive says: host keys
// may come to lie there. One that was there is somebody else's neither by its owner nor by its mode, sticky or not: he could exchange what is
// unpacked for something else while we are at it, and the more so where we are root. What is looked at is what was opened, so that
// nothing can be put in its place meanwhile.
func emptyDir(dir string) (top *os.Root, made bool, err error) {
	if err = os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, err
	}
	made = err == nil
	if top, err = sidefile.OpenDir(dir); err != nil {
		return nil, false, err
	}
	names, err := fs.ReadDir(top.FS(), ".")
	if err == nil && len(names) > 0 {
		err = errors.New("it is there and not empty")
	}
	if err == nil {
		err = hint.To(sidefile.BelieveDir(top, dir, sidefile.Group), "name a directory that is not there: it is made for you alone")
	}
	if err != nil {
		top.Close()
		return nil, false, err
	}
	return top, made, nil
}

// extractor is one unpacking.
type extractor struct {
	img     *initrd.Image
	top     *os.Root
	root    bool // may set owners
	special bool // makes device nodes, and keeps setuid and setgid
	keepTop bool // the directory was there: its own mode, owner and time are not ours
	each    func(name string)
	dirs    map[string]bool
	first   map[any]string // of a hard-linked file, the name that has been made
	done    int

	devices, owners, setuid int // left out

	at   *os.Root // the directory that is worked in, of name atName; nil: none yet
	fd   *os.File // the same, for system calls that os.Root lacks
	name string
}

// unpackAll unpacks every entry, and at the end gives the directories, deepest first,
// the modes and times that working in them would need or spoil.
func (x *extractor) unpackAll() error {
	type dir struct {
		name string
		e    *initrd.Entry
	}
	var dirs []dir
	for name, e := range x.img.Tree() {
		if err := x.makeEntry(name, e); err != nil {
			return fmt.Errorf("%s: %w", manifest.EscapePath(name), bareCause(err))
		}
		if e.IsDir() {
			dirs = append(dirs, dir{name, e})
		}
		if x.each != nil {
			x.each(name)
		}
	}
	for _, d := range slices.Backward(dirs) {
		if d.name == "." {
			if x.keepTop {
				continue
			}
			if err := x.topTime(d.e); err != nil {
				return bareCause(err)
			}
			continue
		}
		if err := x.finishDir(d.name, d.e); err != nil {
			return fmt.Errorf("%s: %w", manifest.EscapePath(d.name), bareCause(err))
		}
	}
	return nil
}

// makeEntry makes the entry at name. Its directory has been made before.
func (x *extractor) makeEntry(name string, e *initrd.Entry) error {
	if name == "." && e.IsDir() {
		x.done++
		return nil
	}
	if !x.dirs[path.Dir(name)] {
		return errors.New("its directory is not in the archive")
	}
	if err := x.enterDir(path.Dir(name)); err != nil {
		return err
	}
	made, err := x.createBare(name, e)
	if err != nil || !made {
		return err
	}
	x.done++
	if e.IsDir() {
		x.dirs[name] = true
		return nil
	}
	return x.setAttributes(path.Base(name), e)
}

// createBare makes the bare entry; a name that is taken is an error, whatever is
// there, so nothing is written through a symlink.
func (x *extractor) createBare(name string, e *initrd.Entry) (bool, error) {
	base := path.Base(name)
	switch e.Type() {
	case initrd.TypeDir:
		return true, x.at.Mkdir(base, 0o700)
	case initrd.TypeLink:
		target, _, _ := strings.Cut(string(e.Data), "\x00") // as the kernel reads it
		return true, x.at.Symlink(target, base)
	case initrd.TypeFile:
		return true, x.writeFile(name, e)
	case initrd.TypeChar, initrd.TypeBlock:
		if !x.special {
			x.devices++
			return false, nil
		}
	}
	err := x.makeNode(base, e)
	if errors.Is(err, syscall.EPERM) && e.Type() != initrd.TypePipe && e.Type() != initrd.TypeSocket {
		x.devices++ // root, but in a container
		return false, nil
	}
	return true, err
}

// writeFile writes a regular file, or links it to the name that it has already.
func (x *extractor) writeFile(name string, e *initrd.Entry) error {
	if id := e.LinkID(); id != nil {
		if first, ok := x.first[id]; ok {
			return x.top.Link(first, name)
		}
		x.first[id] = name
	}
	f, err := x.at.OpenFile(path.Base(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(x.img.Content(e))
	return errors.Join(err, f.Close())
}

// bareCause is an error without the path that it names: the caller has named it, in
// a form that prints.
func bareCause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}
