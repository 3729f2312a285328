package manifest

import (
	"archive/tar"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"groundhog/initrd/debian"
)

// OfTree describes a root tree: a file system whose FileInfo carries owners
// (Sys is a *[syscall.Stat_t] of Linux or a *[tar.Header]; without, root owns
// all). Links are described, not followed. Files are read by several goroutines
// at once. What this user may not read is an [Unreadable] that names all of it.
func OfTree(root fs.FS) (*Manifest, error) {
	m := &Manifest{Schema: Schema, Source: Root}
	first := map[inode]string{}
	var closed unreadable
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return closed.note(name, err) // a directory that cannot be listed; it is among the entries
		}
		info, err := fs.Lstat(root, name)
		if err != nil {
			return closed.note(name, err)
		}
		e, err := treeEntry(root, name, info)
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && e.Type == File && st.Nlink > 1 {
			id := inode{uint64(st.Dev), uint64(st.Ino)}
			if e.LinkOf = first[id]; e.LinkOf == "" {
				first[id] = e.Path
			}
		}
		m.Entries = append(m.Entries, *e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the root tree: %w", err)
	}
	if err := cmp.Or(m.hashTree(root, &closed), closed.err()); err != nil {
		return nil, fmt.Errorf("reading the root tree: %w", err)
	}
	m.sort()
	facts := debian.ReadRoot(root)
	m.identify(facts)
	m.Release = facts.Release
	m.SetSystem(facts.System.ID, facts.System.Version)
	m.sort()
	return m, nil
}

type inode struct{ dev, ino uint64 }

func treeEntry(root fs.FS, name string, info fs.FileInfo) (*Entry, error) {
	mode := info.Mode()
	e := &Entry{Path: EscapePath(name), Type: typeOf(mode), Mode: Mode(mode.Perm()), Mtime: info.ModTime().Unix()}
	for bit, unix := range map[fs.FileMode]Mode{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&bit != 0 {
			e.Mode |= unix
		}
	}
	if e.Type == Symlink {
		target, err := fs.ReadLink(root, name)
		if err != nil {
			return nil, err
		}
		e.Target = EscapePath(target)
	}
	var major, minor uint64
	switch sys := info.Sys().(type) {
	case *syscall.Stat_t:
		e.UID, e.GID = sys.Uid, sys.Gid
		dev := uint64(sys.Rdev) // makedev(3)
		major, minor = dev>>8&0xfff|dev>>32&^0xfff, dev&0xff|dev>>12&^0xff
	case *tar.Header:
		e.UID, e.GID = uint32(sys.Uid), uint32(sys.Gid)
		major, minor = uint64(sys.Devmajor), uint64(sys.Devminor)
	}
	if e.Type == Char || e.Type == Block {
		e.Device = fmt.Sprintf("%d:%d", uint32(major), uint32(minor))
	}
	return e, nil
}

func typeOf(mode fs.FileMode) Type {
	switch {
	case mode.IsRegular():
		return File
	case mode.IsDir():
		return Dir
	case mode&fs.ModeSymlink != 0:
		return Symlink
	case mode&fs.ModeCharDevice != 0:
		return Char
	case mode&fs.ModeDevice != 0:
		return Block
	case mode&fs.ModeNamedPipe != 0:
		return Fifo
	case mode&fs.ModeSocket != 0:
		return Socket
	}
	return Unknown
}

// hashTree reads all files, each hard-linked one once.
func (m *Manifest) hashTree(root fs.FS, closed *unreadable) error {
	var work hasher
	byPath := map[string]*Entry{}
	for i := range m.Entries {
		e := &m.Entries[i]
		if byPath[e.Path] = e; e.Type != File {
			continue
		}
		if first := byPath[e.LinkOf]; first != nil {
			work.after = append(work.after, func() { e.Size, e.SHA256 = first.Size, first.SHA256 })
			continue
		}
		work.jobs = append(work.jobs, hashJob{0, func() error {
			name, err := UnescapePath(e.Path)
			if err != nil {
				return err
			}
			f, err := root.Open(name)
			if err != nil {
				return closed.note(name, err)
			}
			defer f.Close()
			sum := sha256.New()
			e.Size, err = io.Copy(sum, f)
			e.SHA256 = hex.EncodeToString(sum.Sum(nil))
			return err
		}})
	}
	return work.hashAll()
}
