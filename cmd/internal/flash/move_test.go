package flash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/fixtures/judge"
)

// file is an image of which any chunk can be read.
type file struct{ *source }

func (f file) Known(context.Context) ([]chunk.Chunk, error) {
	f.index = f.end == nil // from now on it is known
	return f.Index(), f.end
}

func (file) KeepsAll() bool { return true }
func (file) KeepAll() error { return nil }

func (f file) Peek(n int64, most int) ([]byte, bool) {
	b, err := f.Read(context.Background(), n)
	return b[:min(most, len(b))], err == nil
}

func (f file) Read(_ context.Context, n int64) ([]byte, error) {
	if n*chunk.Size >= int64(len(f.b)) {
		return nil, io.EOF
	}
	b := slices.Clone(f.b[n*chunk.Size : min(int64(len(f.b)), (n+1)*chunk.Size)])
	if chunk.IsZero(b) {
		return nil, nil
	}
	return b, nil
}

// move flashes an image that can be read anywhere.
func (b *bench) move(s *source, change ...func(*Job)) (Result, error) {
	return b.flash(s, append(change, func(j *Job) { j.Source = file{s} })...)
}

// builds is a disk image of noise and zeros; next is one in which everything lies elsewhere, in both directions, with some new pieces.
func builds(seed uint64) (old, next []byte) {
	const piece = chunk.PieceSize
	old = judge.Noise(seed, 20*chunk.Size)
	clear(old[6*chunk.Size : 9*chunk.Size])
	clear(old[11*chunk.Size+3*piece : 11*chunk.Size+90*piece])
	fresh := judge.Noise(seed+1, 9*piece)
	next = slices.Concat(old[:chunk.Size], fresh[:5*piece], old[chunk.Size:7*chunk.Size], old[9*chunk.Size:15*chunk.Size], fresh[5*piece:], old[15*chunk.Size:18*chunk.Size],
		make([]byte, 4*chunk.Size), old[7*chunk.Size:8*chunk.Size], []byte("a tail"))
	return old, next
}

// A next build over the one before: nothing is sent but what is new, whether the image's index is known or not.
func TestMoveSendsWhatIsNew(t *testing.T) {
	for _, indexed := range []bool{false, true} {
		old, next := builds(7)
		b := newBench(t, append(slices.Clone(old), make([]byte, 4*chunk.Size)...))
		r, err := b.move(&source{b: next, index: indexed})
		if err != nil || r.State != Verified {
			t.Fatalf("index %v: %v, %v", indexed, r.State, err)
		}
		if most := int64(60 << 10); r.Sent > most { // sums, recipes, 9 pieces and the tail
			t.Errorf("index %v: %d bytes sent, want %d at most", indexed, r.Sent, most)
		}
		if r.Moved < 8*chunk.Size || r.LookedThrough() != "" {
			t.Errorf("index %v: %d bytes moved%s", indexed, r.Moved, r.LookedThrough())
		}
	}
}

// lateFile is an image of which all chunks are known before it is known whether it is as it should be.
type lateFile struct{ file }

func (l lateFile) Known(context.Context) ([]chunk.Chunk, error) { return l.chunks(), nil }

// What moved is moved before it is known whether the image is as it should be; nothing is called verified before.
func TestMoveOfWrongImage(t *testing.T) {
	for _, wrong := range []error{nil, errors.New("another checksum")} {
		old, next := builds(7)
		b := newBench(t, append(slices.Clone(old), make([]byte, 4*chunk.Size)...))
		s := &source{b: next, end: wrong}
		r, err := b.flash(s, func(j *Job) { j.Source = lateFile{file{s}} })
		want := Verified
		if wrong != nil {
			want = Waiting
		}
		if r.State != want || (err == nil) != (wrong == nil) || wrong != nil && !errors.Is(err, ErrImage) || wrong == nil && r.Moved == 0 {
			t.Errorf("%v: %v, %d bytes moved, %v", wrong, r.State, r.Moved, err)
		}
	}
}

// The build before is found wherever on the disk it is: behind where the new image ends, where it was larger or had another partition before it, and
// where it is far from the place that the new one has for it.
func TestMoveFromFar(t *testing.T) {
	const mib = chunk.Size
	for what, c := range map[string]struct{ disk, before, behind int }{ // MiB: the disk, zeros before the build on it, and before the new one
		"behind the image":  {120, 50, 1},
		"half behind it":    {120, 20, 1},
		"in the other slot": {120, 1, 50},
		"another partition": {120, 1, 75},
	} {
		build := judge.Noise(8, 40*mib)
		disk, img := make([]byte, c.disk*mib), make([]byte, (c.behind+40)*mib)
		copy(disk[c.before*mib:], build)
		copy(img[c.behind*mib:], build[5*4096:]) // not whole chunks further
		b := newBench(t, disk)
		r, err := b.move(&source{b: img, index: true})
		if err != nil || r.State != Verified || r.Sent > 3*mib || r.LookedThrough() != "" {
			t.Errorf("%s: %v, %v, %d bytes sent%s", what, r.State, err, r.Sent, r.LookedThrough())
		}
	}
}

