package initrd

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Decoders read on past the end of their stream, so the ends are found by
// walking each format's own framing; only then does the decoder get exactly
// that. Nothing is decoded here, and no length is trusted beyond the input.

const (
	zstdMagic = "\x28\xb5\x2f\xfd"
	xzMagic   = "\xfd7zXZ\x00"
	lz4Magic  = "\x02\x21\x4c\x18"

	// lz4Block is the largest size of a compressed block: LZ4_COMPRESSBOUND
	// of the 8 MiB that a legacy block holds.
	lz4Block = 8<<20 + 8<<20/255 + 16
)

// byteWalker steps through a byte slice; after a step beyond its end err is set
// and every further step reads zeros.
type byteWalker struct {
	b   []byte
	pos int
	err error
}

func (w *byteWalker) takeBytes(n int) []byte {
	if w.err == nil && (n < 0 || n > len(w.b)-w.pos) {
		w.err = io.ErrUnexpectedEOF
	}
	if w.err != nil {
		return make([]byte, 8) // enough for every number read here
	}
	w.pos += n
	return w.b[w.pos-n : w.pos]
}

func (w *byteWalker) takeByte() int { return int(w.takeBytes(1)[0]) }

// zstdEnd is the length of the zstd frame that b starts with (RFC 8878,
// section 3.1.1).
func zstdEnd(b []byte) (int, error) {
	w := &byteWalker{b: b}
	w.takeBytes(4)
	desc := w.takeByte()
	single := desc&0x20 != 0
	if !single {
		w.takeBytes(1) // window descriptor
	}
	w.takeBytes([]int{0, 1, 2, 4}[desc&3]) // dictionary id
	size := []int{0, 2, 4, 8}[desc>>6]
	if single && size == 0 {
		size = 1
	}
	w.takeBytes(size)
	for last := false; !last && w.err == nil; {
		h := w.takeBytes(3)
		head := int(h[0]) | int(h[1])<<8 | int(h[2])<<16
		last = head&1 != 0
		switch n := head >> 3; head >> 1 & 3 {
		case 0, 2: // raw, compressed
			w.takeBytes(n)
		case 1: // one byte, repeated
			w.takeBytes(1)
		default:
			return 0, fmt.Errorf("%w: reserved zstd block type", ErrFormat)
		}
	}
	if desc&4 != 0 {
		w.takeBytes(4) // checksum
	}
	return w.pos, w.err
}

// lz4End is the length of the legacy lz4 frame that b starts with
// (lz4_Frame_format.md, "Legacy frame"). The format has no end mark. The
// kernel (lib/decompress_unlz4.c) stops at the end of the input or at a block
// size of 0, goes on at the magic of another frame, and fails at anything
// else: behind lz4, all other segments need four zeros before them.
func lz4End(b []byte) (int, error) {
	pos := len(lz4Magic)
	for len(b)-pos >= 4 {
		n := binary.LittleEndian.Uint32(b[pos:])
		switch {
		case n == 0, n == binary.LittleEndian.Uint32([]byte(lz4Magic)):
			return pos, nil
		case n > lz4Block:
			return 0, fmt.Errorf("%w: a block of %d bytes at %#x (the kernel wants four zeros between lz4 and what follows)", ErrFormat, n, pos)
		}
		if int(n) > len(b)-pos-4 {
			return 0, io.ErrUnexpectedEOF
		}
		pos += 4 + int(n)
	}
	for _, c := range b[pos:] {
		if c != 0 {
			return 0, io.ErrUnexpectedEOF
		}
	}
	return pos, nil
}

// xzEnd is the length of the xz stream that b starts with (xz-file-format.txt,
// section 2). Compressed data is walked chunk by chunk, because block headers
// rarely carry its size.
func xzEnd(b []byte) (int, error) {
	w := &byteWalker{b: b}
	check := []int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[w.takeBytes(12)[7]&15]
	for w.err == nil {
		size := w.takeByte()
		if size == 0 { // the index
			break
		}
		w.takeBytes(size*4 + 3) // the rest of the block header
		start := w.pos
		xzChunks(w)
		w.takeBytes(int(pad4(int64(w.pos - start))))
		w.takeBytes(check)
	}
	start := w.pos - 1
	for n := 2 * w.varint(); n > 0 && w.err == nil; n-- {
		w.varint()
	}
	w.takeBytes(int(pad4(int64(w.pos - start))))
	w.takeBytes(4)          // the index's CRC32
	foot := w.takeBytes(12) // the stream footer
	if w.err == nil && string(foot[10:12]) != "YZ" {
		return 0, fmt.Errorf("%w: xz stream without a footer", ErrFormat)
	}
	return w.pos, w.err
}

// xzChunks walks LZMA2 chunks up to and with the end marker.
func xzChunks(w *byteWalker) {
	for w.err == nil {
		switch control := w.takeByte(); {
		case control == 0:
			return
		case control >= 0x80:
			h := w.takeBytes(4)
			n := int(h[2])<<8 | int(h[3]) + 1
			if control >= 0xc0 {
				n++ // properties
			}
			w.takeBytes(n)
		case control <= 2:
			h := w.takeBytes(2)
			w.takeBytes((int(h[0])<<8 | int(h[1])) + 1)
		default:
			w.err = fmt.Errorf("%w: bad LZMA2 chunk", ErrFormat)
		}
	}
}

// varint reads xz's multibyte integer, at most 9 bytes.
func (w *byteWalker) varint() uint64 {
	var n uint64
	for i := range 9 {
		c := w.takeByte()
		n |= uint64(c&0x7f) << (7 * i)
		if c&0x80 == 0 || w.err != nil {
			return n
		}
	}
	w.err = fmt.Errorf("%w: xz number too long", ErrFormat)
	return 0
}
