package initrd

import (
	"crypto/sha256"
	"io"
)

// Digest is a SHA-256.
type Digest = [sha256.Size]byte

// digests hashes contents beside whoever reads them: decompression leaves a
// core idle. A content is known by where it lies in memory.
type digests struct {
	queue chan []byte
	done  chan struct{}
	sums  map[content]Digest // not to be read before done
}

type content struct {
	at *byte
	n  int
}

func contentOf(b []byte) content { return content{&b[0], len(b)} }

func hashAhead() *digests {
	d := &digests{queue: make(chan []byte, 1024), done: make(chan struct{}), sums: map[content]Digest{}}
	go func() {
		defer close(d.done)
		for b := range d.queue {
			d.sums[contentOf(b)] = sha256.Sum256(b)
		}
	}()
	return d
}

func (d *digests) add(b []byte) {
	if len(b) > 0 {
		d.queue <- b
	}
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

// Sum is the SHA-256 of e's content.
func (img *Image) Sum(e *Entry) Digest { return img.digests.of(img.Content(e)) }

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
