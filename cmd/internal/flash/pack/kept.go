package pack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image/index"
	"groundhog/cmd/internal/sidefile"
)

// Kept is an image's pack, as it is kept in the user's cache.
type Kept struct {
	Image   string  `json:"image"`   // its name, for people
	Decoded string  `json:"decoded"` // SHA-256 of the decoded image, in hex
	Chunks  ID      `json:"chunks"`  // hash of its chunks' sums
	Size    int64   `json:"size"`    // bytes of it
	Level   int     `json:"level"`   // that it was packed with
	By      string  `json:"by"`      // the program and its level
	Groups  []Group `json:"groups"`
}

// Packed is the length of all groups together, in bytes. Groups that are the same count once.
func (k *Kept) Packed() (n int64) {
	for _, size := range k.uniqueGroups() {
		n += size
	}
	return n
}

func (k *Kept) uniqueGroups() map[ID]int64 {
	all := map[ID]int64{}
	for _, g := range k.Groups {
		all[g.ID] = g.Len
	}
	return all
}

const (
	recordSuffix = ".pack"
	storeName    = "default.castr" // casync looks for an index' chunks there, beside it
	packMagic    = "groundhog pack 2\n"

	// MaxKept bounds the packs of all images in the user's cache, in bytes. The image that was used longest ago goes first.
	MaxKept = 8 << 30
)

// Cache is the packs in a user's cache. A nil one is empty.
type Cache struct{ cache *index.Store }

// In is the packs beside a cache's indexes.
func In(cache *index.Store) *Cache {
	if cache == nil {
		return nil
	}
	return &Cache{cache}
}

func (c *Cache) storeDir() string { return filepath.Join(c.cache.Dir(), storeName) }

// Of is the pack of the image of that name with these chunks, nil where there is none. A wrong pack does no harm: the device compares
// the hash of each chunk that it gets.
func (c *Cache) Of(image string, chunks []chunk.Chunk) *Groups {
	if c == nil {
		return nil
	}
	k := parseKept(c.cache.Sealed(image, recordSuffix))
	if k == nil || k.Chunks != ID(chunk.SumOfAll(chunks)) || k.Size != chunk.End(chunks) {
		return nil
	}
	store, err := At(c.storeDir())
	if err != nil {
		return nil
	}
	return k.From(store, chunks)
}

// From is the pack of an image with these chunks, read from a store that has all groups.
func (k *Kept) From(s *Store, chunks []chunk.Chunk) *Groups {
	return &Groups{chunks: chunks, groups: k.Groups, store: s}
}

func parseKept(b []byte) *Kept {
	rest, ok := strings.CutPrefix(string(b), packMagic)
	k := new(Kept)
	if !ok || json.Unmarshal([]byte(rest), k) != nil || int64(len(k.Groups)) != (k.Size+groupSize-1)/groupSize {
		return nil
	}
	for _, g := range k.Groups {
		last := int64(0)
		for _, end := range g.Ends {
			if end < last || end > g.Len {
				return nil
			}
			last = end
		}
		if g.Len <= 0 || g.Len > maxPacked || len(g.Ends) > GroupChunks {
			return nil
		}
	}
	return k
}

// Source is a decoded image whose chunks can be read in any order.
type Source interface {
	Index() []chunk.Chunk
	Read(ctx context.Context, n int64) ([]byte, error) // nil for zeros
	DecodedSum(ctx context.Context) (string, error)    // SHA-256 of all of it, in hex
}

// Make packs an image, on all cores, into a store, and returns its pack.
// progress is told how many bytes of the image are done.
func Make(ctx context.Context, src Source, level int, s *Store, progress func(done int64)) (*Kept, error) {
	return makePack(ctx, src, level, s, &knownGroups{all: map[ID]Group{}}, progress)
}

