package flash

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/moved"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/fixtures/judge"
)

// A chunk that several want at once is compressed by one of them, one that is another by whoever has it; what is kept has a bound.
func TestShared(t *testing.T) {
	s, count := NewShared(), atomic.Int64{}
	packed := func(n int64) []byte { return bytes.Repeat([]byte{byte(n)}, chunk.Size) }
	for n := range int64(100) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				c := chunk.Chunk{N: n, Len: chunk.Size, Sum: chunk.Sum{byte(n)}}
				how, got := s.compressOnce(c, func() (protocol.Encoding, []byte) { count.Add(1); return protocol.Encoding(n % 3), packed(n) })
				if !bytes.Equal(got, packed(n)) || how != protocol.Encoding(n%3) {
					t.Errorf("chunk %d is another one", n)
				}
			})
		}
		all.Wait()
	}
	if n := count.Load(); n != 100 {
		t.Errorf("%d times compressed", n)
	}
	if s.bytes > maxShared+8*chunk.Size || len(s.chunks) != len(s.order) {
		t.Errorf("%d bytes in %d chunks are kept", s.bytes, len(s.chunks))
	}
	other := chunk.Chunk{N: 99, Len: chunk.Size, Sum: chunk.Sum{200}}
	if _, got := s.compressOnce(other, func() (protocol.Encoding, []byte) { return protocol.Raw, []byte("fitted") }); string(got) != "fitted" {
		t.Error("a chunk that was changed for one disk is another's")
	}
}

// Of four flashes of one image each ends well.
func TestFlashTogether(t *testing.T) {
	img := image(4, 30)
	shared := NewShared()
	for n := range 4 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, judge.Noise(9, len(img)))
			fit := func(_ protocol.Disk, _ int64, first []byte) ([]byte, []chunk.Extent, error) {
				first[7] = byte(n)
				return first, nil, nil
			}
			mine := bytes.Clone(img)
			mine[7] = byte(n)
			var s Source = &source{b: img, index: n%2 == 0}
			if n > 1 {
				s = &readable{packedSource: &packedSource{source: &source{b: img, index: true}}}
			}
			if r, err := b.flashOf(s, mine, func(j *Job) { j.Shared, j.Fit = shared, fit }); err != nil {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// Of an image that goes whole to several devices each chunk is read once, but for those that disks are looked through for, or that do not compress.
func TestSharedReadOnce(t *testing.T) {
	img, shared := words(5, 60), NewShared()
	src := &readable{packedSource: &packedSource{source: &source{b: img, index: true}}}
	for n := range 3 {
		b := newBench(t, judge.Noise(uint64(20+n), len(img)))
		if r, err := b.flashOf(src, img, func(j *Job) { j.Shared = shared }); err != nil || r.Written < 50 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	if chunks := int64(len(src.chunks())); src.peeks.Load() > 0 || src.loads.Load() > chunks+2*imageSamples {
		t.Errorf("of %d chunks %d are read, and %d besides to see which pieces differ", chunks, src.loads.Load(), src.peeks.Load())
	}
}

// What one flash still waits for, or has ended over, keeps the others neither from going on nor within their memory.
func TestSharedWithTrouble(t *testing.T) {
	s := NewShared()
	at := func(n int64) chunk.Chunk {
		return chunk.Chunk{N: n, Len: chunk.Size, Sum: chunk.Sum{byte(n), byte(n >> 8)}}
	}
	waits, goes := make(chan bool), make(chan bool)
	var all sync.WaitGroup
	all.Go(func() {
		s.compressOnce(at(0), func() (protocol.Encoding, []byte) { close(waits); <-goes; return protocol.Raw, nil })
	})
	<-waits
	all.Go(func() {
		defer func() { recover() }()
		s.compressOnce(at(1), func() (protocol.Encoding, []byte) { panic("odd") })
	})
	for n := range int64(3 * maxShared / chunk.Size) {
		s.compressOnce(at(n+2), func() (protocol.Encoding, []byte) { return protocol.Raw, make([]byte, chunk.Size) })
	}
	if s.bytes > maxShared {
		t.Errorf("%d bytes are kept", s.bytes)
	}
	close(goes)
	all.Wait()
}

// What disks are looked through for is read once for all flashes; zeros are none, and what one of them could not read the next one tries.
func TestSharedSamples(t *testing.T) {
	s, reads := NewShared(), atomic.Int64{}
	data := judge.Noise(3, chunk.Size)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := range int64(5) {
				sums, err := s.sample(n, func() ([]byte, error) { reads.Add(1); return bytes.Clone(data[:(n+1)*chunk.PieceSize]), nil })
				if err != nil || !bytes.Equal(sums, moved.AppendSums(nil, data[:(n+1)*chunk.PieceSize])) {
					t.Errorf("chunk %d: %d bytes of sums, %v", n, len(sums), err)
				}
			}
		})
	}
	all.Wait()
	if n := reads.Load(); n != 5 {
		t.Errorf("5 chunks are read %d times", n)
	}
	for _, shared := range []*Shared{s, nil} {
		if sums, err := shared.sample(7, func() ([]byte, error) { return nil, io.EOF }); sums != nil || err != io.EOF {
			t.Errorf("%v, %v", sums, err)
		}
		if sums, err := shared.sample(7, func() ([]byte, error) { return make([]byte, chunk.Size), nil }); sums != nil || err != nil {
			t.Errorf("zeros: %v, %v", sums, err)
		}
	}
}
