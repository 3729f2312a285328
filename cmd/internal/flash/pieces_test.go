package flash

import (
	"bytes"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/fixtures/judge"
)

// Of a chunk that differs in a byte a piece is sent, and written; the disk is the image all the same.
func TestPieces(t *testing.T) {
	img := image(1, 40)
	for name, s := range map[string]*source{"index": {b: img, index: true}, "file": {b: img}, "stream": {b: img, once: true}} {
		before := bytes.Clone(img)
		before[7*chunk.Size+5] ^= 1
		before[9*chunk.Size-1] ^= 1
		for n := range 30 { // more runs than a disk is asked to write one by one
			before[20*chunk.Size+n*3*chunk.PieceSize] ^= 1
		}
		before[len(img)-1] ^= 1
		b := newBench(t, before)
		r, err := b.flash(s)
		if err != nil || r.Written != 4 {
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
		if most := int64(34*chunk.PieceSize + 41*45 + 1000); r.Sent > most {
			t.Errorf("%s: %d bytes sent, %d would do", name, r.Sent, most)
		}
		if most := int64(chunk.Size + 3*chunk.PieceSize); b.disk.writes > most {
			t.Errorf("%s: %d bytes written, %d would do", name, b.disk.writes, most)
		}
	}
}

// What the disk is said to hold is not what it holds when the pieces come: the chunk is sent once more, whole. That is also what
// happens where two pieces have one sum.
func TestPiecesOfAnother(t *testing.T) {
	img := image(2, 30)
	for _, index := range []bool{true, false} {
		before := bytes.Clone(img)
		before[7*chunk.Size+5] ^= 1
		b := newBench(t, before)
		b.disk.flicker = 7*chunk.Size + 300_000
		r, err := b.flash(&source{b: img, index: index})
		if err != nil || r.Written != 1 || r.Retried != 0 {
			t.Errorf("index %v: %+v, %v", index, r, err)
		}
		if r.Sent < chunk.Size {
			t.Errorf("index %v: %d bytes sent: not the whole chunk", index, r.Sent)
		}
	}
}

// A disk on which every chunk differs a little is not taken for another one altogether for long.
func TestPiecesEverywhere(t *testing.T) {
	img := judge.Noise(3, 200*chunk.Size)
	before := bytes.Clone(img)
	for n := range 200 {
		before[n*chunk.Size+n*5000] ^= 1
	}
	b := newBench(t, before)
	r, err := b.flash(&source{b: img, index: true})
	if err != nil || r.Written != 200 || r.Sent > 20*chunk.Size {
		t.Errorf("%+v, %v", r, err)
	}
}
