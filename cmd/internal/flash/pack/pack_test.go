package pack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image/claim"
	"groundhog/cmd/internal/flash/image/index"

	"groundhog/fixtures/judge"
)

// memory is a decoded image in memory.
type memory []byte

func (m memory) Index() (all []chunk.Chunk) {
	for n := 0; n*chunk.Size < len(m); n++ {
		all = append(all, chunk.Of(int64(n), m.bytes(int64(n))))
	}
	return all
}

func (m memory) bytes(n int64) []byte { return m[n*chunk.Size : min(int64(len(m)), (n+1)*chunk.Size)] }

func (m memory) DecodedSum(context.Context) (string, error) {
	return fmt.Sprintf("%x", sha256.Sum256(m)), nil
}

func (m memory) Read(_ context.Context, n int64) ([]byte, error) {
	if b := m.bytes(n); !chunk.IsZero(b) {
		return slices.Clone(b), nil
	}
	return nil, nil
}

// image is text, noise and zeros, and ends in the middle of a chunk.
func image(seed uint64, chunks int) memory {
	b := make([]byte, chunks*chunk.Size+777)
	r := rand.New(rand.NewPCG(seed, 0))
	for at := 0; at < len(b); at += chunk.Size {
		piece := b[at:min(at+chunk.Size, len(b))]
		switch r.IntN(3) {
		case 0:
			rand.NewChaCha8([32]byte{byte(r.Uint32())}).Read(piece)
		case 1:
			for n := range piece {
				piece[n] = "groundhog"[r.IntN(9)]
			}
		}
	}
	return b
}

func at(t testing.TB, dir string) *Store {
	return judge.Value(At(dir))(t)
}

// checkPlaces decodes each chunk, beginning where it can begin nearest, and from the image's beginning on.
func checkPlaces(t *testing.T, img memory, p Pack) {
	t.Helper()
	through := new(bytes.Buffer)
	var given int64
	all, err := zstd.NewReader(struct{ io.Reader }{readThrough{through}}, // the library decodes a buffer at once
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(uint64(p.Window())))
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	for _, c := range img.Index() {
		place, ok := p.Place(c)
		if !ok || place.Entry > place.Before || place.Before > place.End || place.Off > c.N*chunk.Size {
			t.Fatalf("chunk %d: %+v, %t", c.N, place, ok)
		}
		b, err := p.Read(place.Entry, place.End)
		if err != nil {
			t.Fatal(err)
		}
		got := decode(t, b, c.N*chunk.Size-place.Off, c.Len)
		if !bytes.Equal(got, img.bytes(c.N)) {
			t.Errorf("chunk %d is another one", c.N)
		}
		if given < place.Entry && place.End >= groupStride { // a group by itself
			given = place.Entry
			through.Reset()
			judge.Must(t, all.Reset(struct{ io.Reader }{readThrough{through}}))
		}
		if b, err = p.Read(given, place.End); err != nil {
			t.Fatal(err)
		}
		given = place.End
		through.Write(b)
		got = make([]byte, c.Len)
		if _, err := io.ReadFull(all, got); err != nil || !bytes.Equal(got, img.bytes(c.N)) {
			t.Fatalf("chunk %d, going on from the one before: %v", c.N, err)
		}
		changed := c
		changed.Sum[3] ^= 1
		if _, ok := p.Place(changed); ok {
			t.Errorf("chunk %d with another sum has a place", c.N)
		}
	}
	if _, ok := p.Place(chunk.Chunk{N: int64(len(img.Index())), Len: 1}); ok {
		t.Error("there is a chunk behind the end")
	}
}

// readThrough is a buffer to be filled, whose end is none.
type readThrough struct{ *bytes.Buffer }