// makePack is [Make] where the store has the groups in made already.
func makePack(ctx context.Context, src Source, level int, s *Store, made *knownGroups, progress func(done int64)) (*Kept, error) {
	chunks := src.Index()
	decoded, err := src.DecodedSum(ctx)
	if err != nil {
		return nil, err
	}
	k := &Kept{Decoded: decoded, Chunks: ID(chunk.SumOfAll(chunks)), Size: chunk.End(chunks), Level: level, Groups: make([]Group, (len(chunks)+GroupChunks-1)/GroupChunks)}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next, done := make(chan int), int64(0)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		p, by, err := newPacker(ctx, level)
		if err != nil {
			return nil, err
		}
		k.By = by
		workers.Go(func() {
			defer p.Close()
			for n := range next {
				mine := chunks[n*GroupChunks : min((n+1)*GroupChunks, len(chunks))]
				g, err := pack1(ctx, src, mine, p, s, made)
				if err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				k.Groups[n] = g
				done += chunk.End(mine) - mine[0].N*chunk.Size
				progress(done)
				mu.Unlock()
			}
		})
	}
	for n := range k.Groups {
		select {
		case next <- n:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	if err := context.Cause(ctx); err != nil { // most often the disk is full: it is not left so
		for _, id := range made.written {
			s.root.Remove(s.groupPath(id))
		}
		return nil, err
	}
	return k, nil
}

// pack1 packs one group, unless a group of the same content was packed before.
func pack1(ctx context.Context, src Source, chunks []chunk.Chunk, p *Packer, s *Store, made *knownGroups) (Group, error) {
	var data []byte
	for _, c := range chunks {
		b, err := src.Read(ctx, c.N)
		if err != nil {
			return Group{}, err
		}
		if b == nil {
			data = append(data, make([]byte, c.Len)...)
			continue
		}
		data = append(data, b...)
		chunk.Free(b)
	}
	if g, ok := made.knownGroup(idOf(data)); ok {
		return g, nil
	}
	g, packed, err := p.Pack(data)
	if err != nil {
		return g, err
	}
	_, was := s.root.Lstat(s.groupPath(g.ID))
	if err := s.putGroup(g, packed); err != nil {
		return g, err
	}
	made.addGroup(g, errors.Is(was, fs.ErrNotExist))
	return g, nil
}

// knownGroups is the groups that a store is known to have, by the hash of what they decode to.
type knownGroups struct {
	mu      sync.Mutex
	all     map[ID]Group
	written []ID // the groups that this run wrote and that were not there before
}

func (k *knownGroups) knownGroup(id ID) (Group, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	g, ok := k.all[id]
	return g, ok
}

func (k *knownGroups) addGroup(g Group, written bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all[g.ID] = g
	if written {
		k.written = append(k.written, g.ID)
	}
}

// Keep packs an image of that name into the cache.
func (c *Cache) Keep(ctx context.Context, name string, src Source, level int, progress func(int64)) (*Kept, error) {
	if c == nil {
		return nil, errors.New("there is no cache of this user's alone")
	}
	store, err := At(c.storeDir())
	if err != nil {
		return nil, err
	}
	defer store.Close()
	if k := parseKept(c.cache.Sealed(name, recordSuffix)); k != nil && k.Chunks == ID(chunk.SumOfAll(src.Index())) && k.Level >= level && store.hasAll(k) {
		return k, nil
	}
	made, err := c.knownAt(level, store)
	if err != nil {
		return nil, err
	}
	k, err := makePack(ctx, src, level, store, made, progress)
	if err != nil {
		return nil, err
	}
	if k.Image, err = filepath.Abs(name); err != nil {
		return nil, err
	}
	b, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	if err := c.cache.Seal(name, recordSuffix, append([]byte(packMagic), b...)); err != nil {
		return nil, err
	}
	return k, c.Prune(MaxKept)
}

// Export packs an image into DIR/default.castr and writes DIR/NAME.caibx.
func Export(ctx context.Context, dir, name string, src Source, level int, progress func(int64)) (*Kept, string, error) {
	into, err := openMade(dir)
	if err != nil {
		return nil, "", err
	}
	defer into.Close()
	store, err := storeIn(into, storeName)
	if err != nil {
		return nil, "", err
	}
	defer store.Close()
	k, err := Make(ctx, src, level, store, progress)
	if err != nil {
		return nil, "", err
	}
	to := filepath.Base(name) + indexSuffix
	err = sidefile.Replace(into, to, func(f *os.File) error { return writeIndex(f, k.Groups, k.Size) })
	return k, filepath.Join(dir, to), err
}

// keptRecord is an image's record in the cache.
type keptRecord struct {
	*Kept
	file string
	used time.Time
}

// listRecords is all of them, the one that was used last first.
func (c *Cache) listRecords() (all []keptRecord, err error) {
	entries, err := os.ReadDir(c.cache.Dir())
	for _, e := range entries {
		if filepath.Ext(e.Name()) != recordSuffix {
			continue
		}
		file := filepath.Join(c.cache.Dir(), e.Name())
		info, err := e.Info()
		if err != nil {
			continue
		}
		all = append(all, keptRecord{parseKept(c.cache.SealedFile(file, recordSuffix)), file, info.ModTime()})
	}
	slices.SortFunc(all, func(a, b keptRecord) int { return cmp.Or(b.used.Compare(a.used), strings.Compare(a.file, b.file)) })
	return all, err
}

// knownAt is the groups in the store that were packed at this level or a better one, for any image.
func (c *Cache) knownAt(level int, s *Store) (*knownGroups, error) {
	records, err := c.listRecords()
	made := &knownGroups{all: map[ID]Group{}}
	for _, r := range records {
		if r.Kept == nil || r.Level < level {
			continue
		}
		for _, g := range r.Groups {
			if s.hasGroup(g) {
				made.all[g.ID] = g
				s.noteUse(g) // so that a [Cache.Prune] meanwhile takes it for one that is used
			}
		}
	}
	return made, err
}

// List is the packs in the cache, the one that was used last first.
func (c *Cache) List() ([]*Kept, error) {
	if c == nil {
		return nil, nil
	}
	records, err := c.listRecords()
	var all []*Kept
	for _, r := range records {
		if r.Kept != nil {
			all = append(all, r.Kept)
		}
	}
	return all, err
}

// Prune leaves at most so many bytes of packs in the cache: it removes whole images, and the groups that no other image has. A group that
// was written within the last hour stays: it may belong to an image that is being packed.
func (c *Cache) Prune(most int64) error {
	if c == nil {
		return nil
	}
	grace := time.Hour
	if most == 0 {
		grace = 0
	}
	return c.pruneRecords(most, grace)
}

func (c *Cache) pruneRecords(most int64, grace time.Duration) error {
	records, err := c.listRecords()
	if err != nil {
		return err
	}
	wanted, total := map[ID]bool{}, int64(0)
	for _, r := range records {
		if r.Kept == nil { // not ours, or of another version
			err = errors.Join(err, os.Remove(r.file))
			continue
		}
		more := int64(0)
		for id, size := range r.uniqueGroups() {
			if !wanted[id] {
				more += size
			}
		}
		if total+more > most {
			err = errors.Join(err, os.Remove(r.file))
			continue
		}
		total += more
		for id := range r.uniqueGroups() {
			wanted[id] = true
		}
	}
	store, cause := At(c.storeDir())
	if cause != nil {
		return errors.Join(err, cause)
	}
	defer store.Close()
	return errors.Join(err, store.sweepGroups(wanted, grace))
}

// sweepGroups removes the groups that nobody wants, and what a killed process has left.
func (s *Store) sweepGroups(wanted map[ID]bool, grace time.Duration) error {
	return fs.WalkDir(s.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		var id ID
		base, isGroup := strings.CutSuffix(e.Name(), groupSuffix)
		if isGroup && id.UnmarshalText([]byte(base)) == nil && wanted[id] || time.Since(info.ModTime()) < grace {
			return nil
		}
		return s.root.Remove(name)
	})
}
