package claim

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// Bounds of what is walked through from behind: no tool comes near them, and a file of a few GB made to be slow must not be.
const (
	maxStreams = 1 << 20
	maxPadding = 1 << 20 // bytes, of all streams
)

// xzSize walks from stream to stream, from behind: a stream's last 12 bytes say where its index begins, which has the
// size of each block, packed and not, and so where the stream begins (xz-file-format.txt, sections 2 and 4).
func xzSize(c *cursor) (uint64, bool) {
	total, padding := uint64(0), 0
	for end := c.end; end > 0; {
		c.seek(end - 4)
		if c.uint32() == 0 && c.err == nil { // between streams there may be zeros
			if padding += 4; padding > maxPadding {
				return 0, false
			}
			end -= 4
			continue
		}
		start, ok := xzStream(c, end, &total)
		if !ok || c.err != nil {
			return 0, false
		}
		end = start
	}
	return total, true
}

// xzStream adds what the stream that ends at end claims, and is where it begins.
func xzStream(c *cursor, end int64, total *uint64) (int64, bool) {
	const edge = 12 // a header's and a footer's length
	c.seek(end - edge)
	foot := bytes.Clone(c.take(edge))
	if string(foot[10:]) != "YZ" || crc32.ChecksumIEEE(foot[4:10]) != binary.LittleEndian.Uint32(foot) {
		return 0, false
	}
	index := end - edge - 4*(int64(binary.LittleEndian.Uint32(foot[4:]))+1)
	blocks, ok := xzIndex(c, index, end-edge, total)
	if !ok || int64(blocks) > index-edge {
		return 0, false
	}
	start := index - int64(blocks) - edge
	c.seek(start)
	head := c.take(edge)
	return start, string(head[:6]) == "\xfd7zXZ\x00" && bytes.Equal(head[6:8], foot[8:10])
}

// xzIndex reads an index from one byte to another: its claim, and how many bytes all blocks have in the file.
func xzIndex(c *cursor, from, to int64, total *uint64) (blocks uint64, ok bool) {
	x := &xzNumbers{c: c}
	c.seek(from)
	if x.byte() != 0 {
		return 0, false
	}
	for n := x.next(); n > 0 && c.err == nil; n-- {
		packed, plain := x.next(), x.next()
		if c.pos > to || packed > maxSize || !add(&blocks, (packed+3)&^3) || !add(total, plain) {
			return 0, false
		}
	}
	for (c.pos-from)%4 != 0 && c.err == nil {
		if x.byte() != 0 {
			return 0, false
		}
	}
	return blocks, x.sum == c.uint32() && c.pos == to
}

// xzNumbers reads an index's bytes and sums them.
type xzNumbers struct {
	c   *cursor
	sum uint32
}

func (x *xzNumbers) byte() byte {
	b := x.c.take(1)
	x.sum = crc32.Update(x.sum, crc32.IEEETable, b)
	return b[0]
}

// next is a number of up to 9 bytes, 7 bits in each (section 1.2).
func (x *xzNumbers) next() (n uint64) {
	for i := range 9 {
		b := x.byte()
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return n
		}
	}
	return 1 << 63 // too long to be one, and more than may be
}
