package initrd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/cavaliergopher/cpio"

	"groundhog/initrd/eof"
)

// cavaliergopher/cpio is the codec; this file makes good what it drops. By
// itself it loses device numbers, renumbers inode 0, writes 070702 for ever
// after one checksum, takes a cut archive for a whole one, reads bad
// hexadecimal as 0 (a negative size panics), hides a symlink's body, and
// returns nil when a write failed. Both directions therefore see the 110 bytes
// of each header themselves. TestCodec has one case for each.

const (
	headerLen   = 110
	maxNameSize = 4096    // PATH_MAX, what the kernel and the codec accept
	readAtOnce  = 4 << 20 // a larger file's memory grows with its data
)

var (
	// ErrFormat is wrapped by errors about input that is not an initramfs.
	ErrFormat = errors.New("not an initramfs")
	// ErrTooLarge is wrapped by errors about input beyond the [Limits].
	ErrTooLarge = errors.New("over the limit")
)

// cpioHeader is the 13 numbers of a cpio header, in the order of cpio(5).
type cpioHeader [13]uint32

const (
	hIno = iota
	hMode
	hUID
	hGID
	hNlink
	hMtime
	hSize
	hDevMajor
	hDevMinor
	hRdevMajor
	hRdevMinor
	hNameSize
	hSum
)

// parseHeader reads the digits of a header, which the codec would read as 0
// where they are none.
func parseHeader(b []byte) (h cpioHeader, sum bool, err error) {
	magic := string(b[:6])
	if magic != "070701" && magic != "070702" {
		return h, false, fmt.Errorf("%w: no cpio header (%q)", ErrFormat, magic)
	}
	for i := range h {
		var word [4]byte
		if _, err := hex.Decode(word[:], b[6+8*i:14+8*i]); err != nil {
			return h, false, fmt.Errorf("%w: bad digits in a cpio header (%q)", ErrFormat, b[6+8*i:14+8*i])
		}
		h[i] = uint32(word[0])<<24 | uint32(word[1])<<16 | uint32(word[2])<<8 | uint32(word[3])
	}
	switch {
	case h[hNameSize] < 1 || h[hNameSize] > maxNameSize:
		return h, false, fmt.Errorf("%w: a name of %d bytes in a cpio header", ErrFormat, h[hNameSize])
	case h[hMode]&TypeMask == TypeLink && (h[hSize] < 1 || h[hSize] > maxNameSize):
		return h, false, fmt.Errorf("%w: a symlink target of %d bytes", ErrFormat, h[hSize])
	case magic == "070701" && h[hSum] != 0:
		return h, false, fmt.Errorf("%w: a checksum (%08x) in a 070701 header, which has none", ErrFormat, h[hSum])
	}
	return h, magic == "070702", nil
}

// runReader yields the entries of one run. It reads no byte beyond the trailer.
type runReader struct {
	cr   *cpio.Reader
	tap  *headerTap
	size int64    // bytes of data that may still come
	skim *skimmer // nil: every content is held
	room contentRoom

	memory *entryMemory // what is read, where it is held in any case
}

// entryMemory reads b, which is in memory in any case: what is read of it need not be copied.
type entryMemory struct {
	*bytes.Reader
	b []byte
}

// headerTap passes bytes on, keeping and checking the header that starts after skip
// more bytes.
type headerTap struct {
	r     io.Reader
	skip  int64 // bytes until the next header
	since int64 // bytes since that header began
	head  cpioHeader
	sum   bool
	last  byte // of the name: the NUL, which the codec cuts off unseen
}

func (t *headerTap) Read(p []byte) (int, error) {
	if t.skip > 0 {
		n, err := t.r.Read(p[:min(int64(len(p)), t.skip)])
		t.skip -= int64(n)
		return n, err
	}
	if t.since > 0 {
		n, err := t.r.Read(p)
		if at := t.nameEnd() - 1 - t.since; at >= 0 && at < int64(n) {
			t.last = p[at]
		}
		t.since += int64(n)
		return n, err
	}
	// The codec asks for a header in one piece.
	n, err := io.ReadFull(t.r, p[:min(len(p), headerLen)])
	t.since = int64(n)
	if err != nil || n != headerLen {
		return n, io.ErrUnexpectedEOF
	}
	if t.head, t.sum, err = parseHeader(p[:n]); err != nil {
		return 0, err // with n, io.ReadFull would forget the error
	}
	return n, nil
}

