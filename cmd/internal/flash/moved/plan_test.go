package moved

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"groundhog/fixtures/judge"
)

// world is a disk and an image in symbols: each piece is its own sum, and a chunk has four of them.
type world struct {
	disk, image []Sum
	budget      int
	most        int        // pieces that can be looked up; 0: all
	late        *rand.Rand // when what was taken gets to the disk
}

const small = 4 // pieces a chunk

func chunkOf(pieces []Sum, n int64) []Sum {
	return pieces[n*small : min(int64(len(pieces)), (n+1)*small)]
}

// lineOf is sums as they are on the line.
func lineOf(sums []Sum) (b []byte) {
	for _, s := range sums {
		b = binary.BigEndian.AppendUint64(b, uint64(s)<<(64-8*SumLen))
		b = b[:len(b)-(8-SumLen)]
	}
	return b
}

// plan compares the two, as a scan and the answers to the announced chunks do.
func (w *world) plan() *Plan {
	t := newTable(small, w.most)
	if w.most == 0 {
		t.most = len(w.disk)
	}
	for n := int64(0); n*small < int64(len(w.disk)); n++ {
		t.Add(n, lineOf(chunkOf(w.disk, n)))
	}
	var wanted []Wanted
	for n := int64(0); n*small < int64(len(w.image)); n++ {
		if c := chunkOf(w.image, n); !slices.Equal(c, chunkOf(w.disk, n)[:len(c)]) {
			wanted = append(wanted, Wanted{N: n, Sums: c})
		}
	}
	return New(t, wanted, w.budget)
}

// run takes the first so many steps of a plan; what they write arrives late, and what has not arrived by then is lost.
// It returns how many pieces were sent.
func (w *world) run(p *Plan, steps int) (sent int, err error) {
	kept := map[int64]Sum{}
	type write struct {
		n    int64
		data []Sum
	}
	var pending []write
	arrive := func() {
		copy(chunkOf(w.disk, pending[0].n), pending[0].data)
		pending = pending[1:]
	}
	for _, s := range p.Steps[:steps] {
		want := chunkOf(w.image, s.N)
		b := s.Recipe.Append(nil)
		r, rest, err := readRecipe(b, s.N, len(want), small)
		if err != nil || len(rest) > 0 {
			return sent, fmt.Errorf("recipe of chunk %d: %v, %d bytes behind it", s.N, err, len(rest))
		}
		for _, k := range r.Keep {
			for i := range int64(k.Count) {
				kept[k.From+i] = w.disk[k.From+i]
			}
		}
		if len(kept) > w.budget {
			return sent, fmt.Errorf("%d pieces kept, the budget is %d", len(kept), w.budget)
		}
		var got []Sum
		for _, run := range r.Runs {
			for i := range int64(run.Count) {
				switch at := s.N*small + int64(len(got)); run.Kind {
				case Here:
					got = append(got, w.disk[at])
				case Zero:
					got = append(got, zeroSum)
				case Sent:
					got = append(got, w.image[at])
					sent++
				case Copy:
					got = append(got, w.disk[run.From+i])
				case Kept, Last:
					got = append(got, kept[run.From+i]) // 0, no sum, where it is not
					if run.Kind == Last {
						delete(kept, run.From+i)
					}
				}
			}
		}
		if !slices.Equal(got, want) {
			return sent, fmt.Errorf("chunk %d becomes %v, not %v", s.N, got, want)
		}
		for pending = append(pending, write{s.N, got}); len(pending) > 0 && w.late.IntN(3) == 0; {
			arrive()
		}
	}
	if steps == len(p.Steps) {
		if len(kept) > 0 {
			return sent, fmt.Errorf("%d pieces are still kept at the end", len(kept))
		}
		for len(pending) > 0 {
			arrive()
		}
	}
	return sent, nil
}

