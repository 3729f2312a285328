// Package pack is an image compressed well beforehand: as zstd frames (RFC 8878) from which its chunks are sent as they are,
// without anybody compressing them once more.
//
// A frame holds a group of [GroupSize] bytes, eight chunks, so that what a chunk has in common with those before it is
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
	"sync"

	"groundhog/cmd/internal/flash/chunk"
)

// GroupChunks is how many chunks a group has, GroupSize how many bytes. The last one of an image may be shorter.
const (
	GroupChunks = 8
	GroupSize   = GroupChunks * chunk.Size
)

// Place is where a chunk is in the packed bytes.
type Place struct {
	Entry  int64 // a decoder can begin here
	Off    int64 // and gives the image from this byte on
	Before int64 // up to here it has to be given bytes for all that is before the chunk
	End    int64 // and up to here for the chunk, too
}

// Pack is an image, packed. It may be used by several at once.
type Pack interface {
	// Place is where a chunk is, false for one that is not there (yet).
	Place(c chunk.Chunk) (Place, bool)
	// Read is packed bytes, from and to being an Entry or an End of one place or of two that follow one another.
	Read(from, to int64) ([]byte, error)
	// Window is the largest window that a decoder has to have, in bytes.
	Window() int64
	// Credit is how many packed bytes may be sent for nothing so that the rest can be used.
	Credit() int64
}

// ErrDamaged is returned for packed bytes that are not what they were.
var ErrDamaged = errors.New("the packed image is damaged")

// stride is how far the groups of a [Groups] lie apart in its numbering of packed bytes: no group is as long.
const stride = 1 << 32

// Group is one group, packed.
type Group struct {
	ID   ID      `json:"id"`   // hash of what it decodes to
	Len  int64   `json:"len"`  // bytes, packed
	Sum  ID      `json:"sum"`  // BLAKE3 of the packed bytes
	Ends []int64 `json:"ends"` // for each of its chunks, how many of these make it whole
}

// place is where chunk k of the group is, which is the nth of its image.
func (g Group) place(n int64, k int) Place {
	before := int64(0)
	if k > 0 {
		before = g.Ends[k-1]
	}
	return Place{Entry: n * stride, Off: n * GroupSize, Before: n*stride + before, End: n*stride + g.Ends[k]}
}

// Groups is a pack of groups that a [Store] has.
type Groups struct {
	chunks []chunk.Chunk
	groups []Group
	store  *Store

	mu     sync.Mutex
	recent []recentGroup // the last ones that were read, the oldest first: those who send one image are not far apart
}

type recentGroup struct {
	n int64
	b []byte
}

// maxRecent bounds them.
const maxRecent = 8

// get is a group's packed bytes.
func (g *Groups) get(n int64) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.recent {
		if r.n == n {
			return r.b, nil
		}
	}
	b, err := g.store.get(g.groups[n])
	if err != nil {
		return nil, err
	}
	if g.recent = append(g.recent, recentGroup{n, b}); len(g.recent) > maxRecent {
		g.recent = g.recent[1:]
	}
	return b, nil
}

// Window is that of the frames that we make.
func (g *Groups) Window() int64 { return frameWindow }

// Credit is none: at the next group one can begin anew.
func (g *Groups) Credit() int64 { return 0 }

// Place is where a chunk is.
func (g *Groups) Place(c chunk.Chunk) (Place, bool) {
	n, k := c.N/GroupChunks, int(c.N%GroupChunks)
	if n >= int64(len(g.groups)) || c.N >= int64(len(g.chunks)) || g.chunks[c.N] != c || k >= len(g.groups[n].Ends) {
		return Place{}, false
	}
	return g.groups[n].place(n, k), true
}

// Read is bytes of one group.
func (g *Groups) Read(from, to int64) ([]byte, error) {
	n := from / stride
	if from, to = from-n*stride, to-n*stride; n >= int64(len(g.groups)) || from < 0 || from > to || to > g.groups[n].Len {
		return nil, fmt.Errorf("%w: bytes %d to %d of group %d", ErrDamaged, from, to, n)
	}
	b, err := g.get(n)
	if err != nil {
		return nil, err
	}
	return b[from:to], nil
}
