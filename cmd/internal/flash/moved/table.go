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
var zeroSum = sumAt(AppendSums(nil, make([]byte, chunk.PieceSize)), 0)

// sumAt is the ith of sums as [AppendSums] has them.
func sumAt(b []byte, i int) Sum {
	b = b[i*SumLen:]
	return Sum(binary.BigEndian.Uint32(b))<<16 | Sum(binary.BigEndian.Uint16(b[4:]))
}

// maxPlaces is how many places of the same content are looked at. Where there are more (of filler of some kind) a piece is
// taken from one of these, which is as good.
const maxPlaces = 16

// endOfPlaces ends a list of places.
const endOfPlaces = math.MaxUint32

// maxKnown is how many pieces can be looked up by their sum: those of 16 GiB. Of a larger disk every second piece can be, or every fourth, and so on,
// wherever they lie: those whose sums end in one zero bit, or in two. The pieces before and behind one that was found are compared with
// what is wanted before and behind it.
const maxKnown = 16 << 30 / chunk.PieceSize

// Table is what a disk holds: the place of every piece by its sum. A place is the number of a piece, counted from the
// disk's beginning in units of [chunk.PieceSize]. Zeros are not in it, for nobody needs to look for them. It takes
// 6 bytes a piece, and some 30 more for one that can be looked up: 1 % of a disk of up to 16 GiB.
type Table struct {
	perChunk int // pieces
	most     int // pieces that can be looked up
	held     map[int64][]byte
	first    map[Sum]uint32
	next     map[uint32]uint32 // another place of the same content
	more     map[Sum]uint8     // how many places next has of a sum
	mask     Sum               // bits that are zero in each sum of first
	pieces   int
}

// NewTable is an empty table.
func NewTable() *Table { return newTable(chunk.Size/chunk.PieceSize, maxKnown) }

func newTable(perChunk, most int) *Table {
	return &Table{perChunk: perChunk, most: most, held: map[int64][]byte{}, first: map[Sum]uint32{}, next: map[uint32]uint32{}, more: map[Sum]uint8{}}
}

// Add says what the disk holds at chunk n: the sums of its pieces as [AppendSums] has them, which belong to the table from now on. A last piece that
// is shorter than the others must be left out.
func (t *Table) Add(n int64, sums []byte) {
	if n < 0 || len(sums) > t.perChunk*SumLen || (n+1)*int64(t.perChunk) >= endOfPlaces || t.held[n] != nil {
		return
	}
	t.held[n] = sums
	for i := range len(sums) / SumLen {
		s := sumAt(sums, i)
		if s == zeroSum {
			continue
		}
		t.pieces++
		if s&t.mask == 0 {
			t.indexPlace(s, uint32(n)*uint32(t.perChunk)+uint32(i))
		}
	}
	for len(t.first)+len(t.next) > t.most && t.mask < 1<<(8*SumLen)-1 {
		t.thinIndex()
	}
}

// indexPlace has a place be found by its sum.
func (t *Table) indexPlace(s Sum, place uint32) {
	if other, ok := t.first[s]; ok {
		if t.more[s] == maxPlaces-1 { // as filler has, which would take all the room
			return
		}
		t.more[s]++
		t.next[place] = other
	}
	t.first[s] = place
}

// thinIndex leaves about half of what can be looked up.
func (t *Table) thinIndex() {
	t.mask = t.mask<<1 | 1
	for s, place := range t.first {
		if s&t.mask == 0 {
			continue
		}
		delete(t.first, s)
		delete(t.more, s)
		for other, ok := t.next[place]; ok; other, ok = t.next[place] {
			delete(t.next, place)
			place = other
		}
	}
}

// Forget says that chunk n does not hold any more what was added.
func (t *Table) Forget(n int64) { delete(t.held, n) }

// Every is of how many pieces one can be looked up.
func (t *Table) Every() int64 { return int64(t.mask) + 1 }

// Pieces is how many pieces were added, zeros not counted.
func (t *Table) Pieces() int { return t.pieces }

// Find counts some pieces, zeros not counted, and adds to found in which chunk of the disk each is first, if it is in one.
func (t *Table) Find(sums []byte, found map[int64]int) (all int) {
	for i := range len(sums) / SumLen {
		s := sumAt(sums, i)
		if s == zeroSum {
			continue
		}
		all++
		first := int64(endOfPlaces)
		t.eachPlace(s, func(place int64) bool { first = min(first, place); return true })
		if first != endOfPlaces {
			found[first/int64(t.perChunk)]++
		}
	}
	return all
}

// eachPlace calls each for the places of a piece that can be looked up, until it returns false.
func (t *Table) eachPlace(s Sum, each func(place int64) bool) {
	at, ok := t.first[s]
	for n := 0; ok && n < maxPlaces; n++ {
		if held, ok := t.sumAt(int64(at)); ok && held == s && !each(int64(at)) {
			return
		}
		at, ok = t.next[at]
	}
}

// sumAt is the sum of what the disk holds at a place.
func (t *Table) sumAt(place int64) (Sum, bool) {
	if place < 0 {
		return 0, false
	}
	sums := t.held[place/int64(t.perChunk)]
	i := int(place % int64(t.perChunk))
	if i >= len(sums)/SumLen {
		return 0, false
	}
	return sumAt(sums, i), true
}
