package moved

import (
	"cmp"
	"encoding/binary"
	"slices"

	"groundhog/cmd/internal/flash/chunk"
)

// Wanted is a chunk that the disk shall hold and does not.
type Wanted struct {
	N    int64
	Sums []Sum // of its pieces
	Tail bool  // the last piece is shorter than the others: it is always sent
}

// WantedOf is the chunk n of so many bytes, whose pieces have these sums, as [chunk.AppendPieceSums] has them.
func WantedOf(n int64, sums []byte, length int) Wanted {
	w := Wanted{N: n, Sums: make([]Sum, 0, len(sums)/chunk.PieceSumLen), Tail: length%chunk.PieceSize != 0}
	for ; len(sums) > 0; sums = sums[chunk.PieceSumLen:] {
		w.Sums = append(w.Sums, Sum(binary.BigEndian.Uint64(sums)>>(8*(chunk.PieceSumLen-SumLen))))
	}
	return w
}

// ZerosOf is the chunk n of zeros, of so many bytes.
func ZerosOf(n int64, length int) Wanted {
	w := Wanted{N: n, Sums: make([]Sum, chunk.PieceCount(length)), Tail: length%chunk.PieceSize != 0}
	for i := range w.Sums {
		w.Sums[i] = zeroSum
	}
	return w
}

// Step is one chunk of a plan.
type Step struct {
	N      int64
	Recipe Recipe
}

// Plan is how the disk gets its chunks: the steps in the order in which they are to be taken. A step's copies are read when
// its turn has come, before it writes; those of a later step lie where no earlier one writes.
type Plan struct {
	Steps []Step
	Sent  int // pieces that must be sent
	Moved int // pieces that come from elsewhere on the disk
	Kept  int // the most pieces that are in memory at once
}

// New plans. wanted is in ascending order of N, budget is how many pieces the device keeps in memory.
func New(t *Table, wanted []Wanted, budget int) *Plan {
	up := newPlanner(t, wanted, budget).makePlan()
	if up.Kept == 0 {
		return up
	}
	backwards := slices.Clone(wanted)
	slices.Reverse(backwards)
	down := newPlanner(t, backwards, budget).makePlan()
	if down.Sent < up.Sent || down.Sent == up.Sent && down.Kept < up.Kept {
		return down
	}
	return up
}

// planner plans for one order.
type planner struct {
	*Table
	wanted []Wanted
	budget int
	turn   map[int64]int        // when a chunk is overwritten; one that is not in it never is
	keeps  map[int64]*keptPiece // pieces that are kept in memory, by their place
	from   [][]int64            // for each piece of each wanted chunk, the place that it comes from, or one of the constants below
}

// What stands in from for a piece that comes from no place.
const (
	fromHere = -1 - int64(iota)
	fromZero
	fromSent
)

// keptPiece is a piece that is kept in memory from the turn that overwrites it on.
type keptPiece struct {
	place int64
	begin int   // the turn that overwrites it
	uses  []int // the turns that need it, all later, in order
	limit int   // from this turn on memory has no room for it; len(wanted) if it always has
	left  int   // how many uses before limit have not had their turn yet
}

// lastTurn is the latest turn that needs it.
func (k *keptPiece) lastTurn() int { return k.uses[len(k.uses)-1] }

func newPlanner(t *Table, wanted []Wanted, budget int) *planner {
	p := &planner{Table: t, wanted: wanted, budget: budget, turn: make(map[int64]int, len(wanted)), keeps: map[int64]*keptPiece{}}
	for i, w := range wanted {
		p.turn[w.N] = i
	}
	return p
}

func (p *planner) makePlan() *Plan {
	for i := range p.wanted {
		p.from = append(p.from, p.findSources(i))
	}
	out := &Plan{Kept: p.fitBudget()}
	for i, w := range p.wanted {
		s := Step{N: w.N, Recipe: p.makeRecipe(i)}
		out.Steps = append(out.Steps, s)
		out.Sent += s.Recipe.Count(Sent)
		out.Moved += s.Recipe.Count(Copy) + s.Recipe.Count(Kept) + s.Recipe.Count(Last)
	}
	return out
}

// findSources says where the pieces of a chunk come from.
func (p *planner) findSources(i int) []int64 {
	w := p.wanted[i]
	from := make([]int64, len(w.Sums))
	here := w.N * int64(p.perChunk)
	before, behind := int64(fromSent), int64(fromSent)
	if i > 0 && len(p.from[i-1]) > 0 { // the chunk before this one or behind it has had its turn
		switch last := p.from[i-1]; p.wanted[i-1].N {
		case w.N - 1:
			before = last[len(last)-1]
		case w.N + 1:
			behind = last[0]
		}
	}
	for n, s := range w.Sums {
		at, ok := p.sumAt(here + int64(n))
		switch {
		case w.Tail && n == len(w.Sums)-1:
			from[n] = fromSent
		case ok && at == s:
			from[n] = fromHere
		case s == zeroSum:
			from[n] = fromZero
		default:
			from[n] = p.chooseSource(i, s, before)
		}
		before = from[n]
	}
	if p.mask != 0 {
		p.findBefore(i, from, behind)
	}
	return from
}

