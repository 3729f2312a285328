package manifest

import (
	"archive/tar"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"syscall"

	"groundhog/initrd/debian"
	"groundhog/initrd/debian/dpkg"
)

// OfTree describes a root tree: a file system whose FileInfo carries owners
// (Sys is a *[syscall.Stat_t] of Linux or a *[tar.Header]; without, root owns
// all; one that has LinkID() any says by it which names are hard links of one file; an open
// file that has Capabilities() ([]byte, error) tells by it the value of its extended attribute security.capability, nil: it has none). Links are described, not followed. Files are read by several goroutines
// at once. What this user may not read is an [Unreadable] that names all of it.
func OfTree(root fs.FS) (*Manifest, error) {
	return new(treeReader).readTree(root)
}

// OfSystem is [OfTree] and [Manifest.Attribute] in one, for which each file is read
// once. The records of dpkg are in records, which may know more of them than root;
// where there are none, nothing is attributed. Progress, if it is not nil, is told
// how many bytes of all files were read, never by two at once.
func OfSystem(root, records fs.FS, progress func(done, total int64)) (*Manifest, error) {
	db, noDB := dpkg.Read(records)
	r := &treeReader{db: db, progress: progress}
	m, err := r.readTree(root)
	if err != nil || errors.Is(noDB, dpkg.ErrNone) {
		return m, err
	}
	if noDB != nil {
		return nil, fmt.Errorf("attributing to packages: %w", noDB)
	}
	return m, m.attributeBy(&attributor{root: records, db: db, known: r.contentsByPath(m)})
}

// treeReader reads a root tree.
type treeReader struct {
	db *dpkg.Records // of packages whose files' MD5 is wanted; nil: of none

	old         *md5Hashers
	mu          sync.Mutex
	md5         map[string]string // by path, of files that a package owns
	unclear     map[string]error  // by path, what is wrong with a file's capabilities
	done, total int64             // bytes
	progress    func(done, total int64)
}

// readContent is what was read of a file.
type readContent struct {
	size   int64
	sha256 string
	md5    string // "" where it was not asked for
}

func (t *treeReader) readTree(root fs.FS) (*Manifest, error) {
	m := &Manifest{Schema: schemaWithout, Source: Root}
	first := map[any]string{}
	var closed unreadableNames
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return closed.noteDenied(name, err) // a directory that cannot be listed; it is among the entries
		}
		info, err := fs.Lstat(root, name)
		if err != nil {
			return closed.noteDenied(name, err)
		}
		e, err := treeEntry(root, name, info)
		if err != nil {
			return err
		}
		if id := linkID(info); id != nil && e.Type == File {
			if e.LinkOf = first[id]; e.LinkOf == "" {
				first[id] = e.Path
			}
		}
		if e.Type == File && e.LinkOf == "" {
			t.total += info.Size()
		}
		m.Entries = append(m.Entries, *e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the root tree: %w", err)
	}
	if err := cmp.Or(t.hashFiles(m, root, &closed), closed.err()); err != nil {
		return nil, fmt.Errorf("reading the root tree: %w", err)
	}
	m.sortLists()
	facts := debian.ReadRoot(root)
	m.identifyMachine(facts)
	m.Release = facts.Release
	m.SetSystem(facts.System.ID, facts.System.Version)
	t.noteCapabilities(m)
	m.sortLists()
	return m, nil
}

type inode struct{ dev, ino uint64 }

// linkID is what all names of a file have in common, nil of a file that has one.
func linkID(info fs.FileInfo) any {
	if l, ok := info.(interface{ LinkID() any }); ok {
		return l.LinkID()
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
		return inode{uint64(st.Dev), uint64(st.Ino)}
	}
	return nil
}

// specialBits are Go's and Unix' names of the same.
var specialBits = []struct {
	bit  fs.FileMode
	unix Mode
}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}}

func treeEntry(root fs.FS, name string, info fs.FileInfo) (*Entry, error) {
	mode := info.Mode()
	e := &Entry{Path: EscapePath(name), Type: typeOf(mode), Mode: Mode(mode.Perm()), Mtime: info.ModTime().Unix()}
	for _, b := range specialBits {
		if mode&b.bit != 0 {
			e.Mode |= b.unix
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

// hashFiles reads all files, each hard-linked one once.
func (t *treeReader) hashFiles(m *Manifest, root fs.FS, closed *unreadableNames) error {
	var work hasher
	if t.db != nil {
		t.old = newMD5Hashers()
		defer t.old.closeHashers()
		work.wait = md5Lanes - 1
	}
	byPath := map[string]*Entry{}
	for i := range m.Entries {
		e := &m.Entries[i]
		if byPath[e.Path] = e; e.Type != File {
			continue
		}
		if first := byPath[e.LinkOf]; first != nil {
			work.after = append(work.after, func() { e.Size, e.SHA256, e.Capabilities = first.Size, first.SHA256, first.Capabilities })
			continue
		}
		work.jobs = append(work.jobs, hashJob{0, func() error {
			name, err := UnescapePath(e.Path)
			if err != nil {
				return err
			}
			f, err := root.Open(name)
			if err != nil {
				return closed.noteDenied(name, err)
			}
			defer f.Close()
			t.readCapabilities(e, f)
			return t.readEntry(e, name, f)
		}})
	}
	return work.hashAll()
}

// readEntry reads one file.
func (t *treeReader) readEntry(e *Entry, name string, f io.Reader) (err error) {
	sum := sha256.New()
	to := []io.Writer{sum}
	if t.db != nil && len(t.db.Owners(name)) > 0 {
		old := t.old.take()
		defer func() { t.noteMD5(e, t.old.end(old)) }()
		to = append(to, old)
	}
	if t.progress != nil {
		to = append(to, progressOf{t})
	}
	if e.Size, err = copyTo(io.MultiWriter(to...), f); err != nil {
		return err
	}
	e.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func (t *treeReader) noteMD5(e *Entry, sum string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.md5 == nil {
		t.md5 = map[string]string{}
	}
	t.md5[e.Path] = sum
}

// progressOf counts what is written to it.
type progressOf struct{ t *treeReader }

func (p progressOf) Write(b []byte) (int, error) {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	p.t.done += int64(len(b))
	p.t.progress(p.t.done, max(p.t.done, p.t.total)) // a file may have grown
	return len(b), nil
}

// contentsByPath is what was read, by path.
func (t *treeReader) contentsByPath(m *Manifest) map[string]readContent {
	all := make(map[string]readContent, len(t.md5))
	for i := range m.Entries {
		if e := &m.Entries[i]; e.Type == File {
			all[e.Path] = readContent{e.Size, e.SHA256, t.md5[e.Path]}
		}
	}
	return all
}
