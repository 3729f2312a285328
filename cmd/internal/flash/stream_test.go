package flash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
	stored "groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/flash/pack"
	"groundhog/cmd/internal/flash/protocol"

	"groundhog/fixtures/judge"
)

// packedSource is an image that was packed, and counts what is read of the pack.
type packedSource struct {
	*source
	packed pack.Pack
	reads  int
	damage func(b []byte) ([]byte, error)
	again  func() *packedSource // the same, with nothing read of it
}

func (p *packedSource) Pack() pack.Pack { return p }

func (p *packedSource) Read(from, to int64) ([]byte, error) {
	p.reads++
	b, err := p.packed.Read(from, to)
	if err == nil && p.damage != nil {
		return p.damage(slices.Clone(b))
	}
	return b, err
}

// indexed is a source as pack.Make reads it.
type indexed struct{ *source }

func (indexed) DecodedSum(context.Context) (string, error) { return "", nil }

func (i indexed) Read(_ context.Context, n int64) ([]byte, error) {
	if n >= int64(len(i.chunks())) {
		return nil, io.EOF
	}
	if c := i.chunks()[n]; !c.Zero {
		return slices.Clone(i.b[n*chunk.Size:][:c.Len]), nil
	}
	return nil, nil
}

// words is an image whose chunks have much in common with those before them, with chunks of zeros among them.
func words(seed uint64, chunks int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var list [][]byte
	for range 2000 {
		list = append(list, judge.Noise(r.Uint64(), 30+r.IntN(60)))
	}
	var b bytes.Buffer
	for b.Len() < chunks*chunk.Size+4567 {
		b.Write(list[r.IntN(len(list))])
	}
	out := b.Bytes()[:chunks*chunk.Size+4567]
	for range chunks / 8 {
		clear(out[(1+r.IntN(chunks-1))*chunk.Size:][:chunk.Size])
	}
	return out
}

func packedOf(t *testing.T, img []byte) *packedSource {
	s := &source{b: img, index: true}
	store := judge.Value(pack.At(t.TempDir()))(t)
	k := judge.Value(pack.Make(t.Context(), indexed{s}, pack.Quick, store, func(int64) {}))(t)
	var packed func() *packedSource
	packed = func() *packedSource {
		return &packedSource{source: &source{b: img, index: true}, packed: k.From(store, s.chunks()), again: packed}
	}
	return packed()
}

// A disk that has nothing of the image is sent the image as it was packed: less than chunks that are compressed one by one.
func TestPacked(t *testing.T) {
	img := words(1, 40)
	plain := newBench(t, judge.Noise(9, len(img)+chunk.Size))
	without := judge.Value(plain.flash(&source{b: img, index: true}))(t)
	src := packedOf(t, img)
	b := newBench(t, judge.Noise(9, len(img)+chunk.Size))
	with, err := b.flashFrom(src)
	if err != nil || src.reads < 30 || with.Sent > without.Sent*8/10 {
		t.Errorf("%d reads of the pack, %d bytes sent, %d without it: %v", src.reads, with.Sent, without.Sent, err)
	}
}

// Whatever of the disk is as in the image, and wherever the line is cut, what comes of packed chunks is the image.
func TestPackedInPart(t *testing.T) { packedInPart(t, 1) }

