package index

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/home"
	"groundhog/cmd/internal/sidefile"
)

// Store is a directory of indexes. A nil one is empty and keeps nothing.
type Store struct {
	dir string
	key []byte // seals indexes
}

// Bounds of a store.
const (
	maxStore   = 256 << 20 // bytes of all indexes: those of 8 TB
	maxEntries = 1000
	keyLen     = 32 // bytes
)

// User is the store in the user's cache, $XDG_CACHE_HOME/groundhog (XDG Base Directory Specification); nil where there can be
// none, or where it belongs to, or is open to, somebody else.
func User() *Store {
	s, _ := Open()
	return s
}

// Open is User with the reason where there can be none.
func Open() (*Store, error) {
	cache, err := home.Cache()
	if err != nil {
		return nil, err
	}
	return OpenAt(filepath.Join(cache, "groundhog"))
}

// OpenAt is the store in a directory, which is made if need be.
func OpenAt(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if !isOwnFile(d, unix.S_IFDIR) {
		return nil, fmt.Errorf("%s: not a directory of this user's alone", dir)
	}
	key, err := keyOf(dir)
	if err != nil {
		return nil, fmt.Errorf("its key in %s: %w", dir, err)
	}
	return &Store{dir, key}, nil
}

// isOwnFile reports whether an open file is of this kind, the user's own, and writable for nobody else.
func isOwnFile(f *os.File, kind uint32) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && uint32(st.Mode)&unix.S_IFMT == kind && int(st.Uid) == os.Geteuid() && st.Mode&0o022 == 0
}

// readOurs reads a file of the store: neither a link nor a pipe, and nobody's but ours.
func readOurs(name string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !isOwnFile(f, unix.S_IFREG) {
		return nil, errors.New("not a file of this user's alone")
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = errors.New("too large")
	}
	return b, err
}

// keyOf is the store's key, a new one where there is none. Of two that make one at once the first one's counts.
func keyOf(dir string) ([]byte, error) {
	name := filepath.Join(dir, "key")
	key, err := readOurs(name, 4096)
	if errors.Is(err, os.ErrNotExist) {
		key = make([]byte, keyLen)
		rand.Read(key)
		if err = writeWhole(name, key, (*sidefile.Aside).BecomeFirst); err == nil || errors.Is(err, os.ErrExist) {
			key, err = readOurs(name, keyLen)
		}
	}
	if err == nil && len(key) != keyLen {
		err = errors.New("not a key: once that file is away another is made")
	}
	return key, err
}

// writeWhole writes a file of the store, whole or not at all. become is [sidefile.Aside.Become] or BecomeFirst.
func writeWhole(name string, b []byte, become func(a *sidefile.Aside, base string) error) error {
	dir, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	a, err := sidefile.NewAside(dir, "index") // whatever it was to be, what a killed run has left goes
	if err != nil {
		return err
	}
	defer a.Discard()
	_, err = a.Write(b)
	if err = errors.Join(err, a.Complete(0o600)); err != nil {
		return err
	}
	return become(a, filepath.Base(name))
}

// indexSuffix ends the names of indexes, beside those of what else is kept of an image.
const indexSuffix = ".index"

// pathFor is where something of an image's file is kept: one for each name, so that an image that is built anew takes the
// place of the one before.
func (s *Store) pathFor(image, suffix string) (string, error) {
	abs, err := filepath.Abs(image)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:16])+suffix), err
}

// Dir is the store's directory. Packages that keep files of their own there have to bound them.
func (s *Store) Dir() string { return s.dir }

// Sealed is what was kept of an image under this suffix, if we kept it; else nil.
func (s *Store) Sealed(image, suffix string) []byte {
	if s == nil {
		return nil
	}
	name, err := s.pathFor(image, suffix)
	if err != nil {
		return nil
	}
	b := s.SealedFile(name, suffix)
	if b != nil {
		now := time.Now()
		os.Chtimes(name, now, now) // what is used longest ago goes first
	}
	return b
}

// SealedFile is what a file of the store holds that was sealed for this suffix; else nil.
func (s *Store) SealedFile(name, suffix string) []byte {
	b, err := readOurs(name, maxIndex)
	if err != nil || len(b) < sha256.Size {
		return nil
	}
	b, sealed := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if !hmac.Equal(sealOf(s.key, append([]byte(suffix), b...)), sealed) { // an index of one kind is none of another
		return nil
	}
	return b
}

// Seal keeps something of an image, whole or not at all.
func (s *Store) Seal(image, suffix string, b []byte) error {
	name, err := s.pathFor(image, suffix)
	if err != nil {
		return err
	}
	if len(b) > maxIndex-sha256.Size {
		return errors.New("too large to be kept")
	}
	return writeWhole(name, append(slices.Clone(b), sealOf(s.key, append([]byte(suffix), b...))...), (*sidefile.Aside).Become)
}

// Get is the index that was kept for the image of that name, if it was made of the file in this state; else nil.
func (s *Store) Get(image string, file File) *Index {
	if s == nil {
		return nil
	}
	name, err := s.pathFor(image, indexSuffix)
	if err != nil {
		return nil
	}
	b, err := readOurs(name, maxIndex)
	if err != nil {
		return nil
	}
	x := parseIndex(b, s.key)
	if x == nil || x.File != file {
		return nil
	}
	now := time.Now()
	os.Chtimes(name, now, now) // what is used longest ago goes first
	return x
}

// Put keeps an index, whole or not at all: it saves time and no more.
func (s *Store) Put(image string, x *Index) {
	if s == nil {
		return
	}
	b := x.encodeSealed(s.key)
	name, err := s.pathFor(image, indexSuffix)
	if b == nil || err != nil {
		return
	}
	writeWhole(name, b, (*sidefile.Aside).Become)
	s.pruneIndexes(filepath.Base(name))
}

// pruneIndexes removes the indexes that were used longest ago while there are too many, or too many bytes of them. latest, the one that was just
// written, stays: several may have the same time.
func (s *Store) pruneIndexes(latest string) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	var others []os.FileInfo
	total, count := int64(0), 1
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil || !info.Mode().IsRegular():
		case e.Name() == latest:
			total = info.Size()
		case filepath.Ext(e.Name()) == indexSuffix:
			others = append(others, info)
		}
	}
	slices.SortFunc(others, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, info := range others {
		count++
		if total += info.Size(); count > maxEntries || total > maxStore {
			os.Remove(filepath.Join(s.dir, info.Name()))
		}
	}
}
