// Package xzblock decodes an .xz file several blocks at once. What `xz -T` writes, and xz by itself since 5.6, is made of blocks that know
// nothing of one another (The .xz File Format, section 3), and its index says how long each is.
//
// What comes out is what a decoder gives that reads the file from its first byte to its last, or an error. [claim.XZStreams] has found out
// what the file is made of, and has checked headers, indexes and footers; these are compared with what it found as they are read. Each
// block is given to an ordinary decoder as a stream of its own, with an index of one record. So that decoder checks that the block has the
// size and the checksum that the file says, and if all blocks have, the file is whole.
package xzblock

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"sync"

	"github.com/mikelolasagasti/xz"
	"golang.org/x/sync/semaphore"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image/claim"
	"groundhog/initrd/eof"
)

// ErrFrame says that the file is not made of the streams and blocks that were found in it before.
var ErrFrame = errors.New("headers or index are others than they were")

// knownChecks are the kinds of checksums that the decoder knows, by their ID (section 2.1.1.2): none, CRC32, CRC64 and SHA-256.
const knownChecks = "\x00\x01\x04\x0a"

// Reader decodes a file. One goroutine may read while another one closes it.
type Reader struct {
	dict uint32 // the largest dictionary that is allowed

	ctx    context.Context
	stop   context.CancelFunc
	work   sync.WaitGroup
	memory *semaphore.Weighted

	jobs  chan *blockJob // blocks to decode, for whichever decoder is free
	order chan *blockJob // the same blocks, in order, for [Reader.Read]; closed behind the last one
	end   error          // why no more blocks come; set before order is closed

	wanted chan struct{} // closed once more than a beginning was read
	want   sync.Once
	taken  int // pieces

	now  *blockJob // the block that is being read
	left []byte    // what was not read yet of its current piece
	room []byte    // the buffer of that piece, to be used again
	err  error
}

// blockJob is a block to decode.
type blockJob struct {
	head   []byte // header of the stream that it is in
	packed []byte
	size   claim.XZBlock
	first  bool
	pieces chan []byte // what it decodes to; has room for the whole block; closed behind the last piece
	err    error       // why it ends early; set before pieces is closed
}

// beginningPieces is how many pieces are decoded before anybody has read as many: whoever opens an image looks at its first MiB, and may want no
// more.
const beginningPieces = 2

// decodeCost bounds the memory that decoding a block takes, in bytes: the block, what it decodes to, and a dictionary ([shrinkDict]).
func decodeCost(b claim.XZBlock, dict uint32) int64 {
	return storedLength(b) + b.Plain + min(dictOf(smallestDict(b.Plain)), int64(dict))
}

// storedLength is a block's length in the file.
func storedLength(b claim.XZBlock) int64 { return (b.Packed + 3) &^ 3 }

// Worth reports whether several cores would decode a file of these streams faster than one: it has several blocks, and memory, in bytes, has
// room for two of the largest.
func Worth(streams []claim.XZ, cores int, dict uint32, memory int64) bool {
	blocks := 0
	for _, s := range streams {
		if strings.IndexByte(knownChecks, s.Check) < 0 {
			return false
		}
		blocks += len(s.Blocks)
		for _, b := range s.Blocks {
			if b.Packed > memory || b.Plain > memory || decodeCost(b, dict) > memory/2 {
				return false
			}
		}
	}
	return cores > 1 && blocks > 1
}

// NewReader decodes the file that r gives from its beginning on, on so many cores. It must be made of these streams and be [Worth] it. Behind
// the last stream r must end.
func NewReader(r io.Reader, streams []claim.XZ, cores int, dict uint32, memory int64) *Reader {
	d := &Reader{dict: dict, memory: semaphore.NewWeighted(memory), jobs: make(chan *blockJob), order: make(chan *blockJob, 2*cores), wanted: make(chan struct{})}
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.work.Go(func() {
		defer close(d.order)
		defer close(d.jobs)
		d.end = d.feedBlocks(r, streams)
	})
	for range cores {
		d.work.Go(d.decodeBlocks)
	}
	return d
}

// feedBlocks reads the file from its beginning to its end, each byte once and in order, so that whoever gives r can hash it.
func (d *Reader) feedBlocks(r io.Reader, streams []claim.XZ) error {
	first := true
	for _, s := range streams {
		head := streamHeader(s.Check)
		if err := expectBytes(r, head); err != nil {
			return err
		}
		for _, b := range s.Blocks {
			if err := d.memory.Acquire(d.ctx, decodeCost(b, d.dict)); err != nil {
				return err
			}
			j := &blockJob{head: head, size: b, first: first, packed: make([]byte, storedLength(b)), pieces: make(chan []byte, b.Plain/chunk.Size+2)}
			if _, err := io.ReadFull(r, j.packed); err != nil {
				return eof.Unexpected(err)
			}
			shrinkDict(j.packed, b, d.dict)
			for _, to := range []chan<- *blockJob{d.order, d.jobs} {
				select {
				case to <- j:
				case <-d.ctx.Done():
					return d.ctx.Err()
				}
			}
			if first {
				select {
				case <-d.wanted:
				case <-d.ctx.Done():
					return d.ctx.Err()
				}
			}
			first = false
		}
		if err := expectBytes(r, append(streamTail(head, s.Blocks...), make([]byte, s.Padding)...)); err != nil {
			return err
		}
	}
	if n, err := r.Read(make([]byte, 1)); n > 0 || err == nil {
		return ErrFrame
	} else if err != io.EOF {
		return err
	}
	return io.EOF
}

