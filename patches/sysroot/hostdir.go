package sysroot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// hostDir is a directory of the build host. The tree resolves links itself and
// asks only for names free of them; os.Root is the second lock on the same door.
type hostDir struct {
	path string
	root *os.Root
	fast *beneath // the same on Linux, which is faster; nil: there is none
}

func openHostDir(path string) (*hostDir, error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() { // a named pipe would never open
		return nil, fmt.Errorf("%s: %w", path, syscall.ENOTDIR)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, bareCause(err))
	}
	return &hostDir{path: path, root: root, fast: openBeneath(root)}, nil
}

func (d *hostDir) lstat(name string) (fs.FileInfo, error) {
	look := d.root.Lstat
	if d.fast.takesName(name) {
		look = d.fast.lstat
	}
	fi, err := look(name)
	return fi, d.blameLayer(err)
}

func (d *hostDir) readLink(name string) (string, error) {
	read := d.root.Readlink
	if d.fast.takesName(name) {
		read = d.fast.readLink
	}
	target, err := read(name)
	return target, d.blameLayer(err)
}

func (d *hostDir) readDir(name string) ([]fs.DirEntry, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, d.blameLayer(err)
	}
	defer f.Close()
	list, err := f.ReadDir(-1)
	return list, d.blameLayer(err)
}

func (d *hostDir) open(name string) (fs.File, error) {
	// Should it have become a named pipe since it was looked at, this must not wait.
	open := func(name string) (fs.File, error) { return d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) }
	if d.fast.takesName(name) {
		open = d.fast.open
	}
	f, err := open(name)
	if err != nil {
		return nil, d.blameLayer(err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, d.blameLayer(errNotRegular)
	}
	return f, nil
}

func (d *hostDir) close() error { return errors.Join(d.fast.close(), d.root.Close()) }

// blameLayer says which layer had the trouble; the name is the caller's to add.
func (d *hostDir) blameLayer(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", d.path, bareCause(err))
}

// bareCause is err without the operation and the path that the os package adds.
func bareCause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