// findBefore finds pieces that cannot be looked up: each that lies on the disk right before the piece that is wanted behind it. from has the places that are
// known so far, and behind is the place of the piece behind the chunk's last one.
func (p *planner) findBefore(i int, from []int64, behind int64) {
	w := p.wanted[i]
	for n := len(from) - 1; n >= 0; n-- {
		if tail := w.Tail && n == len(from)-1; from[n] == fromSent && !tail && behind > 0 {
			if at, ok := p.sumAt(behind - 1); ok && at == w.Sums[n] {
				from[n] = p.usePlace(i, behind-1)
			}
		}
		behind = from[n]
	}
}

// chooseSource chooses the place to copy a piece from, for the chunk whose turn is i: best the one behind before, the place of the piece before
// it, so that runs are long; else one that is still there at that turn; else one that must be kept in memory.
func (p *planner) chooseSource(i int, s Sum, before int64) int64 {
	best, rank := int64(fromSent), 0
	look := func(place int64) bool {
		turn, overwritten := p.turn[place/int64(p.perChunk)]
		there := !overwritten || turn >= i
		r := 1
		switch {
		case there && before >= 0 && place == before+1:
			r = 4
		case there:
			r = 3
		case p.keeps[place] != nil:
			r = 2
		}
		if r > rank {
			best, rank = place, r
		}
		return rank < 4
	}
	goesOn := false
	if at, ok := p.sumAt(before + 1); before >= 0 && ok && at == s {
		goesOn = !look(before + 1)
	}
	if !goesOn {
		p.eachPlace(s, look)
	}
	if best < 0 {
		return best
	}
	return p.usePlace(i, best)
}

// usePlace is a place that is used by the chunk whose turn is i: if it is overwritten before that, it is kept in memory.
func (p *planner) usePlace(i int, place int64) int64 {
	begin, overwritten := p.turn[place/int64(p.perChunk)]
	if !overwritten || begin >= i {
		return place
	}
	k := p.keeps[place]
	if k == nil {
		k = &keptPiece{place: place, begin: begin, limit: len(p.wanted)}
		p.keeps[place] = k
	}
	k.uses = append(k.uses, i)
	return place
}

// fitBudget keeps no more pieces than memory has room for: it drops those first that are needed latest. It returns the most that are kept
// at once.
func (p *planner) fitBudget() (most int) {
	begins := make([][]*keptPiece, len(p.wanted))
	for _, k := range p.keeps {
		begins[k.begin] = append(begins[k.begin], k)
	}
	ending := make([][]*keptPiece, len(p.wanted)) // what is held, by the last turn that needs it
	held, latest := 0, 0
	for i := range p.wanted {
		if i > 0 {
			held -= len(ending[i-1])
		}
		slices.SortFunc(begins[i], func(a, b *keptPiece) int { return cmp.Compare(a.place, b.place) })
		for _, k := range begins[i] {
			ending[k.lastTurn()] = append(ending[k.lastTurn()], k)
			latest = max(latest, k.lastTurn())
			held++
		}
		for held > p.budget {
			last := len(ending[latest]) - 1
			if last < 0 {
				latest--
				continue
			}
			ending[latest][last].limit = i
			ending[latest] = ending[latest][:last]
			held--
		}
		most = max(most, held)
	}
	for _, k := range p.keeps {
		k.left, _ = slices.BinarySearch(k.uses, k.limit)
	}
	return most
}

// makeRecipe is the recipe of the i-th chunk in the plan's order, with the pieces to be kept that this chunk overwrites.
func (p *planner) makeRecipe(i int) (r Recipe) {
	for _, place := range p.from[i] {
		r.appendRun(p.pieceRun(i, place))
	}
	first := p.wanted[i].N * int64(p.perChunk)
	for place := first; place < first+int64(p.perChunk); place++ {
		if k := p.keeps[place]; k == nil || k.left == 0 {
			continue
		}
		if last := len(r.Keep) - 1; last >= 0 && r.Keep[last].From+int64(r.Keep[last].Count) == place {
			r.Keep[last].Count++
			continue
		}
		r.Keep = append(r.Keep, Span{place, 1})
	}
	return r
}

// pieceRun is one piece of the chunk whose turn is i.
func (p *planner) pieceRun(i int, place int64) Run {
	switch place {
	case fromHere:
		return Run{Kind: Here, Count: 1}
	case fromZero:
		return Run{Kind: Zero, Count: 1}
	case fromSent:
		return Run{Kind: Sent, Count: 1}
	}
	turn, overwritten := p.turn[place/int64(p.perChunk)]
	if !overwritten || turn >= i {
		return Run{Copy, 1, place}
	}
	k := p.keeps[place]
	if i >= k.limit {
		return Run{Kind: Sent, Count: 1}
	}
	if k.left--; k.left == 0 {
		return Run{Last, 1, place}
	}
	return Run{Kept, 1, place}
}

// appendRun appends a run; it makes the last run longer where it continues that.
func (r *Recipe) appendRun(run Run) {
	if n := len(r.Runs) - 1; n >= 0 {
		if last := &r.Runs[n]; last.Kind == run.Kind && (run.Kind < Copy || last.From+int64(last.Count) == run.From) {
			last.Count += run.Count
			return
		}
	}
	r.Runs = append(r.Runs, run)
}
