package claim

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
)

// Bounds of what is walked through from behind: no tool comes near them, and a file of a few GB made to be slow must not be.
const (
	maxPadding = 1 << 20 // bytes, of all streams
	maxBlocks  = 1 << 20 // that are remembered, and streams: a TB of xz -0 -T0
)

// XZ is a stream of an .xz file.
type XZ struct {
	Check   byte // its ID
	Blocks  []XZBlock
	Padding int64 // bytes of zeros behind it
}

// XZBlock is a block as its stream's index has it. Packed is what the format calls Unpadded Size: in the file it takes as many bytes,
// and zeros up to a multiple of four.
type XZBlock struct{ Packed, Plain int64 }

// XZStreams is what an .xz file of so many bytes says that it is made of, from its beginning to its end; false where its frames (headers,
// indexes, footers, padding) are not just as the format wants them, or are too many. What is in the blocks only decoding tells.
func XZStreams(ctx context.Context, file io.ReaderAt, size int64) ([]XZ, bool) {
	magic := make([]byte, len(xzMagic))
	if _, err := file.ReadAt(magic, 0); err != nil || string(magic) != xzMagic {
		return nil, false
	}
	x := &xzFile{c: &fileCursor{ctx: ctx, r: file, end: size}, keep: true}
	ok := x.walkStreams() && x.c.err == nil && len(x.streams)+x.blocks <= maxBlocks
	slices.Reverse(x.streams)
	return x.streams, ok
}

const xzMagic = "\xfd7zXZ\x00"

// xzFile is what was found so far.
type xzFile struct {
	c       *fileCursor
	total   uint64
	keep    bool // what it is made of, besides its size
	streams []XZ // from the last one on
	blocks  int  // of all of them
}

func xzSize(c *fileCursor) (uint64, bool) {
	x := &xzFile{c: c}
	ok := x.walkStreams()
	return x.total, ok
}

// walkStreams goes from stream to stream, from behind: a stream's last 12 bytes say where its index begins, which has the
// size of each block, packed and not, and so where the stream begins (xz-file-format.txt, sections 2 and 4).
func (x *xzFile) walkStreams() bool {
	padding, here := 0, int64(0)
	for end := x.c.end; end > 0; {
		x.c.seekTo(end - 4)
		if x.c.uint32() == 0 && x.c.err == nil { // between streams there may be zeros
			if padding += 4; padding > maxPadding {
				return false
			}
			end, here = end-4, here+4
			continue
		}
		start, s, ok := x.addStream(end)
		if !ok || x.c.err != nil {
			return false
		}
		if x.keep && len(x.streams) <= maxBlocks {
			x.streams = append(x.streams, XZ{s.Check, s.Blocks, here})
		}
		end, here = start, 0
	}
	return true
}

// addStream adds what the stream that ends at end claims, and is where it begins.
func (x *xzFile) addStream(end int64) (start int64, s XZ, ok bool) {
	const edge = 12 // a header's and a footer's length
	c := x.c
	c.seekTo(end - edge)
	foot := bytes.Clone(c.takeBytes(edge))
	if string(foot[10:]) != "YZ" || crc32.ChecksumIEEE(foot[4:10]) != binary.LittleEndian.Uint32(foot) {
		return 0, s, false
	}
	index := end - edge - 4*(int64(binary.LittleEndian.Uint32(foot[4:]))+1)
	blocks, packed, ok := x.readIndex(index, end-edge)
	s.Blocks = blocks
	if !ok || int64(packed) > index-edge {
		return 0, s, false
	}
	start = index - int64(packed) - edge
	c.seekTo(start)
	head := c.takeBytes(edge)
	if string(head[:6]) != xzMagic || !bytes.Equal(head[6:8], foot[8:10]) {
		return 0, s, false
	}
	if x.keep && (head[6] != 0 || head[7] > 15 || crc32.ChecksumIEEE(head[6:8]) != binary.LittleEndian.Uint32(head[8:])) {
		return 0, s, false
	}
	s.Check = head[7]
	return start, s, true
}

// readIndex reads an index from one byte to another: what it claims, and how many bytes all blocks have in the file.
func (x *xzFile) readIndex(from, to int64) (blocks []XZBlock, packed uint64, ok bool) {
	c := x.c
	n := &xzNumbers{c: c}
	c.seekTo(from)
	if n.nextByte() != 0 {
		return nil, 0, false
	}
	for left := n.nextNumber(); left > 0 && c.err == nil; left-- {
		size, plain := n.nextNumber(), n.nextNumber()
		if c.pos > to || size > maxSize || !addClaim(&packed, (size+3)&^3) || !addClaim(&x.total, plain) {
			return nil, 0, false
		}
		if x.blocks++; x.keep && x.blocks <= maxBlocks {
			blocks = append(blocks, XZBlock{int64(size), int64(plain)})
		}
	}
	for (c.pos-from)%4 != 0 && c.err == nil {
		if n.nextByte() != 0 {
			return nil, 0, false
		}
	}
	return blocks, packed, n.sum == c.uint32() && c.pos == to && !(x.keep && n.long)
}

// xzNumbers reads an index's bytes and sums them.
type xzNumbers struct {
	c    *fileCursor
	sum  uint32
	long bool // a number was written with more bytes than it needs
}

func (x *xzNumbers) nextByte() byte {
	b := x.c.takeBytes(1)
	x.sum = crc32.Update(x.sum, crc32.IEEETable, b)
	return b[0]
}

// nextNumber is a number of up to 9 bytes, 7 bits in each (section 1.2).
func (x *xzNumbers) nextNumber() (n uint64) {
	for i := range 9 {
		b := x.nextByte()
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			x.long = x.long || b == 0 && i > 0
			return n
		}
	}
	return 1 << 63 // too long to be one, and more than may be
}