// expectBytes reads as many bytes as want has; [ErrFrame] where they are others.
func expectBytes(r io.Reader, want []byte) error {
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil {
		return eof.Unexpected(err)
	}
	if !bytes.Equal(got, want) {
		return ErrFrame
	}
	return nil
}

// streamHeader begins a stream whose blocks have this kind of check (section 2.1.1).
func streamHeader(check byte) []byte {
	return binary.LittleEndian.AppendUint32([]byte("\xfd7zXZ\x00\x00"+string(rune(check))), crc32.ChecksumIEEE([]byte{0, check}))
}

// streamTail ends a stream with this header and these blocks: its index and its footer (sections 2.1.2 and 4). There is one way to
// write them.
func streamTail(head []byte, blocks ...claim.XZBlock) []byte {
	b := binary.AppendUvarint([]byte{0}, uint64(len(blocks)))
	for _, s := range blocks {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(s.Packed)), uint64(s.Plain))
	}
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	foot := append(binary.LittleEndian.AppendUint32(nil, uint32(len(b)/4-1)), head[6:8]...)
	b = append(binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(foot)), foot...)
	return append(b, "YZ"...)
}

// decodeBlocks takes blocks until there are no more.
func (d *Reader) decodeBlocks() {
	var z *xz.Reader
	for j := range d.jobs {
		z, j.err = d.decodeBlock(z, j)
		close(j.pieces)
		j.packed = nil
	}
}

// decodeBlock decodes one block, with a decoder that was used before or, where that is nil, with a new one.
func (d *Reader) decodeBlock(z *xz.Reader, j *blockJob) (*xz.Reader, error) {
	from := io.MultiReader(bytes.NewReader(j.head), bytes.NewReader(j.packed), bytes.NewReader(streamTail(j.head, j.size)))
	var err error
	if z == nil {
		z, err = xz.NewReader(from, d.dict)
	} else {
		err = z.Reset(from)
	}
	if err != nil {
		return nil, eof.Unexpected(err)
	}
	left := j.size.Plain
	for n := 1; ; n++ {
		if j.first && n > beginningPieces {
			select {
			case <-d.wanted:
			case <-d.ctx.Done():
			}
		}
		if err := d.ctx.Err(); err != nil {
			return nil, err
		}
		piece := chunk.Buffer(chunk.Size)
		k, err := 0, error(nil)
		for k < len(piece) && err == nil { // io.ReadFull would lose what is wrong with the last bytes
			var m int
			m, err = z.Read(piece[k:])
			k += m
		}
		if left -= int64(k); left < 0 || err == io.EOF && left > 0 { // the first before more is kept than there is room for
			err = xz.ErrData
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		if j.pieces <- piece[:k]; err == io.EOF {
			return z, nil
		}
	}
}

// Read reads the decoded file, in order.
func (d *Reader) Read(p []byte) (int, error) {
	for len(d.left) == 0 && d.err == nil {
		d.nextPiece()
	}
	if len(d.left) == 0 {
		return 0, d.err
	}
	n := copy(p, d.left)
	d.left = d.left[n:]
	return n, nil
}

// nextPiece takes the next piece.
func (d *Reader) nextPiece() {
	if d.room != nil {
		chunk.Free(d.room)
		d.room = nil
	}
	if d.now == nil {
		select {
		case j, ok := <-d.order:
			if !ok {
				d.err = d.end
				return
			}
			d.now = j
		case <-d.ctx.Done():
			d.err = d.ctx.Err()
			return
		}
	}
	if d.taken++; d.taken > beginningPieces || !d.now.first {
		d.want.Do(func() { close(d.wanted) })
	}
	select {
	case piece, ok := <-d.now.pieces:
		if !ok {
			d.err = d.now.err
			d.memory.Release(decodeCost(d.now.size, d.dict))
			d.want.Do(func() { close(d.wanted) })
			d.now = nil
			return
		}
		d.left, d.room = piece, piece
	case <-d.ctx.Done():
		d.err = d.ctx.Err()
	}
}

// Close ends the decoding and waits for that; a read of the file that waits must be ended by who gave it.
func (d *Reader) Close() error {
	d.stop()
	d.work.Wait()
	return nil
}