// check flashes the world, cut after some steps and begun again, and holds every chunk against the image.
func (w *world) check(cut int) error {
	p := w.plan()
	if cut < len(p.Steps) {
		if _, err := w.run(p, cut); err != nil {
			return fmt.Errorf("cut after %d: %w", cut, err)
		}
		p = w.plan()
	}
	sent, err := w.run(p, len(p.Steps))
	switch {
	case err != nil:
		return err
	case sent != p.Sent:
		return fmt.Errorf("%d pieces sent, the plan says %d", sent, p.Sent)
	case p.Kept > w.budget:
		return fmt.Errorf("the plan keeps %d pieces of %d", p.Kept, w.budget)
	case !slices.Equal(w.disk[:len(w.image)], w.image):
		return fmt.Errorf("the disk is %v, the image %v", w.disk, w.image)
	}
	return nil
}

// symbols makes pieces of bytes; 0 is zeros.
func symbols(b []byte) []Sum {
	var all []Sum
	for _, c := range b {
		s := Sum(c)
		if c == 0 {
			s = zeroSum
		}
		all = append(all, s)
	}
	return all
}

// Whatever the disk holds, whatever order it is overwritten in, wherever it is cut: the image comes out, within the budget.
func FuzzPlan(f *testing.F) {
	f.Add([]byte("abcdefghijklmnop"), []byte("bcdefghijklmnopa"), 3, 2, uint64(1))
	f.Add([]byte("abcdefghijklmnop"), []byte("pabcdefghijklmno"), 0, 9, uint64(2))
	f.Add([]byte("aaaabbbb\x00\x00\x00\x00cccc"), []byte("bbbbaaaaccccaaaabbbb"), 1, 1, uint64(3))
	f.Add([]byte("abcdabcdefghefgh"), []byte("efghefghabcdabcdabc"), 100, 0, uint64(4))
	f.Fuzz(func(t *testing.T, disk, image []byte, budget, cut int, seed uint64) {
		if len(disk) > 200 || len(image) == 0 || len(image) > 200 || budget < 0 || cut < 0 {
			return
		}
		w := &world{disk: symbols(disk), image: symbols(image), budget: budget, most: int(seed % 32), late: rand.New(rand.NewPCG(seed, 0))}
		for len(w.disk) < len(w.image) || len(w.disk)%small != 0 {
			w.disk = append(w.disk, zeroSum)
		}
		judge.Must(t, w.check(cut))
	})
}

