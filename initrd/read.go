package initrd

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// Read reads an archive whole. The error names the segment and the offset in
// the file at which it cannot be one; it wraps [ErrFormat], [ErrTooLarge] or
// [io.ErrUnexpectedEOF].
func Read(r io.Reader, l Limits) (*Image, error) { return readWith(r, budget{Limits: l}) }

func readWith(r io.Reader, l budget) (*Image, error) {
	l.Limits = l.withDefaults()
	d := l.digests
	file, err := readLimited(r, l.Unpacked)
	if err != nil {
		return nil, err
	}
	if d != nil {
		go d.chainSegments(file)
	}
	img := &Image{size: int64(len(file)), digests: d}
	if err := img.readSegments(file, l); err != nil {
		return nil, err
	}
	return img, img.buildTree()
}

func (img *Image) readSegments(file []byte, l budget) error {
	switch zeros := countZeros(file); {
	case len(file) == 0:
		return fmt.Errorf("%w: it is empty", ErrFormat)
	case zeros == len(file):
		return fmt.Errorf("%w: nothing but zeros", ErrFormat)
	case zeros > 0 && foreignKind(file) == "":
		return fmt.Errorf("%w: it begins with zeros", ErrFormat)
	}
	for pos := 0; pos < len(file); {
		if len(img.Segments) == l.Segments {
			return fmt.Errorf("offset %#x: %w of %d segments", pos, ErrTooLarge, l.Segments)
		}
		s, err := readSegment(file, pos, &l)
		if err != nil {
			if len(img.Segments) == 0 && errors.Is(err, ErrFormat) {
				if what := foreignKind(file); what != "" {
					return fmt.Errorf("%w: it is %s", ErrFormat, what)
				}
			}
			return fmt.Errorf("segment %d at offset %#x: %w", len(img.Segments), pos, err)
		}
		s.rememberStored()
		img.Segments = append(img.Segments, s)
		pos += int(s.Size + s.Padding)
	}
	return nil
}

// readSegment reads the segment at pos and takes what it holds off l.
func readSegment(file []byte, pos int, l *budget) (*Segment, error) {
	b := file[pos:]
	s := &Segment{Offset: int64(pos), Compression: None}
	var n int
	var err error
	if bytes.HasPrefix(b, []byte("07070")) {
		if pos%4 != 0 {
			return nil, fmt.Errorf("%w: plain cpio off a 4-byte boundary, which the kernel refuses", ErrFormat)
		}
		n, err = s.readPlain(b, l)
	} else {
		n, err = s.readCompressed(b, pos, l)
	}
	if err != nil {
		return nil, err
	}
	s.Size = int64(n)
	s.raw = b[:n:n]
	s.Padding = int64(countZeros(b[n:]))
	l.digests.reachOffset(pos + n)
	l.digests.reachOffset(pos + n + int(s.Padding))
	return s, nil
}

func (s *Segment) readPlain(b []byte, l *budget) (int, error) {
	in := &entryMemory{bytes.NewReader(b), b}
	if err := s.readRun(in, l); err != nil {
		return 0, err
	}
	n := len(b) - in.Len()
	s.Unpacked = int64(n)
	s.Entries = s.Entries[:len(s.Entries)-1] // the trailer is the segment's own end
	return n, nil
}

func (s *Segment) readCompressed(b []byte, pos int, l *budget) (int, error) {
	m, ok := sniffCompression(b)
	if !ok {
		return 0, fmt.Errorf("%w: %s", ErrFormat, saidOfUnknown(b))
	}
	s.Compression = m.name
	n := len(b)
	if m.end != nil {
		var err error
		if n, err = m.end(b); err != nil {
			return 0, fmt.Errorf("%s: %w", m.name, err)
		}
		l.digests.reachOffset(pos + n)
	}
	in := bytes.NewReader(b[:n])
	plain, err := m.decode(in)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", m.name, badArchive(err))
	}
	defer plain.Close()
	var from io.Reader = plain
	if m.end != nil {
		from = wholeReader{plain}
	}
	if err := s.readRuns(from, l); err != nil {
		return 0, fmt.Errorf("%s: %w", m.name, badArchive(err))
	}
	if m.end == nil {
		n -= in.Len()
	}
	return n, nil
}

