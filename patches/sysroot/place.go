package sysroot

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"
)

// A placer unpacks packages into memory, over what lies below. As a lookup it is
// what dpkg would see on the disk at that moment.
type placer struct {
	mem   *memory
	below *Tree
	names map[string]*node // files of this package, for its hard links
	left  int64            // bytes
	limit int64

	dir, dirAt string // the directory resolved last, and to what

	packages []Package // what was unpacked; the last one is at work
}

func (p *placer) begin() {
	p.names = map[string]*node{}
	p.dir = ""
}

func (p *placer) charge(n int64) error {
	if p.left -= n; p.left < 0 {
		return fmt.Errorf("unpacks to %w", tooLong(p.limit))
	}
	return nil
}

func (p *placer) lstat(name string) (fs.FileInfo, error) {
	if fi, err := p.mem.lstat(name); err == nil {
		return fi, nil
	}
	fi, err := p.below.lstat(name)
	if absent(err) {
		err = fs.ErrNotExist
	}
	return fi, err
}

func (p *placer) readLink(name string) (string, error) {
	if _, err := p.mem.lstat(name); err == nil {
		return p.mem.readLink(name)
	}
	return p.below.readLink(name)
}

// place puts one tar entry where dpkg would.
func (p *placer) place(hdr *tar.Header, content io.Reader) error {
	name, err := cleanName(hdr.Name)
	if err != nil || name == "." {
		return err
	}
	if err := p.placeAt(name, hdr, content); err != nil {
		return fmt.Errorf("%s: %w", show(name), err)
	}
	if len(p.packages) > 0 {
		pkg := &p.packages[len(p.packages)-1]
		pkg.Names = append(pkg.Names, name)
	}
	return nil
}

func (p *placer) placeAt(name string, hdr *tar.Header, content io.Reader) error {
	var err error
	// The type comes from the flag alone: the mode field may hold type bits, too.
	n := &node{mode: hdr.FileInfo().Mode() &^ fs.ModeType, modTime: hdr.ModTime}
	switch hdr.Typeflag {
	case tar.TypeDir:
		n.mode |= fs.ModeDir
		if _, fi, err := walk(p, name); err == nil && fi.IsDir() {
			return nil // a link to a directory stays, too
		}
	case tar.TypeSymlink:
		if hdr.Linkname == "" || len(hdr.Linkname) > maxTarget {
			return errors.New("bad symbolic link")
		}
		n.mode |= fs.ModeSymlink
		n.data = []byte(hdr.Linkname)
	case tar.TypeLink:
		target, err := cleanName(hdr.Linkname)
		if err != nil {
			return err
		}
		if n = p.names[target]; n == nil {
			return fmt.Errorf("hard link to %s, which does not come before it", show(target))
		}
	case tar.TypeReg:
		if sparse(hdr) {
			return errors.New("sparse file")
		}
		if hdr.Size > p.left {
			return fmt.Errorf("unpacks to %w", tooLong(p.limit))
		}
		if n.data, err = readClaimed(content, hdr.Size); err != nil {
			return err
		}
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo, tar.TypeXGlobalHeader:
		return nil
	default:
		return fmt.Errorf("unknown tar entry type %q", hdr.Typeflag)
	}
	return p.put(name, n)
}

// put adds a node at a name whose directories may be links.
func (p *placer) put(name string, n *node) error {
	dir, err := p.directory(path.Dir(name))
	if err != nil {
		return err
	}
	at := path.Join(dir, path.Base(name))
	old, err := p.lstat(at)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if n.mode.Type() == fs.ModeSymlink && old != nil && old.IsDir() {
		return nil // dpkg never turns a directory into a link
	}
	if !n.mode.IsRegular() || old != nil && !old.Mode().IsRegular() {
		p.dir = "" // what a name resolves to may change
	}
	if n.mode.IsRegular() {
		p.names[name] = n
	}
	return p.attach(at, n)
}

// attach adds a node at a name without links. Directories that only lower layers
// have are repeated, as they are there.
func (p *placer) attach(at string, n *node) error {
	parent := p.mem.root
	if dir := path.Dir(at); dir != "." {
		var done string
		for part := range strings.SplitSeq(dir, "/") {
			done = path.Join(done, part)
			if parent.children[part] == nil {
				fi, err := p.lstat(done)
				if err != nil {
					return err
				}
				parent.add(part, &node{mode: fi.Mode(), modTime: fi.ModTime()})
				if err := p.charge(nodeCost); err != nil {
					return err
				}
			}
			parent = parent.children[part]
		}
	}
	parent.add(path.Base(at), n)
	return p.charge(nodeCost)
}

// directory resolves a directory and makes it where it is missing.
func (p *placer) directory(name string) (string, error) {
	if name == p.dir && name != "" {
		return p.dirAt, nil
	}
	at, fi, err := walk(p, name)
	switch {
	case err == nil && fi.IsDir():
	case err == nil:
		return "", fmt.Errorf("%s: %w", show(at), syscall.ENOTDIR)
	case !errors.Is(err, fs.ErrNotExist) || name == ".":
		return "", err
	default:
		parent, err := p.directory(path.Dir(name))
		if err != nil {
			return "", err
		}
		at = path.Join(parent, path.Base(name))
		if _, err := p.lstat(at); err == nil {
			return "", fmt.Errorf("%s: symbolic link that leads nowhere", show(at))
		}
		if err := p.attach(at, &node{mode: fs.ModeDir | 0o755}); err != nil {
			return "", err
		}
	}
	p.dir, p.dirAt = name, at
	return at, nil
}
