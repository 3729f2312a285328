package flash

import (
	"slices"
	"sync"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/moved"
	"groundhog/cmd/internal/flash/protocol"
)

// Shared is the work that several flashes of one image have in common. Each chunk is compressed once, as long as the flashes are not far
// apart, and what all of them need before they send is read once. All of the flashes may call its methods at once. A nil Shared shares nothing.
type Shared struct {
	mu     sync.Mutex
	chunks map[int64]*sharedChunk
	order  []int64 // of chunks, oldest first
	bytes  int
	sums   map[int64]sharedSums
	looked map[int64]*sharedSample
}

// sharedSample is a chunk of the image that disks are looked through for.
type sharedSample struct {
	mu    sync.Mutex
	known bool
	sums  []byte
}

// sharedSums is the sums of the pieces of a chunk of the image: held against a device's own, they say which pieces differ.
type sharedSums struct {
	of   chunk.Sum
	sums []byte
}

// maxSums bounds how many chunks' sums are kept, which take 32 MiB then.
const maxSums = 16 << 10

// sharedChunk is a chunk that was compressed, or is about to be.
type sharedChunk struct {
	once   sync.Once
	of     chunk.Sum
	done   bool
	how    protocol.Encoding
	packed []byte
}

// maxShared bounds what is kept of compressed chunks, in bytes: some 400 MB of an image.
const maxShared = 64 << 20

// NewShared is a Shared in which nothing was compressed yet.
func NewShared() *Shared {
	return &Shared{chunks: map[int64]*sharedChunk{}, sums: map[int64]sharedSums{}, looked: map[int64]*sharedSample{}}
}

// compressOnce is what compress makes of chunk c, and with what. The first flash that asks calls it, and the others get the same bytes, which
// nobody may change. nil: the chunk does not compress, or could not be read.
func (s *Shared) compressOnce(c chunk.Chunk, compress func() (protocol.Encoding, []byte)) (protocol.Encoding, []byte) {
	if s == nil {
		return compress()
	}
	s.mu.Lock()
	it := s.chunks[c.N]
	if it == nil {
		it = &sharedChunk{of: c.Sum}
		s.chunks[c.N] = it
		s.order = append(s.order, c.N)
	}
	s.mu.Unlock()
	if it.of != c.Sum { // the first chunk, fitted to another disk
		return compress()
	}
	it.once.Do(func() {
		var how protocol.Encoding
		var b []byte
		defer func() { s.keepChunk(c.N, it, how, b) }() // also after a panic, which ends this flash: the others wait for the chunk
		how, b = compress()
		b = slices.Clone(b)
	})
	return it.how, it.packed
}

// keepChunk keeps what was made of chunk n, and lets go of the oldest, whatever one flash is still waiting for.
func (s *Shared) keepChunk(n int64, it *sharedChunk, how protocol.Encoding, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it.done, it.how, it.packed = true, how, b
	s.bytes += len(b)
	for s.bytes > maxShared {
		at := slices.IndexFunc(s.order, func(k int64) bool { return k != n && s.chunks[k].done })
		if at < 0 {
			return
		}
		s.bytes -= len(s.chunks[s.order[at]].packed)
		delete(s.chunks, s.order[at])
		s.order = slices.Delete(s.order, at, at+1)
	}
}

// pieceSums is the sums of the pieces of chunk c, if another flash has left them.
func (s *Shared) pieceSums(c chunk.Chunk) []byte {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.sums[c.N]; known.of == c.Sum {
		return known.sums
	}
	return nil
}

// keepSums leaves the sums of the pieces of chunk c to the others.
func (s *Shared) keepSums(c chunk.Chunk, sums []byte) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sums) < maxSums {
		s.sums[c.N] = sharedSums{c.Sum, sums}
	}
}

// sample is the sums of the pieces of chunk n as a disk's are (package moved), nil for zeros. The first flash that asks reads the chunk; an
// error is that flash's alone.
func (s *Shared) sample(n int64, read func() ([]byte, error)) ([]byte, error) {
	it := new(sharedSample)
	if s != nil {
		s.mu.Lock()
		if s.looked[n] == nil {
			s.looked[n] = it
		}
		it = s.looked[n]
		s.mu.Unlock()
	}
	it.mu.Lock()
	defer it.mu.Unlock()
	if it.known {
		return it.sums, nil
	}
	b, err := read()
	if err != nil {
		return nil, err
	}
	defer chunk.Free(b)
	if !chunk.IsZero(b) {
		it.sums = moved.AppendSums(nil, b)
	}
	it.known = true
	return it.sums, nil
}