// nameEnd is how many bytes after the start of a header its name ends.
func (t *headerTap) nameEnd() int64 { return headerLen + int64(t.head[hNameSize]) }

// atTrailer tells the codec's EOF for a trailer, which it gives right behind
// the name, from its EOF for an input that stops: there a symlink cut off
// before its target, for one, would look the same but for the name's length.
func (t *headerTap) atTrailer() bool {
	return t.skip == 0 && t.since == t.nameEnd() && t.head[hNameSize] == uint32(len(trailerName)+1)
}

func newReader(r io.Reader, size int64) *runReader {
	t := &headerTap{r: r}
	return &runReader{cr: cpio.NewReader(t), tap: t, size: size}
}

// nextEntry returns the next entry, the trailer included: it is the caller who
// knows whether another run may follow.
func (r *runReader) nextEntry() (*Entry, error) {
	r.tap.since = 0
	hdr, err := r.cr.Next()
	h := r.tap.head
	switch {
	case err == io.EOF && r.tap.atTrailer():
		hdr = &cpio.Header{Name: trailerName}
		err = discardBytes(r.tap.r, pad4(r.tap.since))
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	case err == cpio.ErrHeader:
		err = fmt.Errorf("%w: a cpio header that is out of range", ErrFormat)
	}
	if err != nil {
		return nil, err
	}
	if r.tap.last != 0 {
		return nil, fmt.Errorf("%w: %q: a name without a NUL at its end", ErrFormat, hdr.Name)
	}
	e := &Entry{Mode: h[hMode], UID: h[hUID], GID: h[hGID], Nlink: h[hNlink],
		Mtime: h[hMtime], Ino: h[hIno], Dev: Device{h[hDevMajor], h[hDevMinor]},
		Rdev: Device{h[hRdevMajor], h[hRdevMinor]}, Sum: r.tap.sum}
	// Names may be filled up with NULs, to align what follows.
	e.Name = strings.TrimRight(hdr.Name, "\x00")
	e.namePad = len(hdr.Name) - len(e.Name)
	if e.IsTrailer() && h[hSize] != 0 {
		return nil, fmt.Errorf("%w: a trailer with a body", ErrFormat)
	}
	if r.size -= r.tap.nameEnd() + int64(h[hSize]); r.size < 0 {
		return nil, ErrTooLarge
	}
	n, unread := int64(h[hSize]), int64(0)
	switch {
	case hdr.Linkname != "": // the codec has taken a symlink's body
		e.Data = []byte(hdr.Linkname)
	case r.memory != nil && n > 0:
		at := len(r.memory.b) - r.memory.Len()
		if int64(r.memory.Len()) < n {
			err = io.ErrUnexpectedEOF
			break
		}
		e.Data = r.memory.b[at : at+int(n) : at+int(n)]
		unread = n // the codec will pass over it
	case r.skim.letsGo(e, n):
		err = r.skim.d.passContent(e, r.cr, n)
	default:
		e.Data, err = r.room.readData(r.cr, n)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	r.tap.skip = unread + pad4(n)
	if e.Sum && e.IsFile() && h[hSum] != e.dataSum() {
		return nil, fmt.Errorf("%w: %s: the checksum is wrong", ErrFormat, e.Name)
	}
	return e, nil
}

// readData reads exactly n bytes; a length is a claim until the bytes are there.
// Once a sixteenth of them is, room is taken for all: a large file is then copied
// only in its small beginnings, and room that is not written to costs no memory.
func (m *contentRoom) readData(r io.Reader, n int64) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	b := m.takeRoom(int(min(n, readAtOnce)))
	for have := 0; ; {
		got, err := io.ReadFull(r, b[have:])
		have += got
		if err != nil {
			return nil, io.ErrUnexpectedEOF
		}
		if int64(have) == n {
			return b, nil
		}
		grown := m.takeRoom(int(min(16*int64(have), n)))
		copy(grown, b)
		b = grown
	}
}

