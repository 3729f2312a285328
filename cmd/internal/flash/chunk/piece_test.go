package chunk

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// What is cut out of a chunk and pasted over another one makes it equal, for lengths around a piece's and changes anywhere; and no
// byte more is cut than the pieces that differ have.
func TestPieces(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, PieceSize - 1, PieceSize, PieceSize + 1, 9*PieceSize + 512, Size - 1, Size} {
		for _, changes := range []int{0, 1, 2, 30} {
			was := make([]byte, n)
			rand.NewChaCha8([32]byte{byte(n)}).Read(was)
			is := bytes.Clone(was)
			differ := map[int]bool{}
			for range changes {
				at := rng.IntN(n)
				is[at] ^= byte(1 + rng.IntN(255))
			}
			for at := range n {
				if is[at] != was[at] {
					differ[at/PieceSize] = true
				}
			}
			sums := AppendPieceSums(nil, was)
			if len(sums) != PieceCount(n)*PieceSumLen {
				t.Fatalf("%d bytes: %d bytes of sums", n, len(sums))
			}
			p := Differing(AppendPieceSums(nil, is), sums)
			var got []int
			for from, to := range p.Runs(n) {
				for at := from; at < to; at += PieceSize {
					got = append(got, at/PieceSize)
				}
			}
			if len(got) != len(differ) || !slices.IsSorted(got) || slices.ContainsFunc(got, func(n int) bool { return !differ[n] }) {
				t.Errorf("%d bytes, %d changes: pieces %v, want %v", n, changes, got, differ)
			}
			if err := p.Paste(was, p.Cut(nil, is)); err != nil || !bytes.Equal(was, is) {
				t.Errorf("%d bytes, %d changes: not made equal (%v)", n, changes, err)
			}
		}
	}
}

// Bytes that are not those of the pieces are refused, also where pieces are named that the chunk does not have.
func TestPaste(t *testing.T) {
	p := &Pieces{0x81, 1}
	chunk := make([]byte, 9*PieceSize)
	for _, n := range []int{0, PieceSize, 3*PieceSize - 1, 3*PieceSize + 1} {
		if err := p.Paste(chunk, make([]byte, n)); !errors.Is(err, ErrPieces) {
			t.Errorf("%d bytes for three pieces: %v", n, err)
		}
	}
	if err := p.Paste(chunk, make([]byte, 3*PieceSize)); err != nil {
		t.Error(err)
	}
	if err := p.Paste(chunk[:PieceSize/2], make([]byte, PieceSize/2)); err != nil {
		t.Error("of a short chunk:", err)
	}
	if err := p.Paste(chunk[:PieceSize/2], make([]byte, 3*PieceSize)); !errors.Is(err, ErrPieces) {
		t.Error("beyond a short chunk:", err)
	}
}

func BenchmarkPieceSums(b *testing.B) {
	data := bytes.Repeat([]byte("groundhog\n"), Size/10+1)[:Size]
	b.SetBytes(Size)
	var sums []byte
	for b.Loop() {
		sums = AppendPieceSums(sums[:0], data)
	}
}
