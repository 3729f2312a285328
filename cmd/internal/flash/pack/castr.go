package pack

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/sidefile"
)

// ID is a hash: the SHA-512/256 of what a group decodes to, as casync names chunks.
type ID [32]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText is the ID in hex.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads one.
func (id *ID) UnmarshalText(b []byte) error {
	if len(b) == 2*len(id) { // hex.Decode panics where the room is too small
		if _, err := hex.Decode(id[:], b); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%q is no SHA-512/256", b)
}

// Suffixes of casync's files.
const (
	groupSuffix = ".cacnk"
	indexSuffix = ".caibx"
)

// maxPacked bounds a group's file, in bytes.
const maxPacked = groupSize + groupSize/64

// Store is a directory of groups: DIR/abcd/abcd….cacnk. It is held open: if its name leads elsewhere later, nothing is read or written there.
type Store struct{ root *os.Root }

// At is the store in a directory, which is made if need be, with mode 0700: images may have secrets in them.
func At(dir string) (*Store, error) {
	parent, err := openMade(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	return storeIn(parent, filepath.Base(dir))
}

// openMade is a directory, which is made if need be. The user named it, and it may be a link.
func openMade(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}

// storeIn is the store of that name in a directory that others may write to.
func storeIn(parent *os.Root, name string) (*Store, error) {
	root, err := sidefile.OwnDir(parent, name)
	if err != nil {
		return nil, err
	}
	return &Store{root}, nil
}

// Close closes the directory. A store that is read until the program ends need not be closed.
func (s *Store) Close() error { return s.root.Close() }

// groupPath is where a group is in the store.
func (s *Store) groupPath(id ID) string {
	name := id.String()
	return filepath.Join(name[:4], name+groupSuffix)
}

// hasGroup reports whether a group is there, by its length.
func (s *Store) hasGroup(g Group) bool {
	info, err := s.root.Lstat(s.groupPath(g.ID))
	return err == nil && info.Mode().IsRegular() && info.Size() == g.Len
}

func (s *Store) hasAll(k *Kept) bool {
	return !slices.ContainsFunc(k.Groups, func(g Group) bool { return !s.hasGroup(g) })
}

// noteUse notes that a group is used now.
func (s *Store) noteUse(g Group) {
	now := time.Now()
	s.root.Chtimes(s.groupPath(g.ID), now, now)
}

// putGroup keeps a group, whole or not at all.
func (s *Store) putGroup(g Group, packed []byte) error {
	name := s.groupPath(g.ID)
	if err := s.root.Mkdir(filepath.Dir(name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return sidefile.Replace(s.root, name, func(f *os.File) error {
		_, err := f.Write(packed)
		return err
	})
}

// checkPacked is [ErrDamaged] where packed bytes are not those that were written.
func (g Group) checkPacked(b []byte) error {
	if ID(chunk.SumOf(b)) != g.Sum {
		return fmt.Errorf("%w: group %s", ErrDamaged, g.ID)
	}
	return nil
}

// readGroup is as many bytes as the group has packed, from its file.
func (s *Store) readGroup(g Group) ([]byte, error) {
	f, err := s.root.OpenFile(s.groupPath(g.ID), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() != g.Len || g.Len > maxPacked {
		return nil, fmt.Errorf("%w: group %s", ErrDamaged, g.ID)
	}
	b := make([]byte, g.Len)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, err
	}
	return b, nil
}

// Numbers of a .caibx (casync's caformat.h): an index, a table of where each chunk ends and its name, and the table's tail.
// They are little-endian.
const (
	caIndex       = 0x96824d9c7b129ff9
	caTable       = 0xe75b9e112f17417d
	caTail        = 0x4b4f050e5549ecd1
	caSHA512_256  = 0x2000000000000000
	caIndexSize   = 48
	caEntrySize   = 40
	caTableHeader = 16
)

// writeIndex writes a .caibx: the groups of an image of size bytes, in order.
func writeIndex(w io.Writer, groups []Group, size int64) error {
	var b []byte
	put := func(all ...uint64) {
		for _, n := range all {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
	}
	// The smallest, the usual and the largest length of a chunk; the last one of an image may be smaller.
	put(caIndexSize, caIndex, caSHA512_256, groupSize, groupSize, groupSize)
	put(^uint64(0), caTable)
	for n, g := range groups {
		put(uint64(min(int64(n+1)*groupSize, size)))
		b = append(b, g.ID[:]...)
	}
	put(0, 0, caIndexSize, uint64(caTableHeader+(len(groups)+1)*caEntrySize), caTail)
	_, err := w.Write(b)
	return err
}
