package initrd

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
)

// blockSize is cpio's: plain segments are filled up with zeros to it.
const blockSize = 512

// WriteTo writes the archive: segments that nobody edited as the bytes that
// came in, the others encoded again. Every plain segment starts on a 4-byte
// boundary, where the kernel looks for it. Afterwards the image is the archive
// that was written, without edits. After an error the bytes of what was edited are lost:
// it can be written again in this way, and no other.
func (img *Image) WriteTo(w io.Writer) (int64, error) {
	f := &headerFixer{w: w}
	behind, zeros := None, int64(0)
	same, changed := int64(0), false // how much of the file begins as the one that was read, and whether the rest does not
	for i, s := range img.Segments {
		more := zeroGap(behind, zeros, f.n, s.Compression)
		if i > 0 {
			img.Segments[i-1].Padding += more
		}
		f.Write(make([]byte, more))
		s.Offset = f.n
		if changed = changed || s.dirty || s.Offset != s.was.Offset; !changed {
			same = s.Offset + s.Size
		}
		if s.dirty {
			if err := s.encodeEntries(f); err != nil {
				return f.n, fmt.Errorf("segment %d: %w", i, err)
			}
			img.digests.hashNow(s.raw)
		} else {
			s.Padding = s.was.Padding
			f.Write(s.raw)
			f.Write(make([]byte, s.Padding))
		}
		behind, zeros = s.Compression, s.Padding
	}
	img.size = f.n
	if f.err != nil {
		return f.n, f.err
	}
	for _, s := range img.Segments {
		s.dirty = false
		s.rememberStored()
	}
	img.digests.forgetFile(same)
	return f.n, img.buildTree()
}

// encodeEntries encodes the segment's entries, and writes what comes of it while the rest is still being encoded. A plain one ends
// with its trailer, the rest is padding.
func (s *Segment) encodeEntries(w io.Writer) error {
	s.loadContents()
	plain := plainSize(s.Entries)
	room := len(s.raw)*3/2 + int(max(0, plain-s.was.Unpacked)/2) // another level makes it that much larger at most, as a rule
	if s.Compression != s.was.Compression {
		room = int(plain / 2)
	}
	s.raw, s.was.raw = nil, nil // nobody needs both these bytes and the new ones, which are as many
	b := bytes.NewBuffer(allocHuge(room)[:0])
	out := bufio.NewWriterSize(w, 128<<10)
	if err := cmp.Or(s.encodeTo(io.MultiWriter(b, out)), out.Flush()); err != nil {
		return err
	}
	s.measureSizes(int64(b.Len()))
	s.raw = b.Bytes()[:s.Size:s.Size]
	return nil
}

// zeroGap is how many more zeros the kernel needs behind a segment (lz4 or not,
// n bytes from the start of the file, the last of them that many zeros) to find
// the next: a boundary of 4 for plain cpio, and four to end an lz4 frame, which
// has no mark of its own.
func zeroGap(behind Compression, zeros, n int64, next Compression) int64 {
	var more int64
	if behind == Lz4 && (next != Lz4 || zeros > 0) {
		more = max(0, 4-zeros)
	}
	if next == None {
		more += pad4(n + more)
	}
	return more
}

// WriteAppended writes the archive as it was read, byte for byte, and behind
// it one segment in compression c with what was edited. What cannot be said
// that way is an error: a removed path, and a changed name of a hard-linked
// file, because the kernel would write into the file that all names share.
// Afterwards the image is the archive that was written, without edits.
func (img *Image) WriteAppended(w io.Writer, c Compression, level int) (int64, error) {
	for i, s := range img.Segments {
		if s.was.raw == nil && s.was.Size > 0 {
			return 0, fmt.Errorf("segment %d: nothing can be appended: a repack that failed has lost its bytes", i)
		}
	}
	extra, err := img.appendedEntries()
	if err != nil {
		return 0, err
	}
	b := bytes.NewBuffer(make([]byte, plainSize(extra)/2)[:0])
	s := &Segment{Compression: c, Level: level, Entries: extra}
	encoded := make(chan error, 1)
	go func() {
		if len(extra) > 0 {
			encoded <- s.encodeTo(b)
		}
		close(encoded)
	}()
	f := &headerFixer{w: w}
	for _, s := range img.Segments {
		s.restoreStored()
		f.Write(s.raw)
		f.Write(make([]byte, s.Padding))
	}
	if err := <-encoded; err != nil {
		return 0, fmt.Errorf("appended segment: %w", err)
	}
	if len(extra) > 0 && f.err == nil {
		img.appendSegment(f, s, b.Bytes())
	}
	img.size = f.n
	if f.err != nil {
		return f.n, f.err
	}
	return f.n, img.buildTree()
}

