package initrd

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"

	"groundhog/fixtures/judge"
)

// long is enough for jobs and a bit. Behind each cut come short distances that a stream's first block may name without
// saying them, and that are other ones there.
func long() []byte {
	r := rand.New(rand.NewPCG(3, 4))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	words := bytes.Repeat(noise(1000), 3)
	b := make([]byte, 0, jobsFrom+2<<20)
	for i := 0; len(b) < jobsFrom+1<<20; i++ {
		if (len(b)+1<<14)%(4<<20) < 1<<15 { // at some of these jobs are cut
			unit := noise([]int{1, 4, 8}[i%3])
			b = append(append(b, noise(2)...), bytes.Repeat(unit, 60)...)
			continue
		}
		b = append(append(b, words...), noise(30)...)
	}
	return b
}

// A zstd stream is encoded on two cores, and is the same on one.
func TestZstdOnAnyMachine(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	in := long()
	for _, level := range []int{1, 3, 9, 19} {
		var first []byte
		for _, n := range []int{1, 8} {
			runtime.GOMAXPROCS(n)
			var b bytes.Buffer
			zw := judge.Value(newEncoder(&b, Zstd, level, int64(len(in))))(t)
			for piece := range bytes.Lines(in) { // of many sizes
				zw.Write(piece)
			}
			judge.Must(t, zw.Close())
			if first == nil {
				first = b.Bytes()
			} else if !bytes.Equal(b.Bytes(), first) {
				t.Errorf("level %d: other bytes at GOMAXPROCS %d", level, n)
			}
		}
		if n, err := zstdEnd(first); n != len(first) || err != nil { // the kernel takes no second frame
			t.Errorf("level %d: the frame ends at %d of %d: %v", level, n, len(first), err)
		}
		if !bytes.Equal(unpack(t, Zstd, first), in) {
			t.Errorf("level %d: zstd unpacks something else", level)
		}
	}
}

// An encoder that cannot write says so, and leaves nothing running: the bubble waits for its goroutines, and one that
// would never end is an error of its own.
func TestZstdWriteFails(t *testing.T) {
	in := long()
	synctest.Test(t, func(t *testing.T) {
		for _, room := range []int{0, 100, 100 << 10} {
			img := judge.Value(New(None, file("long", string(in))))(t)
			judge.Must(t, img.Segments[0].Encode(Zstd, 1))
			if _, err := img.WriteTo(&full{room}); !errors.Is(err, errFull) {
				t.Errorf("room for %d bytes: %v", room, err)
			}
		}
	})
}
