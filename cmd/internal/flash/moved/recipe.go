package moved

import (
	"encoding/binary"
	"errors"
	"fmt"

	"groundhog/cmd/internal/flash/chunk"
)

// Kind is where a run of pieces comes from.
type Kind byte

const (
	Here Kind = iota + 1 // the disk holds them where they belong
	Zero                 // zeros
	Sent                 // they come with the recipe, in order
	Copy                 // the disk holds them elsewhere
	Kept                 // they are in memory, and are needed again
	Last                 // they are in memory, and are not needed again
)

// Run is pieces of a chunk that come from one source.
type Run struct {
	Kind  Kind
	Count int   // pieces
	From  int64 // Copy, Kept, Last: the place of the first on the old disk
}

// Span is Count places of the old disk from From on.
type Span struct {
	From  int64
	Count int
}

// Recipe is what a chunk is made of, in order, and what of its old content is kept in memory before it is overwritten.
type Recipe struct {
	Runs []Run
	Keep []Span
}

// ErrRecipe is returned for bytes that are no recipe.
var ErrRecipe = errors.New("not a recipe")

// Append appends the recipe in binary. The number of runs comes first, then for each its kind, its count and, where it has one, its place;
// then the number of spans to keep, and for each its place and its count. Numbers are unsigned varints (encoding/binary).
func (r Recipe) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.Runs)))
	for _, run := range r.Runs {
		b = binary.AppendUvarint(append(b, byte(run.Kind)), uint64(run.Count))
		if run.Kind >= Copy {
			b = binary.AppendUvarint(b, uint64(run.From))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(r.Keep)))
	for _, s := range r.Keep {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(s.From)), uint64(s.Count))
	}
	return b
}

// maxPlace bounds a place: the bytes before it fit an int64.
const maxPlace = 1 << 50

// varintReader reads unsigned varints, and remembers that one was not there or too large.
type varintReader struct {
	b   []byte
	bad bool
}

func (n *varintReader) nextVarint(most uint64) int64 {
	v, size := binary.Uvarint(n.b)
	if size <= 0 || v > most {
		n.bad, n.b = true, nil
		return 0
	}
	n.b = n.b[size:]
	return int64(v)
}

// ReadRecipe reads a recipe for a chunk of so many pieces, and returns what follows it. A recipe that it returns covers the
// chunk exactly, and keeps nothing but pieces of chunk n.
func ReadRecipe(b []byte, n int64, pieces int) (r Recipe, rest []byte, err error) {
	return readRecipe(b, n, pieces, chunk.Size/chunk.PieceSize)
}

func readRecipe(b []byte, n int64, pieces, perChunk int) (r Recipe, rest []byte, err error) {
	in := &varintReader{b: b}
	covered := 0
	for range in.nextVarint(uint64(pieces)) {
		run := Run{Kind: Kind(in.nextVarint(uint64(Last))), Count: int(in.nextVarint(uint64(pieces)))}
		if run.Kind >= Copy {
			run.From = in.nextVarint(maxPlace)
		}
		if in.bad || run.Kind < Here || run.Count < 1 {
			return Recipe{}, nil, fmt.Errorf("%w: run %d", ErrRecipe, len(r.Runs))
		}
		covered += run.Count
		r.Runs = append(r.Runs, run)
	}
	from := n * int64(perChunk)
	for range in.nextVarint(uint64(perChunk)) {
		s := Span{in.nextVarint(maxPlace), int(in.nextVarint(uint64(perChunk)))}
		if in.bad || s.Count < 1 || s.From < from || s.From+int64(s.Count) > from+int64(perChunk) {
			return Recipe{}, nil, fmt.Errorf("%w: what is kept of chunk %d", ErrRecipe, n)
		}
		r.Keep = append(r.Keep, s)
	}
	if in.bad || covered != pieces {
		return Recipe{}, nil, fmt.Errorf("%w: %d pieces for a chunk of %d", ErrRecipe, covered, pieces)
	}
	return r, in.b, nil
}

// Count is how many pieces are of a kind.
func (r Recipe) Count(k Kind) (n int) {
	for _, run := range r.Runs {
		if run.Kind == k {
			n += run.Count
		}
	}
	return n
}

// Sends is how many bytes the recipe wants sent for a chunk of so many.
func (r Recipe) Sends(length int) (n int) {
	piece := 0
	for _, run := range r.Runs {
		if run.Kind == Sent {
			n += min((piece+run.Count)*chunk.PieceSize, length) - piece*chunk.PieceSize
		}
		piece += run.Count
	}
	return n
}

// Cut is the bytes of chunk b that the recipe wants sent, in order.
func (r Recipe) Cut(b []byte) (out []byte) {
	piece := 0
	for _, run := range r.Runs {
		if run.Kind == Sent {
			out = append(out, b[piece*chunk.PieceSize:min((piece+run.Count)*chunk.PieceSize, len(b))]...)
		}
		piece += run.Count
	}
	return out
}
