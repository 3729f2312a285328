// Package pack is an image compressed well beforehand: as zstd frames (RFC 8878) from which its chunks are sent as they are,
// without anybody compressing them once more.
//
// A frame holds a group of groupSize bytes, eight chunks, so that what a chunk has in common with those before it is
// not sent twice, and a device decodes one within a window of 8 MiB. A Debian disk of 1 GiB, 402 MB of it data, in MB:
//
//	chunk by chunk, the library's fastest level    146.3
//	chunk by chunk, its better level               137.8
//	groups, its better level                       128.6
//	groups, its best level                         121.9
//	groups, zstd -19                               110.7
//	the whole, zstd -19                            107.4
//	the whole, xz -6                               101.6
//
// The library's best level takes ten times as long as its better one.
//
// Groups are kept as casync keeps chunks (https://github.com/systemd/casync, caformat.h): a directory that has each one by the
// hash of what it decodes to, and an index that names them in order. Any tool that reads those, and any web server,
// can serve them.
package pack

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"groundhog/cmd/internal/flash/chunk"
)

// GroupChunks is how many chunks a group has, GroupSize how many bytes. The last one of an image may be shorter.
const (
	GroupChunks = 8
	groupSize   = GroupChunks * chunk.Size
)

// Place is where a chunk is in the packed bytes.
type Place struct {
	Entry  int64 // offset in the packed bytes at which a decoder can begin
	Off    int64 // offset in the image of the first byte that it gives then
	Before int64 // offset in the packed bytes at which all that lies before the chunk was decoded
	End    int64 // offset in the packed bytes at which the chunk itself was decoded
}

// Pack is an image, packed. It may be used by several at once.
type Pack interface {
	// Place is where a chunk is, false for one that is not there (yet).
	Place(c chunk.Chunk) (Place, bool)
	// Read is the packed bytes between two offsets. Each is an Entry or an End, of the same place or of two successive ones.
	Read(from, to int64) ([]byte, error)
	// Window is the largest window that a decoder has to have, in bytes.
	Window() int64
	// Credit is how many packed bytes that no chunk needs may be sent, so that those behind them can be used.
	Credit() int64
}

// ErrDamaged says that packed bytes are not those that were written.
var ErrDamaged = errors.New("the packed image is damaged")

// groupStride is the distance between the groups of a [Groups] in its offsets: group n begins at n times stride. No group is that long.
const groupStride = 1 << 32

// Group is one group, packed.
type Group struct {
	ID   ID      `json:"id"`   // hash of what it decodes to
	Len  int64   `json:"len"`  // bytes, packed
	Sum  ID      `json:"sum"`  // BLAKE3 of the packed bytes
	Ends []int64 `json:"ends"` // for each chunk, how many packed bytes a decoder needs to have given all of it
}

// chunkPlace is where chunk k of a group is; the group is the nth of its image.
func (g Group) chunkPlace(n int64, k int) Place {
	before := int64(0)
	if k > 0 {
		before = g.Ends[k-1]
	}
	return Place{Entry: n * groupStride, Off: n * groupSize, Before: n*groupStride + before, End: n*groupStride + g.Ends[k]}
}

// Groups is a pack of groups that a [Store] has.
type Groups struct {
	chunks []chunk.Chunk
	groups []Group
	store  *Store

	mu     sync.Mutex
	recent []recentGroup // the last ones that were asked for, the one that was not for longest first: those who send one image are not far apart
	bytes  int64         // of them together
	sound  map[int64]bool
}

type recentGroup struct {
	n int64
	b []byte
}

// maxRecent bounds what is kept of the groups that were read, in bytes: some 15 groups.
const maxRecent = 32 << 20

// packedBytes is a group's packed bytes. They are held against their sum when they are read for the first time: what a disk has changed since, the
// device finds, and the image goes there without the pack.
func (g *Groups) packedBytes(n int64) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := slices.IndexFunc(g.recent, func(r recentGroup) bool { return r.n == n }); at >= 0 {
		r := g.recent[at]
		g.recent = append(slices.Delete(g.recent, at, at+1), r)
		return r.b, nil
	}
	b, err := g.store.readGroup(g.groups[n])
	if err == nil && !g.sound[n] {
		err = g.groups[n].checkPacked(b)
	}
	if err != nil {
		return nil, err
	}
	if g.sound == nil {
		g.sound = map[int64]bool{}
	}
	g.sound[n] = true
	g.recent, g.bytes = append(g.recent, recentGroup{n, b}), g.bytes+int64(len(b))
	for g.bytes > maxRecent && len(g.recent) > 1 {
		g.bytes -= int64(len(g.recent[0].b))
		g.recent = slices.Delete(g.recent, 0, 1)
	}
	return b, nil
}

// Window is that of the frames that groundhog makes.
func (g *Groups) Window() int64 { return frameWindow }

// Credit is 0: a decoder can begin anew at each group.
func (g *Groups) Credit() int64 { return 0 }

// Place is where a chunk is.
func (g *Groups) Place(c chunk.Chunk) (Place, bool) {
	n, k := c.N/GroupChunks, int(c.N%GroupChunks)
	if n >= int64(len(g.groups)) || c.N >= int64(len(g.chunks)) || g.chunks[c.N] != c || k >= len(g.groups[n].Ends) {
		return Place{}, false
	}
	return g.groups[n].chunkPlace(n, k), true
}

// Read is bytes of one group.
func (g *Groups) Read(from, to int64) ([]byte, error) {
	n := from / groupStride
	if from, to = from-n*groupStride, to-n*groupStride; n >= int64(len(g.groups)) || from < 0 || from > to || to > g.groups[n].Len {
		return nil, fmt.Errorf("%w: bytes %d to %d of group %d", ErrDamaged, from, to, n)
	}
	b, err := g.packedBytes(n)
	if err != nil {
		return nil, err
	}
	return b[from:to], nil
}