// readRuns reads all runs of a compressed stream, to its end.
func (s *Segment) readRuns(r io.Reader, l *budget) error {
	counted := &countingReader{r: r}
	in := bufio.NewReaderSize(counted, 4<<10) // longer contents are read past it
	for {
		if err := s.readRun(in, l); err != nil {
			return cmp.Or(foreignWithin(counted.head), counted.blame(err))
		}
		if more, err := skipZeros(in, l); err != nil {
			return err
		} else if !more {
			break
		}
		if at := counted.n - int64(in.Buffered()); at%4 != 0 {
			return fmt.Errorf("%w: cpio off a 4-byte boundary at %#x of the stream, which the kernel refuses", ErrFormat, at)
		}
	}
	s.Unpacked = counted.n
	s.Entries = s.Entries[:len(s.Entries)-1]
	return nil
}

// readRun reads records up to the trailer, which becomes the last entry.
func (s *Segment) readRun(in io.Reader, l *budget) error {
	r := newReader(in, l.Unpacked)
	r.skim = l.skim
	r.memory, _ = in.(*entryMemory)
	for {
		e, err := r.nextEntry()
		if err != nil {
			return err
		}
		if l.Entries--; l.Entries < 0 {
			return fmt.Errorf("%w of entries", ErrTooLarge)
		}
		e.seg = s
		s.Entries = append(s.Entries, e)
		if e.IsTrailer() {
			l.Unpacked = r.size
			return nil
		}
		if err := checkName(e.Name); err != nil {
			return err
		}
		if l.digests != nil && e.IsFile() {
			l.digests.hashLater(e.Data)
		}
	}
}

// checkName refuses names that could mean something outside the archive. The
// kernel would take them from its root; we never need them.
func checkName(name string) error {
	switch {
	case name == trailerName:
		return fmt.Errorf("%q: the name that ends a cpio archive", name)
	case name == "":
		return fmt.Errorf("%w: an entry without a name", ErrFormat)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("%w: %q: a NUL inside a name", ErrFormat, name)
	case strings.HasPrefix(name, "/"):
		return fmt.Errorf("%w: %q: an absolute name", ErrFormat, name)
	case slices.Contains(strings.Split(name, "/"), ".."):
		return fmt.Errorf("%w: %q: a name that leads out of the archive", ErrFormat, name)
	}
	return nil
}

type countingReader struct {
	r    io.Reader
	n    int64
	head []byte // the first of them, as many as tell what it is
	err  error  // what r complained of
}

// blame is what r complained of, where err took that for the end.
func (c *countingReader) blame(err error) error {
	if c.err != nil && errors.Is(err, io.ErrUnexpectedEOF) {
		return c.err
	}
	return err
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.head = append(c.head, p[:min(n, foreignHead-len(c.head))]...)
	if err != io.EOF {
		c.err = err
	}
	return n, err
}

// skipZeros passes over padding and says whether something follows it.
func skipZeros(in *bufio.Reader, l *budget) (bool, error) {
	for {
		if _, err := in.Peek(1); err == io.EOF {
			return false, nil
		} else if err != nil {
			return false, err
		}
		b, _ := in.Peek(in.Buffered())
		n := countZeros(b)
		in.Discard(n)
		if l.Unpacked -= int64(n); l.Unpacked < 0 {
			return false, ErrTooLarge
		}
		if n < len(b) {
			return true, nil
		}
	}
}

// badArchive turns a decoder's complaint into one of ours: whatever it says, the
// input is not an archive or ends too early.
func badArchive(err error) error {
	if errors.Is(err, ErrFormat) || errors.Is(err, ErrTooLarge) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return damagedError{err}
}

// damagedError is what a decoder complains of. Such a file is an initramfs no more, and no other kind of file.
type damagedError struct{ error }

func (e damagedError) Error() string        { return "damaged: " + e.error.Error() }
func (e damagedError) Unwrap() error        { return e.error }
func (e damagedError) Is(target error) bool { return target == ErrFormat }

// wholeReader decodes what is there to its end: where the decoder misses something it is not the end.
type wholeReader struct{ r io.Reader }

func (w wholeReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = damagedError{errors.New("corrupt compressed data")}
	}
	return n, err
}

func countZeros(b []byte) int {
	for i, c := range b {
		if c != 0 {
			return i
		}
	}
	return len(b)
}

// readLimited reads all of r, at most limit bytes.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	size := int64(bytes.MinRead)
	if f, ok := r.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size += min(info.Size(), limit)
		}
	}
	// Memory from make need not be cleared; that of a bytes.Buffer always is.
	b := bytes.NewBuffer(allocHuge(int(size))[:0])
	n, err := b.ReadFrom(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("%w of %d bytes", ErrTooLarge, limit)
	}
	return b.Bytes(), nil
}
