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

// window is how many chunks are held in memory until the writer has them on the disk.
const window = 48

// progress of an item on the current connection.
type progress int

const (
	fresh  progress = iota // not announced on it
	asked                  // announced, not answered
	wanted                 // the writer needs its data
	going                  // the data is about to be sent
	given                  // it was sent
)

// item is a chunk that the disk is not known to have.
type item struct {
	c    chunk.Chunk
	data []byte
	held []byte // sums of the pieces that the disk has there; nil: it is sent whole
	at   progress

	built bool // a recipe was sent for it, and the device may want it whole
}

// run is a flash over all its connections.
type run struct {
	Job
	ctx    context.Context
	cancel context.CancelFunc
	sent   atomic.Int64 // bytes on all lines

	mu        sync.Mutex
	cond      *sync.Cond
	pending   map[int64]*item
	fed       bool  // the image came to its proper end
	feedErr   error // it did not
	feeding   bool
	indexed   bool                  // the image's index was known when the flash began
	unknown   map[int64]chunk.Chunk // of it, not yet compared
	needed    map[int64]bool        // and these differ
	direct    map[int64][]byte      // of them, known to the writer of this connection, with the sums of what it holds there, if any
	extents   []chunk.Extent
	building  int   // recipes that were sent and not answered
	end       int64 // of the image, in bytes, as far as it is known
	disk      protocol.Disk
	settled   int64 // chunks that are on the disk
	bytes     int64 // of them
	announced bool  // the writer may have written
	touched   bool  // it has
	finished  bool
	result    Result
}

func newRun(ctx context.Context, j Job) *run {
	r := &run{Job: j, pending: map[int64]*item{}, needed: map[int64]bool{}}
	r.cond = sync.NewCond(&r.mu)
	r.ctx, r.cancel = context.WithCancel(ctx)
	context.AfterFunc(r.ctx, func() { r.mu.Lock(); r.cond.Broadcast(); r.mu.Unlock() })
	return r
}

// anew is a run from the beginning, for a device that was written to before.
func (r *run) anew(ctx context.Context) *run {
	r.cancel()
	next := newRun(ctx, r.Job)
	next.sent.Store(r.sent.Load())
	next.result.Lost = r.result.Lost + 1
	next.announced = true
	return next
}

func (r *run) settledSoFar() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settled
}

func (r *run) lost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Lost++
}

func (r *run) fatal() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.feedErr
}

// index takes the image's index, where it is known: its chunks are compared while those that differ are sent. The
// caller holds mu.
func (r *run) index() {
	all := r.Source.Index()
	if all == nil {
		return
	}
	r.end = chunk.End(all)
	r.indexed, r.unknown = true, make(map[int64]chunk.Chunk, len(all))
	for _, c := range all {
		r.unknown[c.N] = c
	}
	if r.Fit != nil { // the first chunk is known when it is fitted
		delete(r.unknown, 0)
		r.needed[0] = true
	}
}

// wants reports whether the disk differs in a chunk of the index. It waits until that is known.
func (r *run) wants(n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.ctx.Err() == nil {
		if _, ok := r.unknown[n]; !ok {
			return r.needed[n]
		}
		r.cond.Wait()
	}
	return false
}

// feed walks through the image, once; chunks wait in the window for their place.
func (r *run) feed(want func(int64) bool) {
	err := r.Source.Walk(r.ctx, want, func(c chunk.Chunk, data []byte) error {
		if r.Fit != nil && c.N == 0 {
			var err error
			if c, data, err = r.fit(c, data); err != nil {
				return err
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for len(r.pending) >= window && r.ctx.Err() == nil {
			r.cond.Wait()
		}
		r.end = max(r.end, c.N*chunk.Size+int64(c.Len))
		it := &item{c: c, data: data}
		if held, ok := r.direct[c.N]; ok {
			it.at, it.held = wanted, held
		}
		r.pending[c.N] = it
		r.cond.Broadcast()
		return r.ctx.Err()
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fed = err == nil
	if err != nil && r.ctx.Err() == nil {
		r.feedErr = fmt.Errorf("%w: %w", ErrImage, err)
	}
	r.cond.Broadcast()
}

// fit has the first chunk changed for this disk.
func (r *run) fit(c chunk.Chunk, data []byte) (chunk.Chunk, []byte, error) {
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

// over reports whether all is on the disk, but for the first chunk, which comes last. The caller holds mu.
func (r *run) over() bool {
	it, ok := r.pending[0]
	return r.fed && len(r.unknown) == 0 && (len(r.pending) == 0 || len(r.pending) == 1 && ok && it.at == given)
}

// settle notes that a chunk is on the disk. The caller holds mu.
func (r *run) settle(n int64, length int) {
	if it := r.pending[n]; it != nil {
		if it.built {
			r.building--
		}
		chunk.Free(it.data)
	}
	delete(r.pending, n)
	delete(r.needed, n)
	delete(r.direct, n)
	r.settled++
	r.bytes += int64(length)
	r.cond.Broadcast()
}
