// Package zstdzero decodes zstd files (RFC 8878) in which long runs of zeros cost next to nothing.
//
// A disk image's free space is blocks of one repeated byte, 128 KiB each, which klauspost/compress fills in byte by byte and then carries through its
// history: 1.2 ns a byte, seven times what zstd(1) takes, and minutes for the empty part of a large disk. The decoder is not given what a run has beyond
// the window: of that no later block can see anything, and zeros are what it would have made of it. What it is given of a run it gets as a block that is
// its own content, which it copies: a third of the time.
package zstdzero

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"groundhog/initrd/eof"
)

const (
	// runBlock is the type of a block of one byte, repeated; a raw one's is 0 (section 3.1.1.2.2).
	runBlock = 1
	// maxBlock is the most that a block decodes to, in bytes (section 3.1.1.2.4).
	maxBlock = 128 << 10
	// maxAsked bounds what the decoder is asked for at once, and with that how far behind the place where something was left out it may be.
	maxAsked = 1 << 20
	// maxLeft bounds what is left out at once, in bytes, so that something comes out.
	maxLeft = 64 << 20
	// sumLen is how much of a frame's XXH64 stands behind its blocks, in bytes (section 3.1.1).
	sumLen = 4
)

// Reader decodes frame behind frame.
type Reader struct {
	in      *bufio.Reader
	window  uint64 // the largest that is taken, in bytes
	asked   int    // maxAsked; tests have less
	taken   *atomic.Int64
	decoder *zstd.Decoder
	err     error

	frame   frame
	pending int64  // zeros that were left out and did not come out yet
	behind  []byte // what the decoder gave behind them, in held
	held    []byte

	read      int64 // bytes of in
	readZeros int64 // what read was when all of pending was left out
}

// frame is the frame that is decoded.
type frame struct {
	open    bool
	head    []byte // its header as the decoder gets it, what it has not read yet
	window  int64
	size    uint64 // what its header says it decodes to
	sized   bool
	summed  bool
	came    uint64 // of it, so far
	sum     xxhash.Digest
	left    int64 // bytes of the block's content that the decoder did not read
	run     bool  // that content is one byte, repeated, which was read
	of      byte
	last    bool  // block
	zeros   int64 // at the end of what the decoder was given
	dropped int64 // of these, not given to it since the last block that was
}

// NewReader is a reader of in that refuses larger windows than this, in bytes. Where taken is given, it has how many bytes of in were read for what has
// come out: no more than the block that was decoded last.
func NewReader(in *bufio.Reader, window uint64, taken *atomic.Int64) (*Reader, error) {
	r := &Reader{in: in, window: window, asked: maxAsked, taken: taken}
	var err error
	// With one goroutine the decoder reads no further than the block that it decodes. Low memory: it is made once, and its peak counts.
	r.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(true))
	return r, err
}

// Close ends the decoder, not what it reads.
func (r *Reader) Close() error {
	r.decoder.Close()
	r.err = zstd.ErrDecoderClosed
	return nil
}

// Read ends with [io.EOF] behind a whole frame only.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for r.err == nil {
		if n := r.takeReady(p); n > 0 {
			return n, nil
		}
		if !r.frame.open {
			r.err = r.openFrame()
			continue
		}
		n, err := r.decoder.Read(p[:min(len(p), r.asked)])
		if r.pending > 0 {
			// Where something was left out meanwhile, all that came before that place is zeros, for at least as many as were asked for stand
			// before it: those that were left out may as well come first. The decoder repeats its error.
			r.held = append(r.held[:0], p[:n]...)
			r.behind = r.held
			continue
		}
		if n > 0 {
			r.noteOut(p[:n], r.readFor())
			return n, nil
		}
		if err == io.EOF && r.frame.last && r.frame.left == 0 {
			r.frame.open = false
			r.err = r.checkFrame()
			continue
		}
		r.err = eof.Unexpected(err)
	}
	return 0, r.err
}

// takeReady gives what is known already.
func (r *Reader) takeReady(p []byte) int {
	if r.pending > 0 {
		p = p[:min(int64(len(p)), r.pending)]
		clear(p)
		r.pending -= int64(len(p))
		r.noteOut(p, r.readZeros)
		return len(p)
	}
	n := copy(p, r.behind)
	r.behind = r.behind[n:]
	if n > 0 {
		r.noteOut(p[:n], r.readFor())
	}
	return n
}

// readFor is how many bytes of the file what the decoder gave last takes: another one wants a frame's sum before it gives what the last block holds.
func (r *Reader) readFor() int64 {
	if r.frame.last && r.frame.left == 0 && r.frame.summed {
		return r.read + sumLen
	}
	return r.read
}

// noteOut notes what comes out, for which so much was read.
func (r *Reader) noteOut(p []byte, read int64) {
	if r.taken != nil {
		r.taken.Store(read)
	}
	r.frame.came += uint64(len(p))
	if r.frame.summed {
		r.frame.sum.Write(p)
	}
}

