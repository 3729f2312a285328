package sysroot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"groundhog/initrd/eof"
)

// A Package is a .deb file that was laid into a tree: what dpkg would note of it.
type Package struct {
	File    string   // the .deb on the build host
	Control []byte   // deb-control(5); nil where the package has none
	MD5Sums []byte   // deb-md5sums(5); nil where the package has none
	Names   []string // files and directories as the package has them, "usr/bin/x"
}

// Packages are the .deb files among the layers, in the order in which they were
// laid over one another.
func (t *Tree) Packages() []Package { return t.packages }

// unpackDebs unpacks a layer's packages over the layers in below, which has
// unpacked some already.
func unpackDebs(l Layer, below *Tree) (*placer, error) {
	files, err := DebFiles(l.path)
	if err != nil {
		return nil, err
	}
	p := &placer{mem: newMemory(), below: below, left: l.limit - below.unpacked, limit: l.limit}
	for _, file := range files {
		if err := unpackFile(file, p); err != nil {
			return nil, fmt.Errorf("reading %s: %w", showName(file), err)
		}
	}
	return p, nil
}

// DebFiles is path itself, or the *.deb files of a directory in the order of their
// names. One without any is an error.
func DebFiles(path string) ([]string, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening package %s: %w", path, bareCause(err))
	}
	if fi.Mode().IsRegular() {
		return []string{path}, nil
	}
	if !fi.IsDir() {
		return nil, fmt.Errorf("opening package %s: neither a file nor a directory", path)
	}
	entries, err := os.ReadDir(path) // sorted
	if err != nil {
		return nil, fmt.Errorf("reading packages in %s: %w", path, bareCause(err))
	}
	var files []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".deb") {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("reading packages in %s: no .deb file", path)
	}
	return files, nil
}

func unpackFile(file string, p *placer) error {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe would never open
	if err != nil {
		return bareCause(err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return errNotRegular
	}
	p.packages = append(p.packages, Package{File: file})
	return unpackDeb(bufio.NewReaderSize(f, 1<<16), p)
}

// errDamaged is that a member of a package is whole, and what is in it is not.
var errDamaged = errors.New("damaged: it ends within a file")

// unpackDeb reads a package, deb(5): the members debian-binary, control.tar and
// data.tar in this order. Members whose name begins with an underscore may come
// between them, and anything may follow.
func unpackDeb(r io.Reader, p *placer) error {
	a, err := newArReader(r)
	if err != nil {
		return err
	}
	for _, want := range []string{"debian-binary", "control.tar", "data.tar"} {
		name, err := nextMember(a)
		if err != nil {
			return fmt.Errorf("%s: %w", want, eof.Unexpected(err))
		}
		suffix, ok := strings.CutPrefix(name, want)
		if !ok || suffix != "" && suffix[0] != '.' {
			return fmt.Errorf("member %q where %s should be", name, want)
		}
		switch want {
		case "debian-binary":
			err = checkVersion(a)
		case "control.tar":
			err = unpackTar(a, suffix, p, p.keepControl)
		case "data.tar":
			p.beginPackage()
			err = unpackTar(a, suffix, p, p.placeEntry)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) && !a.cut {
			err = errDamaged
		}
		if err != nil {
			return fmt.Errorf("%s: %w", showName(name), err)
		}
	}
	for err == nil { // to the end: a cut file must not pass
		_, err = a.nextMember()
	}
	if err != io.EOF {
		return fmt.Errorf("after data.tar: %w", err)
	}
	return nil
}

func nextMember(a *arReader) (string, error) {
	for {
		name, err := a.nextMember()
		if err != nil || !strings.HasPrefix(name, "_") {
			return name, err
		}
	}
}

func checkVersion(r io.Reader) error {
	b, err := readAll(r, 1<<10)
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if !strings.HasPrefix(line, "2.") {
		return fmt.Errorf("format version %q, not 2.x", line)
	}
	return nil
}