func (r readThrough) Read(b []byte) (int, error) {
	n, err := r.Buffer.Read(b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// decode is n bytes of what b decodes to, behind skip others. b need not be whole.
func decode(t *testing.T, b []byte, skip int64, n int) []byte {
	d := judge.Value(zstd.NewReader(struct{ io.Reader }{bytes.NewReader(b)}, zstd.WithDecoderConcurrency(1)))(t)
	defer d.Close()
	out := make([]byte, n)
	judge.Value(io.CopyN(io.Discard, d, skip))(t)
	judge.Value(io.ReadFull(d, out))(t)
	return out
}

// What was packed is where it is said to be, with zstd(1) and without.
func TestMake(t *testing.T) {
	img := image(1, 19)
	for _, with := range []string{"zstd", "the library"} {
		t.Run(with, func(t *testing.T) {
			if with == "zstd" {
				judge.Tool(t, "zstd")
			} else {
				t.Setenv("PATH", t.TempDir())
			}
			s, done := at(t, t.TempDir()), int64(0)
			k, err := Make(t.Context(), img, 3, s, func(n int64) { done = n })
			if err != nil || done != int64(len(img)) || k.Size != done {
				t.Fatalf("%d bytes are done: %v", done, err)
			}
			checkPlaces(t, img, k.From(s, img.Index()))
		})
	}
}

// A .zst file is its own pack: of one frame, of several, with skippable ones between them.
func TestFile(t *testing.T) {
	img := image(2, 9)
	third := len(img) / 3
	for name, parts := range map[string][]memory{"one frame": {img}, "no size": {img}, "several frames": {img[:third], img[third : 2*third], img[2*third:]}} {
		t.Run(name, func(t *testing.T) {
			var b []byte
			for _, part := range parts {
				cmd := exec.CommandContext(t.Context(), judge.Tool(t, "zstd"), "-q", "-c", "-3", "--no-check")
				if name == "no size" {
					cmd.Args = append(cmd.Args, "--no-content-size")
				} else {
					cmd.Args = append(cmd.Args, fmt.Sprintf("--stream-size=%d", len(part)))
				}
				cmd.Stdin = bytes.NewReader(part)
				frame := judge.Output(t, cmd)
				b = append(append(b, "\x50\x2a\x4d\x18\x03\x00\x00\x00xyz"...), frame...)
			}
			frames, window := claim.Frames(t.Context(), bytes.NewReader(b), int64(len(b)))
			if len(frames) != len(parts) {
				t.Fatalf("%d frames", len(frames))
			}
			f := NewFile(bytes.NewReader(b), frames, window)
			in := &groupReader{left: b}
			d := judge.Value(zstd.NewReader(in, zstd.WithDecoderConcurrency(1)))(t)
			defer d.Close()
			for _, c := range img.Index() {
				judge.Value(io.CopyN(io.Discard, d, int64(c.Len)))(t)
				f.Add(c, int64(len(b)-len(in.left)))
			}
			checkPlaces(t, img, f)
		})
	}
}

// The first few chunks behind many of zeros have no place in the stream, unless a frame begins near them.
func TestAlone(t *testing.T) {
	shape := "ddd" + strings.Repeat("0", gapChunks-1) + "dd" + strings.Repeat("0", gapChunks) + "AA0AAdd" + strings.Repeat("0", 3*gapChunks) + "A" + strings.Repeat("0", gapChunks) + "A"
	for name, frames := range map[string][]claim.Frame{"one frame": {{}}, "a frame near the last": {{}, {At: 1, Off: int64(len(shape)-3) << 20}}} {
		f := NewFile(bytes.NewReader(nil), frames, 1<<20)
		for n := range shape {
			f.Add(chunk.Chunk{N: int64(n), Len: chunk.Size, Zero: shape[n] == '0'}, int64(n))
		}
		for n := range shape {
			alone := shape[n] == 'A' && (len(frames) == 1 || n < len(shape)-1)
			_, placed := f.Place(chunk.Chunk{N: int64(n), Len: chunk.Size, Zero: shape[n] == '0'})
			if f.IsAlone(int64(n)) != alone || placed == alone {
				t.Errorf("%s: chunk %d: alone %v, placed %v", name, n, !alone, placed)
			}
		}
	}
}

// casync makes the image of what Export wrote.
func TestExport(t *testing.T) {
	img, dir := image(3, 17), t.TempDir()
	for range 2 { // again, over what is there
		k, to, err := Export(t.Context(), dir, "/images/disk.img", img, 3, func(int64) {})
		if err != nil || to != filepath.Join(dir, "disk.img.caibx") {
			t.Fatal(to, err)
		}
		out := filepath.Join(t.TempDir(), "out.img")
		judge.Run(t, exec.CommandContext(t.Context(), judge.Tool(t, "casync"), "extract", to, out))
		if b, err := os.ReadFile(out); err != nil || !bytes.Equal(b, img) {
			t.Errorf("casync makes another image: %v", err)
		}
		if k.Packed() >= int64(len(img)) {
			t.Errorf("%d bytes packed", k.Packed())
		}
	}
}

// cacheOf is an empty cache.
func cacheOf(t *testing.T) *Cache {
	c := In(judge.Value(index.OpenAt(filepath.Join(t.TempDir(), "groundhog")))(t))
	if c == nil {
		t.Fatal("no cache")
	}
	return c
}

// keep packs an image of that name into the cache.
func keep(t *testing.T, c *Cache, name string, img memory) *Kept {
	t.Helper()
	judge.WriteFile(t, name, "")
	return judge.Value(c.Keep(t.Context(), name, img, 1, func(int64) {}))(t)
}

// What is kept is found again for the same image alone, and what was damaged since is not used.
func TestCache(t *testing.T) {
	c, img := cacheOf(t), image(4, 18)
	name := filepath.Join(t.TempDir(), "disk.img")
	k := keep(t, c, name, img)
	g := c.Of(name, img.Index())
	if g == nil {
		t.Fatal("it is not kept")
	}
	checkPlaces(t, img, g)
	if c.Of(name, image(5, 18).Index()) != nil || c.Of(name+"2", img.Index()) != nil || c.Of(name, img.Index()[:17]) != nil {
		t.Error("it counts for another image")
	}
	file := filepath.Join(c.storeDir(), g.store.groupPath(k.Groups[1].ID))
	for what, damage := range map[string]func(b []byte) error{
		"flipped": func(b []byte) error { b[len(b)/2] ^= 1; return os.WriteFile(file, b, 0o600) },
		"cut":     func(b []byte) error { return os.WriteFile(file, b[:len(b)-1], 0o600) },
		"a link": func(b []byte) error {
			return errors.Join(os.Rename(file, file+".real"), os.Symlink(file+".real", file))
		},
	} {
		b, err := os.ReadFile(file)
		if err != nil || damage(slices.Clone(b)) != nil {
			t.Fatal(err)
		}
		if _, err := c.Of(name, img.Index()).Read(groupStride, groupStride+10); err == nil {
			t.Errorf("%s: it is read", what)
		}
		judge.Must(t, errors.Join(os.Remove(file), os.WriteFile(file, b, 0o600)))
	}
	var none *Cache
	if none.Of(name, nil) != nil || none.Prune(0) != nil {
		t.Error("no cache has something")
	}
	judge.Must(t, os.Chmod(c.storeDir(), 0o777))
	if c.Of(name, img.Index()) != nil {
		t.Error("a store that anybody writes to is believed")
	}
}

// cutShort is an image that cannot be read to its end.
type cutShort struct{ memory }

func (c cutShort) Read(ctx context.Context, n int64) ([]byte, error) {
	if n >= 30 {
		return nil, io.ErrUnexpectedEOF
	}
	return c.memory.Read(ctx, n)
}

// Of an image that cannot be packed to its end nothing stays, and what another one has is not taken away.
func TestKeepFails(t *testing.T) {
	c, dir := cacheOf(t), t.TempDir()
	whole, part := image(8, 16), image(9, 40)
	copy(part[:groupSize], whole[:groupSize])
	keep(t, c, filepath.Join(dir, "whole"), whole)
	before := filesOf(c.storeDir())
	name := filepath.Join(dir, "part")
	judge.WriteFile(t, name, "")
	for _, level := range []int{1, 3} { // with the other's group used, and written anew
		if _, err := c.Keep(t.Context(), name, cutShort{part}, level, func(int64) {}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
		if after := filesOf(c.storeDir()); !slices.Equal(after, before) {
			t.Errorf("level %d: left %q, before %q", level, after, before)
		}
	}
}

// filesOf is the names of the files in a directory.
func filesOf(dir string) (all []string) {
	filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			all = append(all, name)
		}
		return nil
	})
	return all
}