// appendSegment writes s, which was encoded as b, behind all others.
func (img *Image) appendSegment(f *headerFixer, s *Segment, b []byte) {
	last, end := img.Segments[len(img.Segments)-1], f.n
	zeros := make([]byte, zeroGap(last.Compression, last.Padding, end, s.Compression))
	last.Padding += int64(len(zeros))
	last.rememberStored()
	f.Write(zeros)
	s.Offset = f.n
	f.Write(b)
	s.measureSizes(int64(len(b)))
	s.raw = b[:s.Size:s.Size]
	s.rememberStored()
	img.Segments = append(img.Segments, s)
	img.digests.appendParts(end, zeros, b)
}

// rememberStored notes what the segment holds as it stands in its file; restoreStored goes
// back to that.
func (s *Segment) rememberStored() {
	was := *s
	was.Entries = slices.Clone(s.Entries)
	s.was = &was
	for _, e := range s.Entries {
		e.seg = s
	}
}

func (s *Segment) restoreStored() {
	was := s.was
	*s = *was
	s.Entries, s.was = slices.Clone(was.Entries), was
}

// measureSizes sets the segment's sizes after it took n bytes to encode, as [Read]
// would find them: a plain one ends with its trailer, the rest is padding.
func (s *Segment) measureSizes(n int64) {
	s.Size, s.Padding, s.Unpacked = n, 0, plainSize(s.Entries)
	if s.Compression == None {
		s.Size = runSize(s.Entries)
		s.Padding, s.Unpacked = n-s.Size, s.Size
	}
}

// appendedEntries is the entries of an appended segment: edited ones in order,
// hard-linked files last.
func (img *Image) appendedEntries() ([]*Entry, error) {
	var plain, linked []*Entry
	for _, ed := range img.Edits() {
		switch {
		case ed.After == nil:
			return nil, fmt.Errorf("%s: an appended segment cannot remove it: repack instead", ed.Name)
		case ed.Before != nil && ed.Before.link != nil && ed.Before.link.names > 1:
			return nil, fmt.Errorf("%s: one of a file's hard links, which an appended segment cannot replace: repack instead", ed.Name)
		}
		e := *ed.After
		e.Name = ed.Name
		if e.link == nil {
			plain = append(plain, &e)
		} else {
			e.Data = nil // the last record of the file gets it
			linked = append(linked, &e)
		}
	}
	slices.SortStableFunc(linked, func(a, b *Entry) int { return cmp.Compare(b.Name, a.Name) })
	return append(plain, dataLast(img, linked)...), nil
}

// dataLast gives the last record of each hard-linked file its content.
func dataLast(img *Image, linked []*Entry) []*Entry {
	seen := map[*linkGroup]bool{}
	for _, e := range slices.Backward(linked) {
		if !seen[e.link] {
			e.Data = img.Content(e)
			seen[e.link] = true
		}
	}
	return linked
}

// Encode makes the segment be written in compression c at level (0: the
// default of c) from now on, even where nobody edited it.
func (s *Segment) Encode(c Compression, level int) error {
	if err := CheckLevel(c, level); err != nil {
		return err
	}
	s.Compression, s.Level, s.dirty = c, level, true
	return nil
}

func (s *Segment) encodeTo(w io.Writer) error {
	zw, err := newEncoder(w, s.Compression, s.Level, plainSize(s.Entries))
	if err != nil {
		return err
	}
	return cmp.Or(writeRun(zw, s.Entries), zw.Close())
}

// writeRun writes the entries and their trailer.
func writeRun(w io.Writer, entries []*Entry) error {
	cw := newWriter(w)
	for _, e := range entries {
		if err := cw.writeEntry(e); err != nil {
			return err
		}
	}
	return cw.closeRun()
}

// New makes an archive of one segment from entries, in their order. It is for
// tools and tests that make archives; entries need Name, Mode and, of hard
// links, Nlink and Ino.
func New(c Compression, entries ...Entry) (*Image, error) {
	s := &Segment{Compression: None}
	for _, e := range entries {
		if err := checkName(e.Name); err != nil {
			return nil, err
		}
		s.Entries = append(s.Entries, &e)
	}
	var b bytes.Buffer
	s.Compression = c
	if err := s.encodeTo(&b); err != nil {
		return nil, err
	}
	return Read(&b, Limits{})
}