// What is behind the image's end is read where enough of the image is there: a file or two that came there by themselves are not worth it.
func TestWorthUpTo(t *testing.T) {
	const gib = 1 << 30 / chunk.Size
	far := farChunks(2*gib, 8*gib)
	found := func(pieces ...int) map[int64]int {
		all := map[int64]int{7: 1000}
		for i, n := range pieces {
			all[far[i]] = n
		}
		return all
	}
	for what, c := range map[string]struct {
		found map[int64]int
		want  int64
	}{
		"nothing":             {found(), 2 * gib},
		"one, near":           {found(16), far[1]},
		"one, with others":    {found(16, 0, 0, 0, 0, 16, 0, 0, 1), far[1]},
		"all up to there":     {found(16, 9, 0, 16, 3, 12, 0, 0, 0, 0, 0, 0, 0, 2), far[6]},
		"a little far behind": {found(0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 3), 2 * gib},
	} {
		if got := worthUpTo(far, 2*gib, 8*gib, c.found, 12); got != c.want {
			t.Errorf("%s: %d chunks, want %d", what, got, c.want)
		}
	}
	near := sampledChunks(320)
	for _, c := range []struct {
		at     int64
		pieces int
		want   bool
	}{{0, 15, false}, {0, 60, true}, {319, 60, false}, {400, 60, false}} { // of 4096 pieces a tenth of what all of the image there would give; not at samples; far
		if got := isWorth(map[int64]int{c.at: c.pieces}, 4096, slices.Concat(near, []int64{400}), 320); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	for _, c := range []struct{ disk, image, want int64 }{
		{disk: 1 << 40, image: 2 << 30, want: 8 * gib}, {disk: 5 << 30, image: 2 << 30, want: 5 * gib}, {disk: 1 << 40, image: 100 << 30, want: 256 * gib},
		{disk: 1 << 40, image: 300 << 30, want: 256 * gib},
	} {
		if got := reachOf(protocol.Disk{Size: c.disk, Room: 64 << 20}, c.image); got != c.want {
			t.Errorf("%+v: %d chunks", c, got)
		}
	}
}

// What is looked at before it is known whether a disk has anything of the image takes at most 2 % of what it takes to read as much as the image has.
func TestProbesCostLittle(t *testing.T) {
	for _, total := range []int64{1 << 10, 8 << 10, 256 << 10} {
		probes := len(sampledChunks(total)) + len(farChunks(total, maxReach*total))
		if share := float64(probes) * protocol.ProbeLen / float64(total*chunk.Size); share > 0.02 {
			t.Errorf("%d chunks: %.1f %%", total, 100*share)
		}
	}
}

// All of a disk is looked through as far as the image goes, within the memory that the device has.
func TestLookedThrough(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct{ disk, image, room, want int64 }{
		{disk: 32 * gib, image: 20*gib + 1, room: 32 << 20, want: 20*1024 + 1},
		{disk: 8 * gib, image: 20 * gib, room: 32 << 20, want: 8 * 1024},
		{disk: 2048 * gib, image: 2048 * gib, room: 32 << 20, want: 256 * 1024},
		{disk: 64 * gib, image: 64 * gib, room: 1 << 20, want: 8 * 1024},
		{disk: 64 * gib, image: 64 * gib, want: 0},
	} {
		if got := lookedThrough(protocol.Disk{Size: c.disk, Room: c.room}, c.image); got != c.want {
			t.Errorf("%+v: %d chunks", c, got)
		}
	}
}

// What was not looked through is said.
func TestLookedThroughIsSaid(t *testing.T) {
	const gib = 1 << 30
	r := Result{Size: 20 * gib, Looked: 20 * gib, Every: 1, Disk: protocol.Disk{Size: 32 * gib}}
	if said := r.LookedThrough(); said != "" {
		t.Errorf("all was looked through: %q", said)
	}
	r.Looked, r.Every = 8*gib, 4
	if said := r.LookedThrough(); said != " (looked for in its first 8.0 GiB, by one block of 4 and those beside it)" {
		t.Errorf("%q", said)
	}
}

// A disk too large for one plan is made by several, one behind the other. A later one finds nothing where an earlier one has written.
func TestMoveInParts(t *testing.T) {
	for _, planned := range []int{1, 2, 5} {
		for _, cut := range []bool{false, true} {
			old, next := builds(uint64(planned))
			b := newBench(t, append(slices.Clone(old), make([]byte, 4*chunk.Size)...))
			if cut {
				b.cuts = []int64{20_000}
			}
			r, err := b.move(&source{b: next, index: true}, func(j *Job) { j.planned = planned })
			if err != nil || r.State != Verified || !cut && r.Moved < 5*chunk.Size {
				t.Errorf("%d chunks a plan, cut %v: %+v, %v", planned, cut, r, err)
			}
		}
	}
}

// What is new in one chunk is much like what is new in the others, as inodes are: it is packed in one stream, and sent in no more than it takes
// there. A device without memory for a stream's window gets each chunk's by itself.
func TestMoveSendsWhatIsAlikeOnce(t *testing.T) {
	const piece = chunk.PieceSize
	old, alike := judge.Noise(7, 20*chunk.Size), judge.Noise(8, piece)
	next := slices.Clone(old[:chunk.Size])
	for n := range byte(18) {
		alike[77] = n
		at := int(n+1) * chunk.Size
		next = slices.Concat(next, alike, old[at:at+chunk.Size])
	}
	b := newBench(t, append(slices.Clone(old), make([]byte, chunk.Size)...))
	r, err := b.move(&source{b: next, index: true})
	if err != nil || r.State != Verified || r.Moved < 17*chunk.Size {
		t.Fatalf("%+v, %v", r, err)
	}
	if most := int64(20 << 10); r.Sent > most { // one piece, what the others differ in, recipes and announcements; one by one they are 72 KiB
		t.Errorf("%d bytes sent, want %d at most", r.Sent, most)
	}
	for window, want := range map[int64]protocol.Encoding{0: protocol.Raw, protocol.MaxWindow: protocol.Streamed} {
		n := judge.Value(newRecipePacker(window))(t)
		head, packed, err := n.packRecipe(3, alike)
		n.Close()
		p, failed := protocol.ReadBuild(append(head, packed...))
		if err != nil || failed != nil || p.N != 3 || p.Encoding != want {
			t.Errorf("a window of %d bytes: chunk %d, encoding %d, %v, %v", window, p.N, p.Encoding, err, failed)
		}
	}
}

// An altogether different disk is not looked through: nothing moves, and the samples cost next to nothing.
func TestMoveLeavesAnotherDisk(t *testing.T) {
	_, next := builds(7)
	want := judge.Value(newBench(t, judge.Noise(99, len(next))).move(&source{b: next}, func(j *Job) { j.Still = true }))(t)
	got, err := newBench(t, judge.Noise(99, len(next))).move(&source{b: next})
	if err != nil || got.Moved != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	if float64(got.Sent) > 1.01*float64(want.Sent) {
		t.Errorf("%d bytes sent, %d without a look", got.Sent, want.Sent)
	}
}

// Wherever the line is cut, in either direction, the same loop goes on from what the disk holds by then.
func TestMoveCuts(t *testing.T) { moveCuts(t, 4) }

func moveCuts(t *testing.T, times uint64) {
	for i := range times {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(5, i))
			old, next := builds(10 + i)
			b := newBench(t, append(slices.Clone(old), make([]byte, 4*chunk.Size)...))
			b.back = i%2 == 1
			b.cuts = []int64{200 + r.Int64N(30_000), 200 + r.Int64N(30_000)}
			res, err := b.move(&source{b: next, index: i%3 == 0})
			if err != nil || res.State != Verified {
				t.Fatalf("cuts at %d, back %v: %v, %v", b.cuts, b.back, res.State, err)
			}
			if res.Lost == 0 {
				t.Errorf("cuts at %d: nothing was cut", b.cuts)
			}
		})
	}
}

