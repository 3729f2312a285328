package pack

import (
	"io"
	"sort"
	"sync"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image/claim"
)

// File is a .zst file used as a pack: its own bytes are sent. Where a chunk lies in it is known once it was decoded that far.
type File struct {
	file   io.ReaderAt
	frames []claim.Frame
	window int64

	mu     sync.Mutex
	chunks []chunk.Chunk
	ends   []int64
}

// NewFile is the pack of a file with these frames, the first of which begins with the image.
func NewFile(file io.ReaderAt, frames []claim.Frame, window int64) *File {
	return &File{file: file, frames: frames, window: window}
}

// Add notes how many bytes of the file the decoder had read when the image's next chunk came out.
func (f *File) Add(c chunk.Chunk, end int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.chunks, f.ends = append(f.chunks, c), append(f.ends, end)
}

// Window is the largest window of any frame, in bytes.
func (f *File) Window() int64 { return f.window }

// Credit is a chunk's length for a file that is one frame, which cannot be entered again; else 0.
func (f *File) Credit() int64 {
	if len(f.frames) > 1 {
		return 0
	}
	return chunk.Size
}

// Place is where a chunk is.
func (f *File) Place(c chunk.Chunk) (Place, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.N >= int64(len(f.chunks)) || f.chunks[c.N] != c {
		return Place{}, false
	}
	off := c.N * chunk.Size
	frame := f.frames[sort.Search(len(f.frames), func(n int) bool { return f.frames[n].Off > off })-1]
	before := frame.At
	if c.N > 0 {
		before = max(before, f.ends[c.N-1])
	}
	return Place{Entry: frame.At, Off: frame.Off, Before: before, End: f.ends[c.N]}, f.ends[c.N] >= before
}

// Read is the bytes of the file between two offsets.
func (f *File) Read(from, to int64) ([]byte, error) {
	b := make([]byte, to-from)
	if _, err := f.file.ReadAt(b, from); err != nil && err != io.EOF {
		return nil, err
	}
	return b, nil
}
