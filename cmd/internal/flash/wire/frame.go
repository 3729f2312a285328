// Package wire is the line between groundhog and the groundhog-writer on the
// device: what is on it before any of it means something.
//
// Each side first sends a preamble of 16 bytes, "groundhog flash\n", and a frame of
// type [Hello]. After that it sends frames only. Numbers are big-endian.
//
//	offset  bytes
//	0       1      type
//	1       3      n, the payload's length, at most MaxPayload
//	4       4      CRC32C (RFC 3720, appendix B.4) of the four bytes before
//	8       n      payload
//	8+n     4      CRC32C of the payload; left out where n is 0
//
// The line is SSH's, or from some frame on one that lets as little through that was
// changed on the way (package direct). The sums are against what that does not see, a
// program or a memory at fault on either side, and turn what would be a wait for
// bytes that never come into an error. What a chunk is worth is told by its hash alone.
//
//	hello   2      protocol version
//	        rest   the tool's name and version, at most 64 printable ASCII characters
//
// A side that speaks another version says so in its own hello; the frame's form and
// the hello's stay as they are in every version.
package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"groundhog/initrd/eof"
)

// Type is what a frame is. Zero is none, so that a line of zeros is no frame.
type Type uint8

// Hello is the first frame of each side. All other types are the protocol's.
const Hello Type = 1

// MaxPayload bounds a frame in bytes: a chunk that does not compress, and what goes
// with it.
const MaxPayload = 1<<20 + 4<<10

const headerSize = 8

// ErrFrame is returned for bytes that are no frame. Nothing behind them can be read.
var ErrFrame = errors.New("damaged on the way")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Reader reads frames. It may be used by one goroutine at a time.
type Reader struct {
	r       io.Reader
	payload bytes.Buffer
}

// NewReader reads from r, in pieces as small as a header: give it a buffered one.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// TurnTo has the next frame read from another line. Nothing that was read ahead of the
// last frame is kept: give it to a Reader of an unbuffered one.
func (r *Reader) TurnTo(to io.Reader) { r.r = to }

// Next reads a frame. Its payload is valid until the next call. The error is [io.EOF]
// where the line ended between two frames, [io.ErrUnexpectedEOF] where it ended in
// one, [ErrFrame], or the line's own.
func (r *Reader) Next() (Type, []byte, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return 0, nil, err
	}
	word := binary.BigEndian.Uint32(head[:])
	t, n := Type(word>>24), int64(word&0xffffff)
	if t == 0 || n > MaxPayload || binary.BigEndian.Uint32(head[4:]) != crc32.Checksum(head[:4], castagnoli) {
		return 0, nil, fmt.Errorf("frame: header %x: %w", head, ErrFrame)
	}
	if n == 0 {
		return t, nil, nil
	}
	r.payload.Reset()
	// The buffer grows with what comes, not with what was announced.
	if _, err := io.CopyN(&r.payload, r.r, n+4); err != nil {
		return 0, nil, eof.Unexpected(err)
	}
	payload, sum := r.payload.Bytes()[:n], r.payload.Bytes()[n:]
	if binary.BigEndian.Uint32(sum) != crc32.Checksum(payload, castagnoli) {
		return 0, nil, fmt.Errorf("frame of type %d, %d bytes: %w", t, n, ErrFrame)
	}
	return t, payload, nil
}

// A Writer writes frames. Its methods may be called from several goroutines.
type Writer struct {
	mu    sync.Mutex
	w     io.Writer
	frame []byte
	err   error
}

// notCopied is from how many bytes on a part is written by itself: a call more takes less than to copy it.
const notCopied = 64 << 10

// NewWriter writes to w, each frame with one call, or three where it is large.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write sends a frame whose payload is the parts, one behind the other. After an
// error the line is in no known state, and every further call returns that error.
func (w *Writer) Write(t Type, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if t == 0 || n > MaxPayload {
		return fmt.Errorf("frame of type %d, %d bytes: no such frame can be sent", t, n)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writeLocked(t, parts, n)
}

// writeLocked writes a frame. The caller holds mu.
func (w *Writer) writeLocked(t Type, parts [][]byte, n int) error {
	if w.err != nil {
		return w.err
	}
	f := binary.BigEndian.AppendUint32(w.frame[:0], uint32(t)<<24|uint32(n))
	f = binary.BigEndian.AppendUint32(f, crc32.Checksum(f[:4], castagnoli))
	sum := uint32(0)
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli, p)
		if len(p) < notCopied {
			f = append(f, p...)
			continue
		}
		for _, b := range [][]byte{f, p} {
			if _, w.err = w.w.Write(b); w.err != nil {
				return w.err
			}
		}
		f = f[:0]
	}
	if n > 0 {
		f = binary.BigEndian.AppendUint32(f, sum)
	}
	w.frame = f
	_, w.err = w.w.Write(f)
	return w.err
}

// TurnTo sends an empty frame, the last one on this line, and all others on another.
func (w *Writer) TurnTo(to io.Writer, t Type) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.writeLocked(t, nil, 0)
	w.w = to
	return err
}

// writeRaw sends what is no frame.
func (w *Writer) writeRaw(s string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		_, w.err = io.WriteString(w.w, s)
	}
	return w.err
}