// Whole images go, those that were used longest ago, and a group that another one has stays.
func TestPrune(t *testing.T) {
	c, dir := cacheOf(t), t.TempDir()
	one, two := image(5, 16), image(6, 16)
	copy(two[:groupSize], one[:groupSize]) // they have a group in common
	first := keep(t, c, filepath.Join(dir, "one"), one)
	second := keep(t, c, filepath.Join(dir, "two"), two)
	if first.Groups[0].ID != second.Groups[0].ID {
		t.Fatal("nothing in common")
	}
	count := func() int { return len(filesOf(c.storeDir())) }
	whole := count()
	c.Of(filepath.Join(dir, "two"), two.Index()) // used last
	judge.Must(t, c.pruneRecords(second.Packed(), 0))
	kept, err := c.List()
	if err != nil || len(kept) != 1 || kept[0].Image != second.Image || count() != whole-2 {
		t.Errorf("%v, %d groups of %d: %v", kept, count(), whole, err)
	}
	checkPlaces(t, two, c.Of(filepath.Join(dir, "two"), two.Index()))
	if err := c.Prune(0); err != nil || count() != 0 {
		t.Errorf("%d groups are left: %v", count(), err)
	}
}

// A record that is not what we write is none, and whatever it says nothing is read but groups.
func FuzzKept(f *testing.F) {
	f.Add([]byte(`{"size":1,"groups":[{"id":"` + (ID{}).String() + `","len":5,"sum":"` + (ID{}).String() + `","ends":[5]}]}`))
	f.Add([]byte(`{"size":9000000,"groups":[{"len":5,"ends":[5,4]},{}]}`))
	f.Add([]byte(`{"size":1,"groups":[{"id":"` + (ID{}).String() + `00","len":5,"ends":[5]}]}`))
	s := at(f, f.TempDir())
	f.Fuzz(func(t *testing.T, b []byte) {
		k := parseKept(append([]byte(packMagic), b...))
		if k == nil {
			return
		}
		var chunks []chunk.Chunk
		for n := range min(k.Size, 100) {
			chunks = append(chunks, chunk.Chunk{N: n, Len: 1})
		}
		g := k.From(s, chunks)
		for _, c := range chunks {
			p, ok := g.Place(c)
			if ok && (p.Entry > p.Before || p.Before > p.End || p.End-p.Entry > maxPacked) {
				t.Errorf("%+v", p)
			}
			if _, err := g.Read(p.Entry, p.End); ok && err == nil {
				t.Error("it reads what is not there")
			}
		}
	})
}

