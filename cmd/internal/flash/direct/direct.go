// Package direct is a line beside SSH, for what is sent to a device: SSH's cipher takes most of a processor on either
// side where the line is fast, of which neither side has a better one. Debian's dropbear knows no other than ChaCha20
// of libtomcrypt, and 28 instructions of a Compute Module 3 go into each byte until it is in the writer's pipe.
//
// The device listens on any port that is free of the address at which SSH has reached it, and on no other, for the few seconds that it takes: whoever has
// bound its SSH server to one network wants nothing to listen on another. Who connects shows that he has the key, which went over SSH, is another one for each line, and is used in one direction.
// What is sent is a sequence of records, each sealed by AEAD_CHACHA20_POLY1305 (RFC 8439, section 2.8). Its nonce is the
// number of the record, from zero on, in 12 bytes, big-endian; what is authenticated with it is its length as it stands
// before it.
//
//	offset  bytes
//	0       4      n, the length of the plain bytes, at most MaxRecord; big-endian
//	4       n      the bytes, encrypted
//	4+n     16     tag
//
// The first record is empty: it shows the key. The line has no end of its own; where it ends it was lost, unless what
// was sent has said otherwise.
package direct

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"

	"groundhog/initrd/eof"
)

// MaxRecord bounds a record's plain bytes.
const MaxRecord = 64 << 10

const (
	headLen = 4
	tagLen  = chacha20poly1305.Overhead
)

// ErrSealed is returned for bytes that the holder of the key did not send, or not here.
var ErrSealed = errors.New("not what was sent: changed, lost or repeated on the way")

// Address is an IP address of the device: IPv6, or IPv4 in it (RFC 4291, section 2.5.5.2).
type Address [16]byte

// v4 is the IPv4 address, if it is one.
func (a Address) v4() (v4 [4]byte, ok bool) {
	prefix := Address{10: 0xff, 11: 0xff}
	return [4]byte(a[12:]), [12]byte(a[:12]) == [12]byte(prefix[:12])
}

// Key is a line's key.
type Key [chacha20poly1305.KeySize]byte

// NewKey is a key that nobody has had.
func NewKey() (k Key) {
	rand.Read(k[:])
	return k
}

// Format prints no key.
func (Key) Format(f fmt.State, _ rune) { io.WriteString(f, "(key)") }

// sealing is what both ends know.
type sealing struct {
	aead  cipher.AEAD
	nonce [chacha20poly1305.NonceSize]byte
	next  uint64 // number of the next record
}

func newSealing(k Key) sealing {
	aead, err := chacha20poly1305.New(k[:])
	if err != nil {
		panic(err) // of the length alone
	}
	return sealing{aead: aead}
}

// nextNonce is each nonce once: a line does not live for 2^64 records.
func (s *sealing) nextNonce() []byte {
	binary.BigEndian.PutUint64(s.nonce[len(s.nonce)-8:], s.next)
	s.next++
	return s.nonce[:]
}

// A Writer seals what is written to it. It may be used by one goroutine at a time.
type Writer struct {
	w      io.Writer
	seal   sealing
	record []byte
}

// NewWriter writes to w, each record with one call. The key is nobody else's.
func NewWriter(w io.Writer, k Key) *Writer { return &Writer{w: w, seal: newSealing(k)} }

// Show sends the empty record.
func (w *Writer) Show() error { return w.writeRecord(nil) }

func (w *Writer) Write(p []byte) (done int, err error) {
	for done < len(p) {
		n := min(len(p)-done, MaxRecord)
		if err := w.writeRecord(p[done : done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

func (w *Writer) writeRecord(p []byte) error {
	r := binary.BigEndian.AppendUint32(w.record[:0], uint32(len(p)))
	w.record = w.seal.aead.Seal(r, w.seal.nextNonce(), p, r)
	_, err := w.w.Write(w.record)
	return err
}

// A Reader opens what a [Writer] has sealed. It may be used by one goroutine at a time.
type Reader struct {
	r    io.Reader
	seal sealing
	b    []byte // came, and was not opened yet: the end of room
	room []byte
	left []byte // was opened, and not read yet
	err  error
}

// readAhead is room for several records, so that a fast line takes few calls.
const readAhead = 4 * (headLen + MaxRecord + tagLen)

// NewReader reads from r.
func NewReader(r io.Reader, k Key) *Reader {
	return &Reader{r: r, seal: newSealing(k), room: make([]byte, readAhead)}
}

// Seen reads the empty record. Nothing of it, not even room for more, is believed before it is there whole.
func (r *Reader) Seen() error {
	p, err := r.nextRecord()
	if err == nil && len(p) != 0 {
		err = fmt.Errorf("%w: %d bytes in the first record", ErrSealed, len(p))
	}
	r.err = err
	return err
}

// Read returns [ErrSealed], [io.ErrUnexpectedEOF] where the line ended in a record, [io.EOF] where it ended between two, or the line's own error. No
// byte behind an error is ever given.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.left) == 0 && r.err == nil && len(p) > 0 {
		r.left, r.err = r.nextRecord()
	}
	if len(r.left) == 0 {
		return 0, r.err
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// nextRecord opens a record. Its bytes are the reader's, until the next call.
func (r *Reader) nextRecord() ([]byte, error) {
	if err := r.fillTo(headLen); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(r.b))
	if n > MaxRecord || n < 0 {
		return nil, fmt.Errorf("%w: a record of %d bytes", ErrSealed, uint32(n))
	}
	if err := r.fillTo(headLen + n + tagLen); err != nil {
		return nil, eof.Unexpected(err)
	}
	head, sealed := r.b[:headLen], r.b[headLen:headLen+n+tagLen]
	r.b = r.b[headLen+n+tagLen:]
	p, err := r.seal.aead.Open(sealed[:0], r.seal.nextNonce(), sealed, head)
	if err != nil {
		return nil, ErrSealed
	}
	return p, nil
}

// fillTo reads until there are n bytes. The error is io.EOF only where there are none.
func (r *Reader) fillTo(n int) error {
	if len(r.b) >= n {
		return nil
	}
	if len(r.b) == 0 || cap(r.b) < n { // what was opened was read: the room before b is free
		r.b = r.room[:copy(r.room, r.b)]
	}
	have := len(r.b)
	got, err := io.ReadAtLeast(r.r, r.b[have:cap(r.b)], n-have)
	r.b = r.b[:have+got]
	if err == io.EOF && have > 0 {
		err = io.ErrUnexpectedEOF
	}
	return err
}
