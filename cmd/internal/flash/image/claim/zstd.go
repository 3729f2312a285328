package claim

import (
	"context"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Frame is where a zstd frame begins, in bytes of the file and of what it decodes to.
type Frame struct{ At, Off int64 }

// Bounds of what is remembered of frames: those that begin less than minFrame bytes behind one that is are passed over, as what decodes that
// one goes on to them; and no more than maxFrames. A frame takes nine bytes of a file that was made for it.
const (
	minFrame  = 1 << 20
	maxFrames = 1 << 20
)

// Frames is zstd frames of a file at which a decoder may begin, in order, as far as their headers say how much is in them, and
// the largest window that decoding takes. It is nil for what cannot be decoded without a dictionary, or is no zstd.
func Frames(ctx context.Context, file io.ReaderAt, size int64) (all []Frame, window int64) {
	c := &fileCursor{ctx: ctx, r: file, end: size}
	total, sized := uint64(0), true
	for c.hasMore() {
		var h zstd.Header
		at := c.pos
		if h.Decode(c.peekBytes(zstd.HeaderMaxSize)) != nil || h.DictionaryID != 0 || h.WindowSize > maxSize {
			return nil, 0
		}
		c.skipBytes(int64(h.HeaderSize))
		if h.Skippable {
			c.skipBytes(int64(h.SkippableSize))
			continue
		}
		if n := len(all); sized && n < maxFrames && (n == 0 || int64(total)-all[n-1].Off >= minFrame) {
			all = append(all, Frame{at, int64(total)})
		}
		window = max(window, int64(h.WindowSize))
		sized = sized && h.HasFCS && addClaim(&total, h.FrameContentSize)
		if !zstdBlocks(c) {
			return nil, 0
		}
		if h.HasCheckSum {
			c.skipBytes(4)
		}
	}
	if c.err != nil {
		return nil, 0
	}
	return all, window
}

// zstdSize walks from frame to frame (RFC 8878, section 3.1): each one's header may say how much is in it, and where it
// ends the headers of its blocks tell.
func zstdSize(c *fileCursor) (uint64, bool) {
	total := uint64(0)
	for c.hasMore() {
		var h zstd.Header
		if h.Decode(c.peekBytes(zstd.HeaderMaxSize)) != nil {
			return 0, false
		}
		c.skipBytes(int64(h.HeaderSize))
		if h.Skippable {
			c.skipBytes(int64(h.SkippableSize))
			continue
		}
		if !h.HasFCS || !addClaim(&total, h.FrameContentSize) || !zstdBlocks(c) {
			return 0, false
		}
		if h.HasCheckSum {
			c.skipBytes(4)
		}
	}
	return total, true
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
