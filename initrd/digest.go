package initrd

import (
	"crypto/sha256"
	"io"
	"math"
	"slices"
)

// Digest is a SHA-256.
type Digest = [sha256.Size]byte

// digests hashes contents beside whoever reads them: decompression leaves a
// core idle. A content that is held is known by where it lies in memory.
type digests struct {
	queue chan part
	free  chan []byte // buffers for contents that are not held
	done  chan struct{}
	sums  map[content]Digest // not to be read before done
}

// part is a content, or a piece of one that is not held.
type part struct {
	b    []byte
	of   *away // nil: b is a whole content, and held
	last bool
}

type content struct {
	at *byte
	n  int
}

func contentOf(b []byte) content { return content{&b[0], len(b)} }

// away stands for a content that was hashed and let go.
type away struct {
	size int64
	sum  Digest // not to be read before the digests are done
}

func hashAhead() *digests {
	const buffers, size = 16, 128 << 10
	d := &digests{queue: make(chan part, 1024), free: make(chan []byte, buffers),
		done: make(chan struct{}), sums: map[content]Digest{}}
	for range buffers {
		d.free <- make([]byte, size)
	}
	go d.run()
	return d
}

func (d *digests) run() {
	defer close(d.done)
	h := sha256.New()
	for p := range d.queue {
		if p.of == nil {
			d.sums[contentOf(p.b)] = sha256.Sum256(p.b)
			continue
		}
		h.Write(p.b)
		d.free <- p.b[:cap(p.b)]
		if p.last {
			h.Sum(p.of.sum[:0])
			h.Reset()
		}
	}
}

func (d *digests) add(b []byte) {
	if len(b) > 0 {
		d.queue <- part{b: b}
	}
}

// pass hashes the n bytes of e's content and lets them go.
func (d *digests) pass(e *Entry, r io.Reader, n int64) error {
	e.away = &away{size: n}
	for n > 0 {
		b := <-d.free
		b = b[:min(n, int64(len(b)))]
		if _, err := io.ReadFull(r, b); err != nil {
			d.free <- b[:cap(b)]
			return noEOF(err)
		}
		n -= int64(len(b))
		d.queue <- part{b, e.away, n == 0}
	}
	return nil
}

func (d *digests) of(b []byte) Digest {
	if d != nil && len(b) > 0 {
		<-d.done
		if sum, ok := d.sums[contentOf(b)]; ok {
			return sum
		}
	}
	return sha256.Sum256(b)
}

// ReadHashed is [Read] for those who will ask for the contents' SHA-256: they
// are computed meanwhile.
func ReadHashed(r io.Reader, l Limits) (*Image, error) {
	d := hashAhead()
	defer close(d.queue)
	return readWith(r, l, d)
}

// Skim is [ReadHashed] for those who will hardly ask for some contents
// themselves: files that keep, given name and size in bytes, does not want are
// hashed and let go. Whoever asks for one all the same has its segment
// decompressed again, so that this costs time only.
func Skim(r io.Reader, l Limits, keep func(name string, size int64) bool) (*Image, error) {
	d := hashAhead()
	defer close(d.queue)
	l.skim = &skimmer{d, keep}
	return readWith(r, l, d)
}

// skimmer lets contents go.
type skimmer struct {
	d    *digests
	keep func(name string, size int64) bool
}

// lets says whether the content of e, of n bytes, is let go. Of hard links it
// is not clear whose content it is before all are read, and a checksum needs
// all bytes.
func (s *skimmer) lets(e *Entry, n int64) bool {
	return s != nil && n > 0 && e.IsFile() && e.Nlink < 2 && !e.Sum && !s.keep(e.Name, n)
}

// load brings back what was let go of the segment.
func (s *Segment) load() {
	if s.was == nil || !slices.ContainsFunc(s.was.Entries, func(e *Entry) bool { return e.away != nil }) {
		return
	}
	l := Limits{Unpacked: math.MaxInt64, Entries: math.MaxInt}
	again, err := readSegment(s.was.raw, 0, &l)
	if err != nil || len(again.Entries) != len(s.was.Entries) {
		panic("initrd: a segment that was read once cannot be read again") // its bytes are the same
	}
	for i, e := range s.was.Entries {
		if e.away != nil {
			e.Data, e.away = again.Entries[i].Data, nil
		}
	}
}

// ContentSize is the length in bytes of e's content.
func (img *Image) ContentSize(e *Entry) int64 {
	if e.away != nil {
		return e.away.size
	}
	return int64(len(img.Content(e)))
}

// Sum is the SHA-256 of e's content.
func (img *Image) Sum(e *Entry) Digest {
	if e.away != nil {
		<-img.digests.done
		return e.away.sum
	}
	return img.digests.of(img.Content(e))
}

// SegmentSum is the SHA-256 of a segment that nobody edited, as it stands in
// its file, the zeros behind it not counted.
func (img *Image) SegmentSum(s *Segment) Digest { return img.digests.of(s.was.raw) }

// FileSum is the SHA-256 of the file that was read, or that WriteAppended
// wrote.
func (img *Image) FileSum() Digest {
	if img.file != nil {
		return img.digests.of(img.file)
	}
	h := sha256.New()
	for _, s := range img.Segments {
		h.Write(s.was.raw)
		h.Write(make([]byte, s.was.Padding))
	}
	return Digest(h.Sum(nil))
}