func discardBytes(r io.Reader, n int64) error {
	_, err := io.CopyN(io.Discard, r, n)
	return eof.Unexpected(err)
}

// pad4 is how many zeros bring n to a multiple of 4: the kernel accepts a
// header, and starts a file's data, only there.
func pad4(n int64) int64 { return -n & 3 }

// runWriter writes one run.
type runWriter struct {
	cw  *cpio.Writer
	fix *headerFixer
	sum bool // a 070702 record was written: the trailer is one as well, as GNU cpio has it
}

// headerFixer passes bytes on, puts the numbers of head in place of the ones in the
// next header, and keeps the first error.
type headerFixer struct {
	w    io.Writer
	n    int64
	head []byte
	err  error
}

func (f *headerFixer) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	if f.head != nil && len(p) == headerLen {
		p, f.head = f.head, nil
	}
	var n int
	n, f.err = f.w.Write(p)
	f.n += int64(n)
	return n, f.err
}

func newWriter(w io.Writer) *runWriter {
	f := &headerFixer{w: w}
	return &runWriter{cw: cpio.NewWriter(f), fix: f}
}

func (w *runWriter) writeEntry(e *Entry) error {
	if int64(len(e.Data)) > math.MaxUint32 {
		return fmt.Errorf("%s: %d bytes do not fit a cpio record", e.Name, len(e.Data))
	}
	name := e.Name + strings.Repeat("\x00", e.namePad)
	if name == "" || len(name)+1 > maxNameSize || strings.Contains(e.Name, "\x00") {
		return fmt.Errorf("%q: not a name that a cpio record can hold", e.Name)
	}
	w.fix.head = e.headerBytes(len(name) + 1)
	w.sum = w.sum || e.Sum
	mode := cpio.FileMode(cpio.TypeReg) // the codec gets what it cannot spoil; fix has the truth
	if err := w.cw.WriteHeader(&cpio.Header{Name: name, Mode: mode, Inode: 1, Links: 1, Size: int64(len(e.Data))}); err != nil {
		return err
	}
	if w.fix.err == nil && len(e.Data) > 0 {
		w.cw.Write(e.Data) // fix keeps the error
	}
	return w.fix.err
}

// headerBytes is e's header as cpio(5) has it, for a name of nameSize bytes with
// its NUL.
func (e *Entry) headerBytes(nameSize int) []byte {
	h := cpioHeader{hIno: e.Ino, hMode: e.Mode, hUID: e.UID, hGID: e.GID, hNlink: e.Nlink, hMtime: e.Mtime,
		hSize: uint32(len(e.Data)), hDevMajor: e.Dev.Major, hDevMinor: e.Dev.Minor,
		hRdevMajor: e.Rdev.Major, hRdevMinor: e.Rdev.Minor, hNameSize: uint32(nameSize)}
	magic := "070701"
	if e.Sum {
		magic = "070702"
		if e.IsFile() {
			h[hSum] = e.dataSum()
		}
	}
	b := make([]byte, 0, headerLen)
	b = append(b, magic...)
	for _, n := range h {
		b = fmt.Appendf(b, "%08X", n)
	}
	return b
}

// closeRun writes the trailer and zeros up to a multiple of 512, cpio's block.
func (w *runWriter) closeRun() error {
	if err := w.writeEntry(&Entry{Name: trailerName, Nlink: 1, Sum: w.sum}); err != nil {
		return err
	}
	if err := w.cw.Flush(); err != nil {
		return err
	}
	if w.fix.err != nil {
		return w.fix.err
	}
	_, err := w.fix.Write(make([]byte, -w.fix.n&(blockSize-1)))
	return err
}

// plainSize is how many bytes writer makes of entries.
func plainSize(entries []*Entry) int64 { return (runSize(entries) + blockSize - 1) &^ (blockSize - 1) }

// runSize is how many of them are records, the trailer included.
func runSize(entries []*Entry) int64 {
	var n int64
	for _, e := range entries {
		n += headerLen + int64(len(e.Name)+e.namePad+1)
		n += pad4(n)
		n += int64(len(e.Data))
		n += pad4(n)
	}
	n += headerLen + int64(len(trailerName)+1)
	return n + pad4(n)
}
