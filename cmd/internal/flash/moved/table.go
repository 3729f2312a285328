package moved

import (
	"encoding/binary"
	"math"

	"groundhog/cmd/internal/flash/chunk"
)

// SumLen is the length of a piece's sum on the line, in bytes, the first ones of [chunk.PieceSum]: of 300,000 pieces (1.2 GB) held
// against as many, one in 3,000 disks has two of one sum that are not the same, and that chunk is sent whole.
const SumLen = 6

// Sum is the short sum of a piece.
type Sum uint64

// AppendSums appends the sums of b's pieces as they are on the line.
func AppendSums(out, b []byte) []byte {
	for len(b) > 0 {
		n := min(len(b), chunk.PieceSize)
		out = binary.BigEndian.AppendUint64(out, chunk.PieceSum(b[:n]))
		out = out[:len(out)-(chunk.PieceSumLen-SumLen)]
		b = b[n:]
	}
	return out
}

// zeroSum is the sum of a whole piece of zeros.
var zeroSum = sumsOf(AppendSums(nil, make([]byte, chunk.PieceSize)))[0]

// sumsOf reads sums as [AppendSums] has them.
func sumsOf(b []byte) []Sum {
	all := make([]Sum, 0, len(b)/SumLen)
	for ; len(b) >= SumLen; b = b[SumLen:] {
		all = append(all, Sum(binary.BigEndian.Uint32(b))<<16|Sum(binary.BigEndian.Uint16(b[4:])))
	}
	return all
}

// maxPlaces is how many places of the same content are looked at. A piece of which there are more (filler of some kind) is
// found at one of these, which is as good.
const maxPlaces = 16

// nowhere ends a list of places.
const nowhere = math.MaxUint32

// Table is what a disk holds: the place of every piece by its sum. A place is the number of a piece, counted from the
// disk's beginning in units of [chunk.PieceSize]. Zeros are not in it, for nobody needs to look for them. It takes
// some 40 bytes a piece, 1 % of the disk.
type Table struct {
	perChunk int // pieces
	held     map[int64][]Sum
	first    map[Sum]uint32
	next     map[uint32]uint32 // another place of the same content
}

// NewTable is an empty table.
func NewTable() *Table { return newTable(chunk.Size / chunk.PieceSize) }

func newTable(perChunk int) *Table {
	return &Table{perChunk: perChunk, held: map[int64][]Sum{}, first: map[Sum]uint32{}, next: map[uint32]uint32{}}
}

// Add says what the disk holds at chunk n: the sums of its pieces as [AppendSums] has them. A last piece that
// is shorter than the others must be left out.
func (t *Table) Add(n int64, sums []byte) { t.add(n, sumsOf(sums)) }

func (t *Table) add(n int64, sums []Sum) {
	if n < 0 || len(sums) > t.perChunk || (n+1)*int64(t.perChunk) >= nowhere || t.held[n] != nil {
		return
	}
	t.held[n] = sums
	for i, s := range sums {
		if s == zeroSum {
			continue
		}
		place := uint32(n)*uint32(t.perChunk) + uint32(i)
		if other, ok := t.first[s]; ok {
			t.next[place] = other
		}
		t.first[s] = place
	}
}

// Has reports whether the disk holds a piece, other than zeros, somewhere.
func (t *Table) Has(s Sum) bool {
	_, ok := t.first[s]
	return ok
}

// Len is how many different pieces the table knows, zeros not counted.
func (t *Table) Len() int { return len(t.first) }

// Known counts those of a chunk's pieces, zeros not counted, that the disk holds somewhere, and all that are not zeros.
func (t *Table) Known(sums []byte) (known, all int) {
	for _, s := range sumsOf(sums) {
		if s == zeroSum {
			continue
		}
		all++
		if t.Has(s) {
			known++
		}
	}
	return known, all
}

// places calls each for the places of a piece until it returns false.
func (t *Table) places(s Sum, each func(place int64) bool) {
	at, ok := t.first[s]
	for n := 0; ok && n < maxPlaces; n++ {
		if !each(int64(at)) {
			return
		}
		at, ok = t.next[at]
	}
}

// at is the sum of what the disk holds at a place.
func (t *Table) at(place int64) (Sum, bool) {
	sums := t.held[place/int64(t.perChunk)]
	i := int(place % int64(t.perChunk))
	if i >= len(sums) {
		return 0, false
	}
	return sums[i], true
}
