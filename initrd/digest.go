package initrd

import (
	"crypto/sha256"
	"hash"
	"io"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"

	"groundhog/initrd/eof"
)

// Digest is a SHA-256.
type Digest = [sha256.Size]byte

// digests hashes contents, and the file, beside whoever reads them. A content
// that is held is known by where it lies in memory.
type digests struct {
	sums sync.Map // content to func() Digest, which waits for who is at it
	jobs chan func()
	free chan []byte   // buffers for contents that are not held
	done chan struct{} // no more jobs, and all are done

	reached chan int                // offsets up to which the file is known to be an archive
	ends    map[int64]cloneableHash // state behind so many bytes of the file
	whole   chan struct{}           // ends may be read
}

type cloneableHash interface {
	hash.Hash
	hash.Cloner
}

type hashedContent struct {
	at *byte
	n  int
}

func contentOf(b []byte) hashedContent { return hashedContent{&b[0], len(b)} }

// releasedContent stands for a content that was hashed and let go.
type releasedContent struct {
	size int64
	sum  Digest // not to be read before the digests are done
}

func hashAhead() *digests {
	const buffers, size = 8, 256 << 10
	d := &digests{jobs: make(chan func(), 1024), free: make(chan []byte, buffers), done: make(chan struct{}),
		reached: make(chan int, 1), ends: map[int64]cloneableHash{}, whole: make(chan struct{})}
	for range buffers {
		d.free <- make([]byte, size)
	}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for do := range d.jobs {
				do()
			}
		})
	}
	go func() {
		workers.Wait()
		close(d.done)
	}()
	return d
}

// endJobs says that nothing more will come.
func (d *digests) endJobs() {
	close(d.jobs)
	close(d.reached)
}

// chainSegments hashes the file as it turns out to be an archive, and remembers the
// state behind each segment: more may be appended, and the first segment's sum
// is one of them.
func (d *digests) chainSegments(file []byte) {
	defer close(d.whole)
	h := sha256.New().(cloneableHash)
	at := 0
	for end := range d.reached {
		if end < at {
			continue
		}
		feedHash(h, file[at:end])
		at = end
		c, err := h.Clone()
		if err != nil {
			panic("initrd: SHA-256 cannot be cloned") // the standard library's can
		}
		d.ends[int64(end)] = c
	}
}

// reachOffset notes that the file is an archive up to offset end.
func (d *digests) reachOffset(end int) {
	if d != nil {
		d.reached <- end
	}
}

// appendParts continues the file of from bytes with more parts.
func (d *digests) appendParts(from int64, parts ...[]byte) {
	if d == nil {
		return
	}
	<-d.whole
	end := d.ends[from]
	if end == nil {
		return // of a file that was written since
	}
	h, _ := end.Clone()
	for _, b := range parts {
		feedHash(h, b)
		from += int64(len(b))
	}
	d.ends[from] = h
}

// hashLater hashes b before long.
func (d *digests) hashLater(b []byte) {
	if do := d.hashOnce(b); do != nil {
		d.jobs <- do
	}
}

// hashNow hashes b at once, while its caller goes on. Of small contents nobody
// would notice.
func (d *digests) hashNow(b []byte) {
	if d != nil && len(b) >= 64<<10 {
		if do := d.hashOnce(b); do != nil {
			go do()
		}
	}
}

// hashOnce is how b is to be hashed; nil if that is known, or not worth knowing.
func (d *digests) hashOnce(b []byte) func() {
	if len(b) == 0 {
		return nil
	}
	sum, known := d.rememberSum(b)
	if known {
		return nil
	}
	return func() { sum() }
}

// rememberSum is how b's sum is had, computed at most once.
func (d *digests) rememberSum(b []byte) (sum func() Digest, known bool) {
	once, known := d.sums.LoadOrStore(contentOf(b), sync.OnceValue(func() Digest { return sumOf(b) }))
	return once.(func() Digest), known
}

// passContent hashes the n bytes of e's content and lets them go.
func (d *digests) passContent(e *Entry, r io.Reader, n int64) error {
	a := &releasedContent{size: n}
	e.away = a
	b := <-d.free
	if n <= int64(len(b)) {
		if _, err := io.ReadFull(r, b[:n]); err != nil {
			d.free <- b
			return eof.Unexpected(err)
		}
		d.jobs <- func() {
			a.sum = sumOf(b[:n])
			d.free <- b
		}
		return nil
	}
	pieces := make(chan []byte)
	defer close(pieces)
	d.jobs <- func() {
		h := sha256.New()
		for b := range pieces {
			feedHash(h, b)
			d.free <- b[:cap(b)]
		}
		h.Sum(a.sum[:0])
	}
	for {
		b = b[:min(n, int64(len(b)))]
		if _, err := io.ReadFull(r, b); err != nil {
			d.free <- b[:cap(b)]
			return eof.Unexpected(err)
		}
		pieces <- b
		if n -= int64(len(b)); n == 0 {
			return nil
		}
		b = <-d.free
	}
}

