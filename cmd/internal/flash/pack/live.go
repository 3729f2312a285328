package pack

import (
	"context"
	"io"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"groundhog/cmd/internal/flash/chunk"
)

// Live packs an image's groups while the image is being sent, a few groups ahead of the sender: a slow line leaves time for that. A group
// that is not packed in time is not waited for.
type Live struct {
	src Reader

	mu     sync.Mutex
	moved  sync.Cond // at, row, slow or over has changed
	at     int64     // number of the group that is being sent, by the sender that is furthest
	row    int       // how many chunks in a row were sent whole
	last   int64     // number of the chunk that was sent last
	slow   bool      // the line, and not compression, is what takes time
	busy   bool      // work is running
	next   int64     // number of the group that was not begun yet
	groups map[int64]*liveGroup
	bytes  int64 // packed bytes of groups
	over   bool  // nothing more will be packed
}

// Reader reads an image's chunks: data is the caller's, nil for zeros; io.EOF is behind the image's end.
type Reader interface {
	Read(ctx context.Context, n int64) ([]byte, error)
}

// liveGroup is a group that was packed.
type liveGroup struct {
	Group
	chunks []chunk.Chunk
	packed []byte
}

// Bounds of a [Live].
const (
	liveRow   = 8        // chunks that have to be sent whole in a row before packing begins
	liveGap   = 32       // chunks that may lie between two of a row: they are zeros, or on the disk already
	liveAhead = 8        // groups that are packed before they are sent
	liveBytes = 64 << 20 // bytes of packed groups that are kept
)

// NewLive is a pack in which nothing is packed yet.
func NewLive(src Reader) *Live {
	l := &Live{src: src, groups: map[int64]*liveGroup{}}
	l.moved.L = &l.mu
	return l
}

// Sent notes that a chunk was sent, whole or in part, and whether the line is slow. Packing begins when whole chunks in a row go over a
// slow line, pauses when they do not, and ends with ctx.
func (l *Live) Sent(ctx context.Context, n int64, whole, slow bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !whole || n < l.last-liveGap || n > l.last+liveGap {
		l.row = 0
	}
	l.row, l.last, l.slow = l.row+1, n, slow
	l.at = max(l.at, n/GroupChunks)
	if l.worthPacking() && !l.busy && !l.over {
		l.busy = true
		go l.packAll(ctx)
	}
	l.moved.Broadcast()
}

func (l *Live) worthPacking() bool { return l.slow && l.row >= liveRow }

// Active reports whether groups are being packed: they are sent in order then.
func (l *Live) Active() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy && !l.over
}

// maxLive bounds how many groups are packed at once. zstd takes 0.1 to 0.3 s for one, which a line of 100 Mbit/s carries in 0.2 s: one at a time, a slow
// processor does not get ahead of it.
const maxLive = 4

// packAll packs group after group, several at once, until the image's end or ctx's.
func (l *Live) packAll(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { l.mu.Lock(); l.moved.Broadcast(); l.mu.Unlock() })
	defer stop()
	var each errgroup.Group
	for range min(runtime.GOMAXPROCS(0), maxLive) {
		each.Go(func() error { return l.packEach(ctx) })
	}
	err := each.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy, l.next = false, 0
	l.over = l.over || err != nil && ctx.Err() == nil // the image has ended, or there is nothing to pack with
}

func (l *Live) packEach(ctx context.Context) error {
	p, _, err := newPacker(ctx, Quick)
	if err != nil {
		return err
	}
	defer p.Close()
	var room []byte
	for {
		n := l.nextGroup(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		g, data, err := l.packGroup(ctx, p, n, room)
		if err != nil {
			return err
		}
		l.keepGroup(n, g)
		room = data
	}
}

// nextGroup is the next group to pack, as soon as it is worth while.
func (l *Live) nextGroup(ctx context.Context) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ctx.Err() == nil {
		if l.next <= l.at { // the group after that may come too late as well
			l.next = l.at + 2
		}
		if l.groups[l.next] != nil {
			l.next++
			continue
		}
		if l.worthPacking() && l.next <= l.at+liveAhead {
			l.next++
			return l.next - 1
		}
		l.moved.Wait()
	}
	return 0
}

// packGroup packs group n, nil for one of zeros alone, and returns its data, for which there may be room. io.EOF is behind the image's end.
func (l *Live) packGroup(ctx context.Context, p *Packer, n int64, room []byte) (g *liveGroup, data []byte, err error) {
	g, data = &liveGroup{}, room[:0]
	zeros := true
	for k := n * GroupChunks; k < (n+1)*GroupChunks; k++ {
		b, err := l.src.Read(ctx, k)
		if err == io.EOF && len(data) > 0 {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		if b == nil { // zeros; their length is a chunk's, but for the image's last, with which no group is packed
			data = slices.Grow(data, chunk.Size)[:len(data)+chunk.Size]
			clear(data[len(data)-chunk.Size:])
			g.chunks = append(g.chunks, chunk.Chunk{N: k, Len: chunk.Size, Zero: true})
			continue
		}
		zeros = false
		g.chunks, data = append(g.chunks, chunk.Of(k, b)), append(data, b...)
		chunk.Free(b)
	}
	if zeros {
		return nil, data, nil
	}
	made, packed, err := p.Pack(data)
	if err != nil {
		return nil, nil, err
	}
	g.Group, g.packed = made, append([]byte(nil), packed...)
	return g, data, nil
}

// keepGroup keeps a group, and forgets those that are far behind.
func (l *Live) keepGroup(n int64, g *liveGroup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g == nil {
		return
	}
	l.groups[n], l.bytes = g, l.bytes+g.Len
	for l.bytes > liveBytes {
		oldest := n
		for k := range l.groups {
			oldest = min(oldest, k)
		}
		l.bytes -= l.groups[oldest].Len
		delete(l.groups, oldest)
	}
}

// Window is that of the frames that groundhog makes.
func (l *Live) Window() int64 { return frameWindow }

// Credit is 0: each group can be begun at.
func (l *Live) Credit() int64 { return 0 }

// Place is where a chunk is, if its group was packed.
func (l *Live) Place(c chunk.Chunk) (Place, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, k := c.N/GroupChunks, int(c.N%GroupChunks)
	g := l.groups[n]
	if g == nil || k >= len(g.Ends) || g.chunks[k] != c {
		return Place{}, false
	}
	return g.chunkPlace(n, k), true
}

// Read is bytes of one group.
func (l *Live) Read(from, to int64) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := from / groupStride
	g := l.groups[n]
	if from, to = from-n*groupStride, to-n*groupStride; g == nil || from < 0 || from > to || to > g.Len {
		return nil, ErrDamaged
	}
	return g.packed[from:to], nil
}