// Permutations, shifts by any distance in either direction, and rotations, with budgets from nothing to plenty.
func TestPlanShifts(t *testing.T) {
	const length = 64
	old := make([]byte, length)
	for i := range old {
		old[i] = byte(i + 1)
	}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		image := slices.Clone(old)
		switch at := r.IntN(length); seed % 4 {
		case 0:
			r.Shuffle(length, func(i, j int) { image[i], image[j] = image[j], image[i] })
		case 1:
			image = slices.Insert(image, at, make([]byte, r.IntN(9))...)
		case 2:
			image = slices.Delete(image, at, min(length, at+r.IntN(9)))
		case 3:
			image = append(image[at:], image[:at]...)
		}
		w := &world{disk: symbols(old), image: symbols(image[:min(len(image), length)]), budget: r.IntN(20), most: int(seed % 5 * 13), late: r}
		if len(w.image) == 0 {
			continue
		}
		if err := w.check(r.IntN(20)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// What moved by some pieces as a whole is found in either direction, needs next to no memory, and no more than what is new is sent.
func TestPlanMovesAllOfADisk(t *testing.T) {
	const length, by = 4000, 7
	old := make([]Sum, length)
	for i := range old {
		old[i] = Sum(i + 1)
	}
	fresh := []Sum{9001, 9002, 9003, 9004, 9005, 9006, 9007}
	for name, image := range map[string][]Sum{
		"towards the end":       append(slices.Clone(fresh), old[:length-by]...),
		"towards the beginning": append(slices.Clone(old[by:]), fresh...),
	} {
		w := &world{disk: slices.Clone(old), image: image, budget: 2 * by, late: rand.New(rand.NewPCG(1, 1))}
		p := w.plan()
		if p.Sent != by || p.Kept > by {
			t.Errorf("%s: %d pieces sent, %d kept; %d are new", name, p.Sent, p.Kept, by)
		}
		if err := w.check(length); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Of a disk with more pieces than can be looked up some can be, wherever they lie, and by these the others are found: what moved in runs is found,
// across chunks and in either direction, and what is everywhere, as filler is, does not take the others' room.
func TestPlanOfALargeDisk(t *testing.T) {
	const length, by, filler = 4000, 7, 400
	r := rand.New(rand.NewPCG(8, 8))
	old := make([]Sum, length)
	for i := range old {
		old[i] = Sum(r.Uint64()>>(64-8*SumLen) | 1<<40)
	}
	for i := range filler {
		old[1000+i] = 1 << 41 // of the sums that are looked up to the end
	}
	fresh := []Sum{9001, 9002, 9003, 9004, 9005, 9006, 9007}
	for name, image := range map[string][]Sum{
		"towards the end":       append(slices.Clone(fresh), old[:length-by]...),
		"towards the beginning": append(slices.Clone(old[by:]), fresh...),
	} {
		for _, most := range []int{length, length / 2, length / 8, length / 16} {
			w := &world{disk: slices.Clone(old), image: image, budget: 2 * by, most: most, late: rand.New(rand.NewPCG(1, 1))}
			if p := w.plan(); p.Sent > by+10 || most == length && p.Sent != by {
				t.Errorf("%s, %d can be looked up: %d pieces sent, %d are new", name, most, p.Sent, by)
			}
			if err := w.check(length); err != nil {
				t.Errorf("%s, %d can be looked up: %v", name, most, err)
			}
		}
	}
}

// What a chunk does not hold any more is found there no longer, and elsewhere if it was there, too.
func TestTableForgets(t *testing.T) {
	table := newTable(small, 100)
	table.Add(0, lineOf([]Sum{1, 2, 3, 4}))
	table.Add(1, lineOf([]Sum{3, 5, 6, 7}))
	table.Forget(1)
	p := New(table, []Wanted{{N: 2, Sums: []Sum{3, 5, 1, 2}}}, 10)
	if want := []Run{{Copy, 1, 2}, {Sent, 1, 0}, {Copy, 2, 0}}; !slices.Equal(p.Steps[0].Recipe.Runs, want) {
		t.Errorf("%v, want %v", p.Steps[0].Recipe.Runs, want)
	}
}

// With half of the content moved one way and half the other no order serves both, so one of them is kept, as far as there is room.
func TestPlanBudget(t *testing.T) {
	var disk, image []Sum
	for i := range 400 {
		disk = append(disk, Sum(i+1))
	}
	image = append(append([]Sum{9001}, disk[:199]...), append(slices.Clone(disk[201:]), 9002)...)
	for _, budget := range []int{0, 1, 2, 100} {
		w := &world{disk: slices.Clone(disk), image: image, budget: budget, late: rand.New(rand.NewPCG(2, 2))}
		p := w.plan()
		if p.Kept > budget || budget >= 2 && p.Sent != 2 || budget == 0 && p.Sent <= 2 {
			t.Errorf("budget %d: %d kept, %d sent", budget, p.Kept, p.Sent)
		}
		if err := w.check(1000); err != nil {
			t.Errorf("budget %d: %v", budget, err)
		}
	}
}

// BenchmarkPlan is 1.2 GiB that moved by one piece, and as much in another order altogether.
func BenchmarkPlan(b *testing.B) {
	const length = 300 << 10
	r := rand.New(rand.NewPCG(3, 3))
	old := make([]Sum, length)
	for i := range old {
		old[i] = Sum(r.Uint64() >> (64 - 8*SumLen))
	}
	shuffled := slices.Clone(old)
	r.Shuffle(length, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for name, image := range map[string][]Sum{"moved": append([]Sum{1}, old[:length-1]...), "shuffled": shuffled} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				t := NewTable()
				var wanted []Wanted
				for n := range int64(length / t.perChunk) {
					at := n * int64(t.perChunk)
					t.Add(n, lineOf(old[at:at+int64(t.perChunk)]))
					wanted = append(wanted, Wanted{N: n, Sums: image[at : at+int64(t.perChunk)]})
				}
				p := New(t, wanted, 16<<10)
				b.ReportMetric(float64(p.Sent), "sent")
				b.ReportMetric(float64(p.Kept), "kept")
			}
		})
	}
}