// packAll has a Live pack all that it can of an image.
func packAll(t *testing.T, l *Live, img memory) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for n := range int64(liveRow) {
		l.Sent(ctx, n, true, true)
	}
	for _, c := range img.Index() {
		l.Sent(ctx, c.N, true, true)
	}
	judge.Until(t, "the packer's end", func() bool { return !l.Active() })
}

// behind is an image with an end.
type behind struct{ memory }

func (b behind) Read(ctx context.Context, n int64) ([]byte, error) {
	if n*chunk.Size >= int64(len(b.memory)) {
		return nil, io.EOF
	}
	return b.memory.Read(ctx, n)
}

// Groups are packed ahead of who sends, as long as there is a point in it.
func TestLive(t *testing.T) {
	img := image(7, 60)
	l := NewLive(behind{img})
	for n := range int64(3 * liveRow) {
		l.Sent(t.Context(), n, true, false) // the line is not what is waited for
		l.Sent(t.Context(), n, false, true) // a chunk is sent in part
		l.Sent(t.Context(), 1000*n, true, true)
	}
	if l.Active() {
		t.Fatal("it packs for nobody")
	}
	l = NewLive(behind{img})
	ctx, cancel := context.WithCancel(t.Context())
	for n := range int64(liveRow) {
		l.Sent(ctx, n, true, true)
	}
	there := func(n int64) bool { _, ok := l.Place(img.Index()[n*GroupChunks]); return ok }
	judge.Until(t, "the group after the next", func() bool { return there(2) })
	if there(0) || there(1) {
		t.Error("a group was packed that is being sent")
	}
	for _, c := range img.Index()[2*GroupChunks : 3*GroupChunks] {
		p, ok := l.Place(c)
		b, err := l.Read(p.Entry, p.End)
		if !ok || err != nil || !bytes.Equal(decode(t, b, c.N*chunk.Size-p.Off, c.Len), img.bytes(c.N)) {
			t.Errorf("chunk %d: %+v, %t, %v", c.N, p, ok, err)
		}
	}
	cancel()
	judge.Until(t, "the packer's end", func() bool { return !l.Active() })
	l = NewLive(behind{img})
	packAll(t, l, img)
	if l.Sent(t.Context(), 0, true, true); l.Active() {
		t.Error("it packs behind the image's end")
	}
}

