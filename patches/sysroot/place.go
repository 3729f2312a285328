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

// A placer unpacks packages into memory, over what lies below. As a nameLookup it is
// what dpkg would see on the disk at that moment.
type placer struct {
	mem   *memoryStore
	below *Tree
	names map[string]*memoryNode // files of this package, for its hard links
	left  int64                  // bytes
	limit int64

	dir, dirAt string // the directory resolved last, and to what

	packages []Package // what was unpacked; the last one is at work
}

func (p *placer) beginPackage() {
	p.names = map[string]*memoryNode{}
	p.dir = ""
}

func (p *placer) chargeBytes(n int64) error {
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
	if isAbsent(err) {
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

// placeEntry puts one tar entry where dpkg would.
func (p *placer) placeEntry(hdr *tar.Header, content io.Reader) error {
	name, err := cleanName(hdr.Name)
	if err != nil || name == "." {
		return err
	}
	if err := p.placeAt(name, hdr, content); err != nil {
		return fmt.Errorf("%s: %w", showName(name), err)
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
	n := &memoryNode{mode: hdr.FileInfo().Mode() &^ fs.ModeType, modTime: hdr.ModTime, uid: uint32(hdr.Uid), gid: uint32(hdr.Gid)}
	switch hdr.Typeflag {
	case tar.TypeDir:
		n.mode |= fs.ModeDir
		if _, fi, err := walkLinks(p, name); err == nil && fi.IsDir() {
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
			return fmt.Errorf("hard link to %s, which does not come before it", showName(target))
		}
	case tar.TypeReg:
		if isSparse(hdr) {
			return errors.New("sparse file")
		}
		if hdr.Size > p.left {
			return fmt.Errorf("unpacks to %w", tooLong(p.limit))
		}
		if n.data, err = readClaimed(content, hdr.Size); err != nil {
			return err
		}
	case tar.TypeChar, tar.TypeBlock:
		n.mode |= fs.ModeDevice
		if hdr.Typeflag == tar.TypeChar {
			n.mode |= fs.ModeCharDevice
		}
		n.major, n.minor = uint32(hdr.Devmajor), uint32(hdr.Devminor)
	case tar.TypeFifo:
		n.mode |= fs.ModeNamedPipe
	case tar.TypeXGlobalHeader:
		return nil
	default:
		return fmt.Errorf("unknown tar entry type %q", hdr.Typeflag)
	}
	return p.putNode(name, n)
}

// putNode adds a node at a name whose directories may be links.
func (p *placer) putNode(name string, n *memoryNode) error {
	dir, err := p.makeDirectory(path.Dir(name))
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
	return p.attachNode(at, n)
}

// attachNode adds a node at a name without links. Directories that only lower layers
// have are repeated, as they are there.
func (p *placer) attachNode(at string, n *memoryNode) error {
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
				parent.addChild(part, (&memoryNode{mode: fi.Mode(), modTime: fi.ModTime()}).ownedAs(fi))
				if err := p.chargeBytes(nodeCost); err != nil {
					return err
				}
			}
			parent = parent.children[part]
		}
	}
	parent.addChild(path.Base(at), n)
	return p.chargeBytes(nodeCost)
}

// makeDirectory resolves a directory and makes it where it is missing.
func (p *placer) makeDirectory(name string) (string, error) {
	if name == p.dir && name != "" {
		return p.dirAt, nil
	}
	at, fi, err := walkLinks(p, name)
	switch {
	case err == nil && fi.IsDir():
	case err == nil:
		return "", fmt.Errorf("%s: %w", showName(at), syscall.ENOTDIR)
	case !errors.Is(err, fs.ErrNotExist) || name == ".":
		return "", err
	default:
		parent, err := p.makeDirectory(path.Dir(name))
		if err != nil {
			return "", err
		}
		at = path.Join(parent, path.Base(name))
		if _, err := p.lstat(at); err == nil {
			return "", fmt.Errorf("%s: symbolic link that leads nowhere", showName(at))
		}
		if err := p.attachNode(at, &memoryNode{mode: fs.ModeDir | 0o755}); err != nil {
			return "", err
		}
	}
	p.dir, p.dirAt = name, at
	return at, nil
}