// openFrame reads a frame's header, or is [io.EOF] where there is none.
func (r *Reader) openFrame() error {
	first, err := r.in.Peek(zstd.HeaderMaxSize)
	if err != nil && err != io.EOF {
		return err
	}
	if len(first) == 0 {
		return io.EOF
	}
	var h zstd.Header
	if err := h.Decode(first); err != nil {
		return err
	}
	if err := r.skip(int64(h.HeaderSize)); err != nil || h.Skippable {
		if err == nil {
			err = r.skip(int64(h.SkippableSize))
		}
		return err
	}
	if h.SingleSegment { // all of it is its window
		h.WindowSize = max(h.FrameContentSize, zstd.MinWindowSize)
	}
	switch {
	case h.WindowSize > r.window:
		return zstd.ErrWindowSizeExceeded
	case h.DictionaryID != 0:
		return zstd.ErrUnknownDictionary
	case h.WindowSize < zstd.MinWindowSize:
		return zstd.ErrWindowSizeTooSmall
	}
	// What the decoder would hold against the frame's content is held against it here: the header that it gets says nothing of size and sum.
	r.frame = frame{open: true, window: int64(h.WindowSize), size: h.FrameContentSize, sized: h.HasFCS, summed: h.HasCheckSum,
		head: append(binary.LittleEndian.AppendUint32(nil, 0xFD2FB528), 0, windowDescriptor(h.WindowSize))}
	r.frame.sum.Reset()
	return r.decoder.Reset(blocks{r})
}

// windowDescriptor is the smallest window that a header can say which is not smaller than this (section 3.1.1.1.2).
func windowDescriptor(size uint64) byte {
	exponent := bits.Len64(size) - 1
	eighth := uint64(1) << (exponent - 3)
	mantissa := (size - 1<<exponent + eighth - 1) / eighth // 8: the next power of two
	return byte((exponent-10)<<3) + byte(mantissa)
}

// checkFrame holds a frame that was decoded against what it says of itself.
func (r *Reader) checkFrame() error {
	if r.frame.sized && r.frame.came != r.frame.size {
		return fmt.Errorf("%w: %d bytes, not %d", zstd.ErrFrameSizeMismatch, r.frame.came, r.frame.size)
	}
	if !r.frame.summed {
		return nil
	}
	var sum [sumLen]byte
	n, err := io.ReadFull(r.in, sum[:])
	r.read += int64(n)
	if err == nil && binary.LittleEndian.Uint32(sum[:]) != uint32(r.frame.sum.Sum64()) {
		err = zstd.ErrCRCMismatch
	}
	return eof.Unexpected(err)
}

// skip drops bytes of the file.
func (r *Reader) skip(n int64) error {
	k, err := io.CopyN(io.Discard, r.in, n)
	r.read += k
	return eof.Unexpected(err)
}

// blocks is a frame as the decoder gets it, which ends with it.
type blocks struct{ *Reader }

func (b blocks) Read(p []byte) (int, error) {
	f := &b.frame
	if len(f.head) == 0 && f.left == 0 {
		if f.last {
			return 0, io.EOF
		}
		if err := b.nextBlock(); err != nil {
			return 0, err
		}
	}
	if len(f.head) > 0 {
		n := copy(p, f.head)
		f.head = f.head[n:]
		return n, nil
	}
	p = p[:min(int64(len(p)), f.left)]
	if f.run {
		fill(p, f.of)
		f.left -= int64(len(p))
		return len(p), nil
	}
	n, err := b.in.Read(p)
	f.left -= int64(n)
	b.read += int64(n)
	return n, eof.Unexpected(err)
}

// nextBlock goes to the next block that the decoder needs.
func (b blocks) nextBlock() error {
	f := &b.frame
	for {
		head, err := b.in.Peek(4)
		if len(head) < 3 {
			return eof.Unexpected(err)
		}
		v := int64(head[0]) | int64(head[1])<<8 | int64(head[2])<<16
		size := v >> 3
		f.last = v&1 != 0
		f.head, f.left, f.run = append(f.head[:0:0], head[:3]...), size, false
		if v>>1&3 == runBlock {
			if len(head) < 4 {
				return eof.Unexpected(err)
			}
			if f.run, f.left = size <= min(f.window, maxBlock), 1; f.run { // else the decoder refuses it
				f.of, f.left = head[3], size
				f.head[0] &^= runBlock << 1
			}
		}
		zeros := f.run && f.of == 0
		if !zeros {
			f.zeros, f.dropped = 0, 0
		} else if !f.last && f.zeros >= max(f.window, int64(b.asked)) && f.dropped < maxLeft {
			if err := b.skip(4); err != nil {
				return err
			}
			f.dropped += size
			b.pending += size
			b.readZeros = b.read
			continue
		} else {
			f.zeros, f.dropped = f.zeros+size, 0
		}
		if f.run {
			return b.skip(4)
		}
		return b.skip(3)
	}
}

func fill(p []byte, of byte) {
	if of == 0 {
		clear(p) // which is faster
		return
	}
	for i := range p {
		p[i] = of
	}
}
