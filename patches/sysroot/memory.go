package sysroot

import (
	"archive/tar"
	"bytes"
	"cmp"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A memoryNode is a file, directory, symbolic link, FIFO or device in memory. Hard links are one node
// under several names.
type memoryNode struct {
	uid, gid     uint32
	major, minor uint32 // of a device
	mode         fs.FileMode
	modTime      time.Time
	data         []byte // a file's content, a link's target
	names        int    // how many it was given
	children     map[string]*memoryNode
}

// memoryStore is the store that packages are unpacked into.
type memoryStore struct{ root *memoryNode }

func newMemory() *memoryStore { return &memoryStore{root: &memoryNode{mode: fs.ModeDir | 0o755}} }

func (m *memoryStore) findNode(name string) (*memoryNode, error) {
	n := m.root
	if name == "." {
		return n, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if n = n.children[part]; n == nil {
			return nil, fs.ErrNotExist
		}
	}
	return n, nil
}

func (n *memoryNode) addChild(name string, child *memoryNode) {
	if n.children == nil {
		n.children = map[string]*memoryNode{}
	}
	n.children[name] = child
	child.names++
}

func (m *memoryStore) lstat(name string) (fs.FileInfo, error) {
	n, err := m.findNode(name)
	if err != nil {
		return nil, err
	}
	return nodeInfo{path.Base(name), n}, nil
}

func (m *memoryStore) readLink(name string) (string, error) {
	n, err := m.findNode(name)
	if err != nil {
		return "", err
	}
	if n.mode.Type() != fs.ModeSymlink {
		return "", syscall.EINVAL
	}
	return string(n.data), nil
}

func (m *memoryStore) readDir(name string) ([]fs.DirEntry, error) {
	n, err := m.findNode(name)
	if err != nil {
		return nil, err
	}
	var list []fs.DirEntry
	for base, child := range n.children {
		list = append(list, fs.FileInfoToDirEntry(nodeInfo{base, child}))
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return list, nil
}

func (m *memoryStore) open(name string) (fs.File, error) {
	n, err := m.findNode(name)
	if err != nil {
		return nil, err
	}
	return &nodeFile{bytes.NewReader(n.data), nodeInfo{path.Base(name), n}, nil}, nil
}

func (m *memoryStore) close() error { return nil }

// nodeInfo is a node under one of its names.
type nodeInfo struct {
	name string
	node *memoryNode
}

func (i nodeInfo) Name() string       { return i.name }
func (i nodeInfo) Size() int64        { return int64(len(i.node.data)) }
func (i nodeInfo) Mode() fs.FileMode  { return i.node.mode }
func (i nodeInfo) ModTime() time.Time { return i.node.modTime }
func (i nodeInfo) IsDir() bool        { return i.node.mode.IsDir() }

// Sys is the owner and a device's numbers, as a tar's header has them.
func (i nodeInfo) Sys() any {
	n := i.node
	return &tar.Header{Uid: int(n.uid), Gid: int(n.gid), Devmajor: int64(n.major), Devminor: int64(n.minor)}
}

// ownedAs gives a node the owner that another file has.
func (n *memoryNode) ownedAs(fi fs.FileInfo) *memoryNode {
	switch sys := fi.Sys().(type) {
	case *syscall.Stat_t:
		n.uid, n.gid = sys.Uid, sys.Gid
	case *tar.Header:
		n.uid, n.gid = uint32(sys.Uid), uint32(sys.Gid)
	}
	return n
}

// LinkID is the same for all names of a file that has several, nil for one that has none (what a manifest knows hard links by).
func (i nodeInfo) LinkID() any {
	if i.node.names < 2 {
		return nil
	}
	return i.node
}

// nodeFile is an open file: its reader seeks and reads at an offset, too. What is read from its start on is counted by its tree, for there may be many
// names of one file.
type nodeFile struct {
	*bytes.Reader
	info nodeInfo
	tree *Tree
}

func (f *nodeFile) Read(b []byte) (int, error) { return f.tree.countRead(f.Reader.Read(b)) }

func (f *nodeFile) WriteTo(w io.Writer) (int64, error) {
	if _, err := f.tree.countRead(f.Len(), nil); err != nil {
		return 0, err
	}
	return f.Reader.WriteTo(w)
}

func (f *nodeFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *nodeFile) Close() error               { return nil }
func (f *nodeFile) Held() []byte               { return f.info.node.data }
