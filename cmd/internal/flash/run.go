package flash

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
)

// flashRun is a flash over all its connections.
type flashRun struct {
	Job
	ctx    context.Context
	cancel context.CancelFunc
	sent   atomic.Int64 // bytes on all lines
	direct atomic.Int64 // those of them that went beside SSH

	mu        sync.Mutex
	cond      *sync.Cond
	chunks    *ledger
	feedErr   error // the image did not come to its proper end
	feeding   bool
	indexed   bool          // the image's index was known when the flash began
	known     []chunk.Chunk // its chunks
	walked    int64         // the walk has come to this chunk
	foretold  map[int64]int // chunks of zeros that were taken in before the walk came to them, and their length
	extents   []chunk.Extent
	end       int64 // the image's length in bytes, as far as it is known
	disk      protocol.Disk
	announced bool // the writer may have written
	touched   bool // the writer has written
	wrote     bool // it had, before it lost what it knew of this flash
	finished  bool
	packBad   bool // the source's pack is left alone
	overSSH   bool // a direct line was lost
	unlike    bool // samples have shown that the disk holds nothing of the image
	result    Result
}

func newRun(ctx context.Context, j Job) *flashRun {
	r := &flashRun{Job: j, chunks: newLedger(), foretold: map[int64]int{}}
	r.cond = sync.NewCond(&r.mu)
	r.ctx, r.cancel = context.WithCancel(ctx)
	context.AfterFunc(r.ctx, func() { r.mu.Lock(); r.cond.Broadcast(); r.mu.Unlock() })
	return r
}

// runAnew is a run from the beginning, for a device that was written to before.
func (r *flashRun) runAnew(ctx context.Context) *flashRun {
	r.cancel()
	next := newRun(ctx, r.Job)
	next.sent.Store(r.sent.Load())
	next.direct.Store(r.direct.Load())
	next.overSSH = r.overSSH
	next.result.Lost = r.result.Lost + 1
	next.announced, next.wrote = true, r.wrote || r.touched
	return next
}

func (r *flashRun) settledSoFar() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.chunks.settled
}

func (r *flashRun) countLost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Lost++
}

func (r *flashRun) fatalError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.feedErr
}

// takeIndex takes the image's index: its chunks are compared while those that differ are sent. The caller holds mu.
func (r *flashRun) takeIndex(all []chunk.Chunk) {
	r.end = chunk.End(all)
	r.indexed = true
	r.known = all
	r.chunks.listIndex(all, r.Fit != nil)
}

// wantsData reports whether the disk differs in a chunk of the index. It waits until that is known.
func (r *flashRun) wantsData(n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.ctx.Err() == nil {
		if wants, known := r.chunks.wantsData(n); known {
			return wants
		}
		r.cond.Wait()
	}
	return false
}

// needsNoData reports whether a wanted chunk can most likely be sent without reading its data: it was packed beforehand, or
// another flash has compressed it. If that turns out wrong, the data is read then.
func (r *flashRun) needsNoData(c chunk.Chunk) bool {
	if _, ok := r.Source.(Reader); !ok || c.Zero || c.N == 0 {
		return false
	}
	if r.Shared != nil {
		return true
	}
	src, ok := r.Source.(Packer)
	if !ok || src.Pack() == nil {
		return false
	}
	_, ok = src.Pack().Place(c)
	return ok
}

// sendLater has a chunk of the index sent without its data being read now; false where it is to be read.
func (r *flashRun) sendLater(c chunk.Chunk) bool {
	if !r.needsNoData(c) {
		return false
	}
	return r.takeChunk(c, nil) == nil
}

// takeChunk takes in what the walk has come to, as soon as there is room.
func (r *flashRun) takeChunk(c chunk.Chunk, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.chunks.windowFull() && r.ctx.Err() == nil {
		r.cond.Wait()
	}
	if r.end = max(r.end, c.N*chunk.Size+int64(c.Len)); r.end > r.disk.Size { // a stream may have no end
		return fmt.Errorf("it is larger than the disk, which has %d bytes", r.disk.Size)
	}
	r.chunks.enterData(c, data)
	r.cond.Broadcast()
	return r.ctx.Err()
}

