package initrd

import (
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
// boundary, where the kernel looks for it.
func (img *Image) WriteTo(w io.Writer) (int64, error) {
	f := &fix{w: w}
	for i, s := range img.Segments {
		if s.Compression == None {
			f.Write(make([]byte, pad4(f.n)))
		}
		if !s.dirty {
			f.Write(s.raw)
			f.Write(make([]byte, s.Padding))
		} else if err := s.encode(f); err != nil {
			return f.n, fmt.Errorf("segment %d: %w", i, err)
		}
	}
	return f.n, f.err
}

// WriteAppended writes the archive as it was read, byte for byte, and behind
// it one segment in compression c with what was edited. What cannot be said
// that way is an error: a removed path, and a changed name of a hard-linked
// file, because the kernel would write into the file that all names share.
func (img *Image) WriteAppended(w io.Writer, c Compression, level int) (int64, error) {
	extra, err := img.appended()
	if err != nil {
		return 0, err
	}
	f := &fix{w: w}
	for _, s := range img.Segments {
		if s.raw == nil {
			return 0, fmt.Errorf("an archive that was not read from a file has nothing to append to")
		}
		f.Write(s.raw)
		f.Write(make([]byte, s.Padding))
	}
	if len(extra) == 0 {
		return f.n, f.err
	}
	if c == None { // compressed data must not begin with padding, plain must be aligned
		f.Write(make([]byte, pad4(f.n)))
	}
	s := &Segment{Compression: c, Level: level, Entries: extra}
	if err := s.encode(f); err != nil {
		return f.n, fmt.Errorf("appended segment: %w", err)
	}
	return f.n, f.err
}

// appended is the entries of an appended segment: edited ones in order,
// hard-linked files last.
func (img *Image) appended() ([]*Entry, error) {
	var plain, linked []*Entry
	for _, ed := range img.Edits() {
		switch {
		case ed.After == nil:
			return nil, fmt.Errorf("%s: an appended segment cannot remove it: repack instead", ed.Name)
		case ed.Before != nil && ed.Before.link != nil && len(ed.Before.link.members) > 0 && ed.After.link == nil:
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

func (s *Segment) encode(w io.Writer) error {
	zw, err := encoder(w, s.Compression, s.Level, plainSize(s.Entries))
	if err != nil {
		return err
	}
	cw := newWriter(zw)
	for _, e := range s.Entries {
		if err := cw.write(e); err != nil {
			return err
		}
	}
	if err := cw.close(); err != nil {
		return err
	}
	return zw.Close()
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
	if err := s.encode(&b); err != nil {
		return nil, err
	}
	return Read(&b, Limits{})
}