// held is an image of which one group cannot be read before another one is.
type held struct {
	behind
	group, until int64
	read         func()
	wasRead      chan struct{}
}

func (h held) Read(ctx context.Context, n int64) ([]byte, error) {
	switch n / GroupChunks {
	case h.until:
		h.read()
	case h.group:
		select {
		case <-h.wasRead:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return h.behind.Read(ctx, n)
}

// As many groups are packed at once as there are processors.
func TestLiveAtOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	img, wasRead := image(8, 60), make(chan struct{})
	l := NewLive(held{behind{img}, 2, 3, sync.OnceFunc(func() { close(wasRead) }), wasRead})
	ctx, cancel := context.WithCancel(t.Context())
	for n := range int64(liveRow) {
		l.Sent(ctx, n, true, true)
	}
	judge.Until(t, "both groups", func() bool {
		_, second := l.Place(img.Index()[2*GroupChunks])
		_, third := l.Place(img.Index()[3*GroupChunks])
		return second && third
	})
	cancel()
	judge.Until(t, "the packer's end", func() bool { return !l.Active() })
}

// What is kept of groups has a bound, and the oldest go.
func TestLiveForgets(t *testing.T) {
	l := NewLive(memory(nil))
	for n := range int64(20) {
		l.keepGroup(n, &liveGroup{Group: Group{Len: liveBytes / 4, Ends: []int64{1}}, chunks: []chunk.Chunk{{N: n * GroupChunks}}})
	}
	for n := range int64(20) {
		if _, ok := l.Place(chunk.Chunk{N: n * GroupChunks}); ok != (n >= 16) {
			t.Errorf("group %d is there: %t", n, ok)
		}
	}
}

// Groups that were read stay in memory, those that were used last and no more than their bound; a group that has to be read again is the
// same.
func TestGroupsInMemory(t *testing.T) {
	img := image(6, 19)
	s := at(t, t.TempDir())
	k, err := Make(t.Context(), img, 3, s, func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	g := k.From(s, img.Index())
	want := make([][]byte, len(k.Groups))
	for n := range k.Groups {
		if want[n], err = g.packedBytes(int64(n)); err != nil {
			t.Fatal(err)
		}
	}
	g.bytes = maxRecent // as if there were many more
	for _, n := range []int64{2, 0, 1, 0, 2, 1} {
		b, err := g.packedBytes(n)
		if err != nil || !bytes.Equal(b, want[n]) {
			t.Fatalf("group %d: %v", n, err)
		}
		if last := g.recent[len(g.recent)-1]; last.n != n || g.bytes > maxRecent {
			t.Fatalf("group %d was the last to be used, not %d; %d bytes are kept", n, last.n, g.bytes)
		}
	}
}
