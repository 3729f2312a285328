package claim

import (
	"context"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Frame is where a zstd frame begins, in bytes of the file and of what it decodes to.
type Frame struct{ At, Off int64 }

// Bounds of the frames that are remembered, of which a hostile file can have one in every nine bytes: at most maxFrames, and none that
// begins less than minFrame bytes behind the one before it, from which a decoder gets there soon enough.
const (
	minFrame  = 1 << 20
	maxFrames = 1 << 20
)

// Frames is zstd frames of a file at which a decoder may begin, in order, as far as their headers say how much is in them, and
// the largest window that decoding takes. It is nil for what cannot be decoded without a dictionary, or is no zstd.
func Frames(ctx context.Context, file io.ReaderAt, size int64) (all []Frame, window int64) {
	c := &fileCursor{ctx: ctx, r: file, end: size}
	total, sized := uint64(0), true
	ok := zstdFrames(c, func(at int64, h *zstd.Header) bool {
		if n := len(all); sized && n < maxFrames && (n == 0 || int64(total)-all[n-1].Off >= minFrame) {
			all = append(all, Frame{at, int64(total)})
		}
		window = max(window, int64(h.WindowSize))
		sized = sized && h.HasFCS && addClaim(&total, h.FrameContentSize)
		return h.DictionaryID == 0 && h.WindowSize <= maxSize
	})
	if !ok || c.err != nil {
		return nil, 0
	}
	return all, window
}

// zstdSize is what the frames' headers say together; false where one says nothing.
func zstdSize(c *fileCursor) (total uint64, ok bool) {
	ok = zstdFrames(c, func(_ int64, h *zstd.Header) bool { return h.HasFCS && addClaim(&total, h.FrameContentSize) })
	return total, ok
}

// zstdFrames walks from frame to frame (RFC 8878, section 3.1): each one's header may say how much is in it, and where it
// ends the headers of its blocks tell. takes is told where a frame with content begins, and its header; the walk ends where it takes none.
func zstdFrames(c *fileCursor, takes func(at int64, h *zstd.Header) bool) bool {
	for c.hasMore() {
		var h zstd.Header
		at := c.pos
		if h.Decode(c.peekBytes(zstd.HeaderMaxSize)) != nil {
			return false
		}
		c.skipBytes(int64(h.HeaderSize))
		if h.Skippable {
			c.skipBytes(int64(h.SkippableSize))
			continue
		}
		if !takes(at, &h) || !zstdBlocks(c) {
			return false
		}
		if h.HasCheckSum {
			c.skipBytes(4)
		}
	}
	return true
}

func zstdBlocks(c *fileCursor) bool {
	for c.err == nil {
		b := c.takeBytes(3)
		head := int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16
		switch head >> 1 & 3 {
		case 0, 2: // raw, compressed
			c.skipBytes(head >> 3)
		case 1: // one byte, repeated
			c.skipBytes(1)
		default:
			return false
		}
		if head&1 != 0 {
			return true
		}
	}
	return false
}
