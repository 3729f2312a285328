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
	alone  map[int64]bool
	zeros  int64 // chunks of zeros since the last that is none
	behind int   // chunks that are none since the last gap
}

// A gap is so many chunks of zeros between two others. A decoder has to fill in each of their bytes to get to what lies behind them, which takes a
// device longer than it would to get these few chunks by themselves: the table at a disk's end, the copies that a filesystem keeps of its superblock.
// From the next one on, as many again may come, and the stream is worth its way.
const (
	gapChunks   = 32
	aloneBehind = 4
)

// NewFile is the pack of a file with these frames, the first of which begins with the image.
func NewFile(file io.ReaderAt, frames []claim.Frame, window int64) *File {
	return &File{file: file, frames: frames, window: window, alone: map[int64]bool{}, behind: aloneBehind}
}

// Add notes how many bytes of the file the decoder had read when the image's next chunk came out.
func (f *File) Add(c chunk.Chunk, end int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.chunks, f.ends = append(f.chunks, c), append(f.ends, end)
	if c.Zero {
		f.zeros++
		return
	}
	switch {
	case c.N*chunk.Size-f.frameOf(c).Off < gapChunks*chunk.Size: // a decoder begins near it
		f.behind = aloneBehind
	case f.zeros >= gapChunks:
		f.behind = 0
	}
	f.zeros = 0
	if f.behind < aloneBehind {
		f.alone[c.N] = true
		f.behind++
	}
}

// IsAlone reports whether chunk n, which was added, has no place in the stream, because it lies behind a gap.
func (f *File) IsAlone(n int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.alone[n]
}

// frameOf is the frame in which a chunk begins. The caller holds mu.
func (f *File) frameOf(c chunk.Chunk) claim.Frame {
	off := c.N * chunk.Size
	return f.frames[sort.Search(len(f.frames), func(n int) bool { return f.frames[n].Off > off })-1]
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
	if c.N >= int64(len(f.chunks)) || f.chunks[c.N] != c || f.alone[c.N] {
		return Place{}, false
	}
	frame := f.frameOf(c)
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