// maxForetold is how many foretold chunks of zeros may be under way. With fewer the device is done with them only behind the data.
const maxForetold = 32

// feedZeros takes in chunks of zeros before the walk comes to them: the device has time to write and read back zeros while it waits for the line.
// The walk tells what the image is, and how it ends; so nothing is said here.
func (r *flashRun) feedZeros(src Foreteller) {
	src.Zeros(r.ctx, func(c chunk.Chunk) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for r.chunks.foretold >= maxForetold && r.ctx.Err() == nil {
			r.cond.Wait()
		}
		if c.N > r.walked && c.N*chunk.Size+int64(c.Len) <= r.disk.Size {
			r.foretold[c.N] = c.Len
			r.chunks.enterZeros(c)
			r.cond.Broadcast()
		}
		return r.ctx.Err()
	})
}

// errOther is that a chunk is not the zeros that were foretold.
var errOther = errors.New("it has changed while it was read")

// wasForetold reports whether the chunk that the walk has come to was taken in before.
func (r *flashRun) wasForetold(c chunk.Chunk) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.walked = c.N
	n, ok := r.foretold[c.N]
	delete(r.foretold, c.N)
	if ok && !(c.Zero && c.Len == n) {
		return false, errOther
	}
	if ok {
		r.end = max(r.end, c.N*chunk.Size+int64(c.Len))
	}
	return ok, nil
}

// feedImage walks through the image, once; chunks wait in the window for their place.
func (r *flashRun) feedImage(want func(int64) bool) {
	err := r.Source.Walk(r.ctx, want, func(c chunk.Chunk, data []byte) error {
		if taken, err := r.wasForetold(c); taken || err != nil {
			return err
		}
		if r.Fit != nil && c.N == 0 {
			var err error
			if c, data, err = r.fitFirstChunk(c, data); err != nil {
				return err
			}
		}
		return r.takeChunk(c, data)
	})
	if err == nil {
		r.sayInstead()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chunks.whole = err == nil
	if err != nil && r.ctx.Err() == nil {
		r.feedErr = fmt.Errorf("%w: %w", ErrImage, err)
	}
	r.cond.Broadcast()
}

// sayInstead says where extents take the place of some of the image. They were chosen by its partition table, which may know of a smaller disk than a
// stream comes from; no partition has bytes there.
func (r *flashRun) sayInstead() {
	by := int64(0)
	r.mu.Lock()
	for _, e := range r.extents {
		if e.Data != nil { // what is blanked is behind the image, see outsideImage
			by += max(0, min(r.end, e.End())-e.Off)
		}
	}
	r.mu.Unlock()
	if by > 0 {
		r.Say(fmt.Sprintf("the image goes on behind what its partition table has, up to the end of the disk: %d bytes there are the table's backup instead", by))
	}
}

// fitFirstChunk has the first chunk changed for this disk.
func (r *flashRun) fitFirstChunk(c chunk.Chunk, data []byte) (chunk.Chunk, []byte, error) {
	size, ok := r.Source.Size()
	if !ok {
		if all := r.Source.Index(); all != nil {
			size = chunk.End(all)
		}
	}
	if data == nil {
		data = make([]byte, c.Len)
	}
	r.mu.Lock()
	disk := r.disk
	r.mu.Unlock()
	out, extents, err := r.Fit(disk, size, slices.Clone(data))
	if err != nil {
		return c, nil, err
	}
	if len(out) != c.Len {
		return c, nil, errors.New("the first chunk has another length now")
	}
	r.mu.Lock()
	r.extents = extents
	r.mu.Unlock()
	if c = chunk.Of(0, out); c.Zero {
		out = nil
	}
	return c, out, nil
}
