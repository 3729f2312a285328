package moved

import (
	"bytes"
	"errors"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/fixtures/judge"
)

// Bytes in, bytes out: a disk of real chunks whose content moved becomes the image by recipes that went over the line.
func TestMemoryMakesTheImage(t *testing.T) {
	disk := judge.Noise(1, 6*chunk.Size)
	image := append(judge.Noise(2, 3*chunk.PieceSize), disk[:4*chunk.Size]...) // moved towards the end
	image = append(image, make([]byte, 5*chunk.PieceSize)...)
	image = append(image, disk[5*chunk.Size:6*chunk.Size-9*chunk.PieceSize+100]...) // and towards the beginning; a tail
	table := NewTable()
	for n := int64(0); n < 6; n++ {
		table.Add(n, AppendSums(nil, disk[n*chunk.Size:(n+1)*chunk.Size]))
	}
	part := func(n int64) []byte { return image[n*chunk.Size : min(int64(len(image)), (n+1)*chunk.Size)] }
	var wanted []Wanted
	for n := int64(0); n*chunk.Size < int64(len(image)); n++ {
		wanted = append(wanted, WantedOf(n, chunk.AppendPieceSums(nil, part(n)), len(part(n))))
	}
	p := New(table, wanted, 64)
	if p.Sent > 4 {
		t.Errorf("%d pieces are to be sent, 4 are new", p.Sent)
	}
	m := &Memory{Most: 64}
	read := func(b []byte, off int64) error { copy(b, disk[off:]); return nil }
	for _, s := range p.Steps {
		want := part(s.N)
		r, sent, err := ReadRecipe(append(s.Recipe.Append(nil), s.Recipe.Cut(want)...), s.N, chunk.PieceCount(len(want)))
		if err != nil {
			t.Fatal(err)
		}
		out := make([]byte, len(want))
		judge.Value(m.Take(s.N, r, out, sent, read))(t)
		if !bytes.Equal(out, want) {
			t.Fatalf("chunk %d is another", s.N)
		}
		copy(disk[s.N*chunk.Size:], out)
	}
	if m.peak != p.Kept || len(m.kept) != 0 {
		t.Errorf("%d pieces were kept, the plan says %d; %d are left", m.peak, p.Kept, len(m.kept))
	}
}

// What comes over the line may be anything: it is refused, and keeps no more than the budget.
func FuzzRecipe(f *testing.F) {
	f.Add(Recipe{Runs: []Run{{Here, 200, 0}, {Copy, 40, 77}, {Kept, 10, 256}, {Last, 6, 1000}}, Keep: []Span{{256, 3}}}.Append(nil), int64(1))
	f.Add(Recipe{Runs: []Run{{Sent, 256, 0}}}.Append(nil), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, n int64) {
		if n < 0 || n > 1<<40 {
			return
		}
		const pieces = chunk.Size / chunk.PieceSize
		r, rest, err := ReadRecipe(b, n, pieces)
		if err != nil {
			if !errors.Is(err, ErrRecipe) {
				t.Fatal(err)
			}
			return
		}
		again, left, err := ReadRecipe(append(r.Append(nil), rest...), n, pieces)
		if err != nil || !bytes.Equal(left, rest) || len(again.Runs) != len(r.Runs) {
			t.Fatalf("%+v is read back as %+v, %v", r, again, err)
		}
		m := &Memory{Most: 8}
		_, _ = m.Take(n, r, make([]byte, chunk.Size), rest, func(p []byte, off int64) error {
			if off < 0 {
				t.Fatalf("a read at %d", off)
			}
			return nil
		})
		if m.peak > m.Most {
			t.Fatalf("%d pieces kept", m.peak)
		}
	})
}
