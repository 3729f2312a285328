package claim

import "github.com/klauspost/compress/zstd"

// zstdSize walks from frame to frame (RFC 8878, section 3.1): each one's header may say how much is in it, and where it
// ends the headers of its blocks tell.
func zstdSize(c *cursor) (uint64, bool) {
	total := uint64(0)
	for c.more() {
		var h zstd.Header
		if h.Decode(c.peek(zstd.HeaderMaxSize)) != nil {
			return 0, false
		}
		c.skip(int64(h.HeaderSize))
		if h.Skippable {
			c.skip(int64(h.SkippableSize))
			continue
		}
		if !h.HasFCS || !add(&total, h.FrameContentSize) || !zstdBlocks(c) {
			return 0, false
		}
		if h.HasCheckSum {
			c.skip(4)
		}
	}
	return total, true
}

func zstdBlocks(c *cursor) bool {
	for c.err == nil {
		b := c.take(3)
		head := int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16
		switch head >> 1 & 3 {
		case 0, 2: // raw, compressed
			c.skip(head >> 3)
		case 1: // one byte, repeated
			c.skip(1)
		default:
			return false
		}
		if head&1 != 0 {
			return true
		}
	}
	return false
}