// A disk that reads otherwise the second time: the chunk does not come out right and is sent whole.
func TestMoveResendsWhatDoesNotFit(t *testing.T) {
	old, next := builds(7)
	b := newBench(t, append(slices.Clone(old), make([]byte, 4*chunk.Size)...))
	b.disk.flicker = 13*chunk.Size + 5
	res, err := b.move(&source{b: next})
	if err != nil || res.State != Verified {
		t.Fatalf("%v, %v", res.State, err)
	}
	if b.disk.reads < 2 {
		t.Error("the byte that flickers was read once only")
	}
}

// liar is an image of which every other chunk is another one when it is only glimpsed: a file that changes and changes back.
type liar struct {
	file
	lies atomic.Int64
}

func (l *liar) Peek(n int64, most int) ([]byte, bool) {
	b, ok := l.file.Peek(n, most)
	if b == nil || n%2 == 0 {
		return b, ok
	}
	for at := int(n) % 7 * chunk.PieceSize; at < len(b); at += 11 * chunk.PieceSize {
		b[at]++
		l.lies.Add(1)
	}
	return b, ok
}

// What a plan is made by, and the pieces that it has sent, were held against nothing: where they are others than the image's the chunk goes
// whole, and the disk is the image all the same.
func TestMoveIsHeldAgainstTheImage(t *testing.T) {
	for seed := range uint64(4) {
		old, next := builds(seed)
		b := newBench(t, append(slices.Clone(old), make([]byte, 4*chunk.Size)...))
		s := &source{b: next, index: true}
		l := &liar{file: file{s}}
		r, err := b.flash(s, func(j *Job) { j.Source = l })
		if err != nil || r.State != Verified || l.lies.Load() == 0 || r.Moved == 0 {
			t.Errorf("%d lies: %+v, %v", l.lies.Load(), r, err)
		}
	}
}