func packedInPart(t *testing.T, times int) {
	for n := range times {
		r := rand.New(rand.NewPCG(uint64(n), 3))
		img := words(uint64(n), 20+r.IntN(20))
		src := packedOf(t, img)
		old := judge.Noise(uint64(n)+100, len(img)+chunk.Size)
		for at := 0; at < len(img); at += chunk.Size {
			switch r.IntN(4) {
			case 0:
				copy(old[at:], img[at:min(at+chunk.Size, len(img))])
			case 1: // some of its pieces are there
				copy(old[at:], img[at:min(at+chunk.Size*r.IntN(100)/100, len(img))])
			}
		}
		b := newBench(t, old)
		for range r.IntN(3) {
			b.cuts = append(b.cuts, int64(r.IntN(len(img))))
		}
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			if res, err := b.flashFrom(src); err != nil {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
}

// A pack that cannot be read, or gives something else than the image, costs time and nothing else. The first chunk, fitted to
// the disk, is never its.
func TestPackedDamaged(t *testing.T) {
	img := words(1, 30)
	packed := packedOf(t, img)
	for name, damage := range map[string]func([]byte) ([]byte, error){
		"unreadable": func([]byte) ([]byte, error) { return nil, errors.New("input/output error") },
		"flipped":    func(b []byte) ([]byte, error) { b[len(b)/2] ^= 1; return b, nil },
		"short":      func(b []byte) ([]byte, error) { return b[:len(b)/2], nil },
		"empty":      func([]byte) ([]byte, error) { return nil, nil },
		"another":    func(b []byte) ([]byte, error) { return judge.Noise(1, len(b)), nil },
	} {
		t.Run(name, func(t *testing.T) {
			src := packed.again()
			src.damage = damage
			b := newBench(t, judge.Noise(9, len(img)+chunk.Size))
			if res, err := b.flashFrom(src); err != nil || res.Lost > 5 {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
}

func (p *packedSource) Place(c chunk.Chunk) (pack.Place, bool) { return p.packed.Place(c) }
func (p *packedSource) Credit() int64                          { return p.packed.Credit() }
func (p *packedSource) Window() int64                          { return p.packed.Window() }

// A .zst file is sent as it is: what is on the line is what is in the file.
func TestZstdFile(t *testing.T) {
	img := words(3, 60)
	copy(img[510:], "\x55\xaa")
	name := filepath.Join(t.TempDir(), "disk.img")
	judge.WriteFile(t, name, img)
	for what, command := range map[string][]string{"one frame": {"zstd", "-q", "-3"}, "several frames": {"pzstd", "-q", "-3", "-p", "3"}} {
		t.Run(what, func(t *testing.T) {
			to := name + command[0] + ".zst"
			judge.Run(t, exec.CommandContext(t.Context(), judge.Tool(t, command[0]), append(command[1:], name, "-o", to)...))
			info := judge.Value(os.Stat(to))(t)
			i := judge.Value(stored.Open(t.Context(), to, "", nil, stored.Force(true)))(t)
			defer i.Close()
			b := newBench(t, judge.Noise(9, len(img)+chunk.Size))
			if res, err := b.flashOf(i, img); err != nil || res.Sent > info.Size()*102/100+10000 {
				t.Errorf("%d bytes sent of a file of %d: %v", res.Sent, info.Size(), err)
			}
		})
	}
}

// live is an image that is packed while it is sent.
type live struct {
	*source
	pack *pack.Live
}

func (l *live) Pack() pack.Pack { return l.pack }

// readable is a packed image of which any chunk can be read: then only that is read which is not sent as it was packed.
type readable struct {
	*packedSource
	loads, peeks atomic.Int64 // of whole chunks
}

func (r *readable) Known(context.Context) ([]chunk.Chunk, error) { return r.Index(), nil }
func (r *readable) KeepsAll() bool                               { return true }
func (r *readable) KeepAll() error                               { return nil }
func (r *readable) Peek(n int64, most int) ([]byte, bool) {
	if most == chunk.Size {
		r.peeks.Add(1)
	}
	b, err := indexed{r.source}.Read(context.Background(), n)
	return b[:min(most, len(b))], err == nil
}
func (r *readable) Pack() pack.Pack {
	if r.packed == nil {
		return nil
	}
	return r.packedSource
}
func (r *readable) Read(ctx context.Context, n int64) ([]byte, error) {
	r.loads.Add(1)
	return indexed{r.source}.Read(ctx, n)
}

// A chunk's data is read when it is needed after all: the device has some of it, or its group is gone.
func TestPackedReadLater(t *testing.T) {
	img := words(1, 40)
	src := &readable{packedSource: packedOf(t, img)}
	b := newBench(t, judge.Noise(9, len(img)+chunk.Size))
	if res, err := b.flashOf(src, img); err != nil || src.reads < 30 {
		t.Errorf("%d sent as they were packed: %+v, %v", src.reads, res, err)
	}
	src.damage = func([]byte) ([]byte, error) { return nil, errors.New("input/output error") }
	src.loads.Store(0)
	copy(b.disk.b, judge.Noise(8, len(img)))
	if res, err := b.flashOf(src, img); err != nil || src.loads.Load() < 30 {
		t.Errorf("%d chunks read: %+v, %v", src.loads.Load(), res, err)
	}
}

// What was packed in time is sent, the rest as ever.
func TestPackedLive(t *testing.T) {
	img := words(5, 60)
	s := &source{b: img, index: true}
	l := pack.NewLive(indexed{s})
	for n := range int64(len(s.chunks()) / 2) {
		l.Sent(t.Context(), n, true, true)
	}
	packed := func() bool { _, ok := l.Place(s.chunks()[6*pack.GroupChunks]); return ok }
	judge.Until(t, "a packed group", packed)
	without := judge.Value(newBench(t, judge.Noise(9, len(img)+chunk.Size)).flash(&source{b: img, index: true}))(t)
	with, err := newBench(t, judge.Noise(9, len(img)+chunk.Size)).flashOf(&live{s, l}, img)
	if err != nil || with.Sent >= without.Sent*95/100 {
		t.Errorf("%d bytes sent, %d without a pack: %v", with.Sent, without.Sent, err)
	}
}

// far is a pack with a chunk behind so many bytes of zeros.
type far struct{ pack.Pack }

func (far) Place(chunk.Chunk) (pack.Place, bool) { return pack.Place{End: 10}, true }

// What lies further behind in a stream than a device skips is sent by itself: to it the stream would be no stream.
func TestStreamSkips(t *testing.T) {
	s := packedStream{pack: far{}}
	if _, ok := s.placeChunk(chunk.Chunk{N: protocol.MaxSkip / chunk.Size}); !ok {
		t.Error("the last one that a device skips to")
	}
	if p, ok := s.placeChunk(chunk.Chunk{N: protocol.MaxSkip/chunk.Size + 1}); ok {
		t.Errorf("%d bytes are skipped", p.skip)
	}
}

// A .zst file is decoded once for a disk that has nothing of it, and once more where the disk has some of it, or the line was lost. The disk is the image in any case.
func TestZstdFileKeptInPart(t *testing.T) {
	img := words(3, 130)
	copy(img[510:], "\x55\xaa")
	dir := t.TempDir()
	judge.WriteFile(t, filepath.Join(dir, "disk.img"), img)
	judge.Run(t, exec.CommandContext(t.Context(), judge.Tool(t, "zstd"), "-q", "-1", filepath.Join(dir, "disk.img")))
	noise := judge.Noise(9, len(img)+chunk.Size)
	moved := slices.Concat(img[:3*chunk.Size], judge.Noise(8, 20*chunk.PieceSize), img[3*chunk.Size:], make([]byte, chunk.Size))
	changed := slices.Concat(img, make([]byte, chunk.Size))
	for at := 0; at < len(img); at += 9 * chunk.Size {
		copy(changed[at+chunk.PieceSize:], "changed")
	}
	for what, c := range map[string]struct {
		disk  []byte
		cut   int64
		again bool
	}{
		"nothing of it":               {disk: noise},
		"nothing of it, and the line": {disk: noise, cut: 5 << 20, again: true}, // in one frame nobody can go on from where the line was lost
		"another build":               {disk: moved, again: true},
		"another build, and the line": {disk: moved, cut: 5 << 10, again: true},
		"some pieces are others":      {disk: changed, again: true},
	} {
		t.Run(what, func(t *testing.T) {
			i := judge.Value(stored.Open(t.Context(), filepath.Join(dir, "disk.img.zst"), "", nil, stored.Force(true)))(t)
			defer i.Close()
			judge.Must(t, i.Ready(t.Context(), 0))
			b := newBench(t, slices.Clone(c.disk))
			if c.cut > 0 {
				b.cuts = append(b.cuts, c.cut)
			}
			res, err := b.flashOf(i, img)
			if err != nil || i.KeepsAll() != c.again || res.Lost < len(b.cuts) {
				t.Errorf("decoded again %v: %+v, %v", i.KeepsAll(), res, err)
			}
		})
	}
}

// What lies behind much free space is not decoded for by the device, nor decoded again here: the copy of the partition table at a disk's end, say.
func TestZstdFileBehindGap(t *testing.T) {
	img := slices.Concat(words(3, 70), make([]byte, 50*chunk.Size), words(4, 6))
	copy(img[510:], "\x55\xaa")
	name := filepath.Join(t.TempDir(), "disk.img")
	judge.WriteFile(t, name, img)
	judge.Run(t, exec.CommandContext(t.Context(), judge.Tool(t, "zstd"), "-q", "-1", name))
	i := judge.Value(stored.Open(t.Context(), name+".zst", "", nil, stored.Force(true)))(t)
	defer i.Close()
	judge.Must(t, i.Ready(t.Context(), 0))
	res, err := newBench(t, judge.Noise(9, len(img)+chunk.Size)).flashOf(i, img)
	if err != nil || res.Lost > 0 || i.KeepsAll() {
		t.Errorf("decoded again %v: %+v, %v", i.KeepsAll(), res, err)
	}
	f, alone := i.Pack().(*pack.File), 0
	for _, c := range i.Index() {
		if _, placed := f.Place(c); !placed {
			alone++
		}
	}
	if alone != 4 {
		t.Errorf("%d chunks have no place in the stream", alone)
	}
}