func (d *digests) digestOf(b []byte) Digest {
	if d == nil || len(b) == 0 {
		return sumOf(b)
	}
	sum, _ := d.rememberSum(b) // a hard-linked file is asked for by each of its names
	return sum()
}

func sumOf(b []byte) (sum Digest) {
	h := sha256.New()
	feedHash(h, b)
	h.Sum(sum[:0])
	return sum
}

// feedHash writes b in pieces. Inside one the goroutine cannot be stopped, and for
// the garbage collector's sake all others would wait: 20 ms for a whole file.
func feedHash(h hash.Hash, b []byte) {
	for piece := range slices.Chunk(b, 64<<10) {
		h.Write(piece)
	}
}

// upTo is the sum of the first n bytes of the file, if it is known.
func (d *digests) upTo(n int64) (sum Digest, known bool) {
	if d == nil {
		return sum, false
	}
	<-d.whole
	h, known := d.ends[n]
	if known {
		h.Sum(sum[:0])
	}
	return sum, known
}

// ReadHashed is [Read] for those who will ask for the contents' SHA-256: they
// are computed meanwhile.
func ReadHashed(r io.Reader, l Limits) (*Image, error) {
	d := hashAhead()
	defer d.endJobs()
	return readWith(r, budget{Limits: l, digests: d})
}

// Skim is [ReadHashed] for those who will hardly ask for some contents
// themselves: files that keep, given name and size in bytes, does not want are
// hashed and let go. Whoever asks for one all the same has its segment
// decompressed again, so that this costs time only.
func Skim(r io.Reader, l Limits, keep func(name string, size int64) bool) (*Image, error) {
	d := hashAhead()
	defer d.endJobs()
	return readWith(r, budget{l, d, &skimmer{d, keep}})
}

// skimmer lets contents go.
type skimmer struct {
	d    *digests
	keep func(name string, size int64) bool
}

// letsGo says whether the content of e, of n bytes, is let go. Of hard links it
// is not clear whose content it is before all are read, and a checksum needs
// all bytes.
func (s *skimmer) letsGo(e *Entry, n int64) bool {
	return s != nil && n > 0 && e.IsFile() && e.Nlink < 2 && !e.Sum && !s.keep(e.Name, n)
}

// loadContents brings back what was let go of the segment.
func (s *Segment) loadContents() {
	if s.was == nil || !slices.ContainsFunc(s.was.Entries, func(e *Entry) bool { return e.away != nil }) {
		return
	}
	l := budget{Limits: Limits{Unpacked: math.MaxInt64, Entries: math.MaxInt}}
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

// Held is e's content, as [Image.Content] is, where it is held: nil where [Skim] has let it go.
func (img *Image) Held(e *Entry) []byte {
	if e.away != nil {
		return nil
	}
	return img.Content(e)
}

// Sum is the SHA-256 of e's content.
func (img *Image) Sum(e *Entry) Digest {
	if e.away != nil {
		<-img.digests.done
		return e.away.sum
	}
	return img.digests.digestOf(img.Content(e))
}

// forgetFile forgets the sums of the file beyond offset from: there it is another one now.
func (d *digests) forgetFile(from int64) {
	if d != nil {
		<-d.whole
		maps.DeleteFunc(d.ends, func(end int64, _ cloneableHash) bool { return end > from })
	}
}

// furthest is the state of the hash behind as much of the file as is known, and how many bytes that is.
func (d *digests) furthest() (h hash.Hash, at int64) {
	if d != nil {
		<-d.whole
		for end := range d.ends {
			at = max(at, end)
		}
		if known := d.ends[at]; known != nil {
			if h, err := known.Clone(); err == nil {
				return h, at
			}
		}
	}
	return sha256.New(), 0
}

// SegmentSum is the SHA-256 of a segment that nobody edited, as it stands in
// its file, the zeros behind it not counted.
func (img *Image) SegmentSum(s *Segment) Digest {
	if s.was.Offset == 0 {
		if sum, known := img.digests.upTo(s.was.Size); known {
			return sum
		}
	}
	return img.digests.digestOf(s.was.raw)
}

// FileSum is the SHA-256 of the file that was read, or last written.
func (img *Image) FileSum() Digest {
	var n int64
	for _, s := range img.Segments {
		n += s.was.Size + s.was.Padding
	}
	if sum, known := img.digests.upTo(n); known {
		return sum
	}
	if first := img.Segments[0]; n == first.was.Size {
		return img.digests.digestOf(first.was.raw)
	}
	h, at := img.digests.furthest()
	for _, s := range img.Segments {
		end := s.was.Offset + s.was.Size
		if end > at {
			feedHash(h, s.was.raw)
		}
		if end+s.was.Padding > at {
			h.Write(make([]byte, s.was.Padding))
		}
	}
	return Digest(h.Sum(nil))
}
