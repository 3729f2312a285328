package manifest

import (
	"cmp"
	"encoding/hex"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"groundhog/initrd"
)

// hasher collects what is to be hashed and does it on all cores, the largest
// first. Each job writes to places of its own, so that the result does not
// depend on who finishes when.
type hasher struct {
	jobs  []hashJob
	after []func() // in order, once all jobs are done
	wait  int      // how many may wait for each other besides those that a core is at
}

type hashJob struct {
	size int64
	do   func() error
}

func (h *hasher) hashAll() error {
	slices.SortStableFunc(h.jobs, func(a, b hashJob) int { return cmp.Compare(b.size, a.size) })
	errs := make([]error, len(h.jobs))
	var next atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) + h.wait {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(h.jobs); i = int(next.Add(1)) - 1 {
				errs[i] = h.jobs[i].do()
			}
		})
	}
	group.Wait()
	for _, f := range h.after {
		f()
	}
	return cmp.Or(errs...)
}

// readBuffers are what files are read into: a fresh one for each of some ten thousand small files is work for the collector.
var readBuffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// copyTo reads r to its end.
func copyTo(w io.Writer, r io.Reader) (int64, error) {
	room := readBuffers.Get().(*[128 << 10]byte)
	defer readBuffers.Put(room)
	return io.CopyBuffer(struct{ io.Writer }{w}, r, room[:])
}

// hashEntry gives out the size and SHA-256 of e's content; names of a hard-linked
// file get those of the first one in byPath.
func (h *hasher) hashEntry(img *initrd.Image, e *initrd.Entry, out *Entry, byPath map[string]*Entry) {
	if !e.IsFile() {
		return
	}
	if first := byPath[out.LinkOf]; first != nil {
		h.after = append(h.after, func() { out.Size, out.SHA256 = first.Size, first.SHA256 })
		return
	}
	size := img.ContentSize(e)
	h.jobs = append(h.jobs, hashJob{size, func() error {
		sum := img.Sum(e)
		out.Size, out.SHA256 = size, hex.EncodeToString(sum[:])
		return nil
	}})
}

// hashArchive gives m the SHA-256 of the file that img was read from.
func (h *hasher) hashArchive(img *initrd.Image, m *Manifest) {
	h.jobs = append(h.jobs, hashJob{img.Size(), func() error {
		sum := img.FileSum()
		m.Archive.SHA256 = hex.EncodeToString(sum[:])
		return nil
	}})
}

// hashSegment gives out the SHA-256 of a segment.
func (h *hasher) hashSegment(img *initrd.Image, s *initrd.Segment, out *Segment) {
	h.jobs = append(h.jobs, hashJob{s.Size, func() error {
		sum := img.SegmentSum(s)
		out.SHA256 = hex.EncodeToString(sum[:])
		return nil
	}})
}
