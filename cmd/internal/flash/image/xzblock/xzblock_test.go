package xzblock

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/mikelolasagasti/xz"

	"groundhog/cmd/internal/flash/image/claim"
	"groundhog/fixtures/judge"
)

const (
	dict   = 128 << 20
	plenty = 1 << 30
)

// content is n bytes with runs, text and noise in them.
func content(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{3}).Read(b[n/3 : n/2])
	copy(b[n/2:], bytes.Repeat([]byte("groundhog "), n/40))
	return b
}

func pack(t testing.TB, b []byte, args ...string) []byte {
	t.Helper()
	c := exec.Command(judge.Tool(t, "xz"), append([]string{"-c"}, args...)...)
	c.Stdin = bytes.NewReader(b)
	return judge.Output(t, c)
}

// alone decodes from the first byte to the last: what everything is held against.
func alone(b []byte) ([]byte, error) {
	z, err := xz.NewReader(bytes.NewReader(b), dict)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// planned is what a file is made of, if several blocks at once are worth it.
func planned(t testing.TB, b []byte) ([]claim.XZ, bool) {
	streams, ok := claim.XZStreams(t.Context(), bytes.NewReader(b), int64(len(b)))
	return streams, ok && Worth(streams, 3, dict, plenty)
}

// atOnce decodes a file that is said to be made of such streams.
func atOnce(b []byte, streams []claim.XZ) ([]byte, error) {
	d := NewReader(bytes.NewReader(b), streams, 3, dict, plenty)
	defer d.Close()
	return io.ReadAll(d)
}

// both is what a file decodes to, and false where the two decoders do not agree on that, or on whether it does.
func both(t testing.TB, b []byte) (plain []byte, err error, tried bool) {
	t.Helper()
	plain, err = alone(b)
	streams, tried := planned(t, b)
	if !tried {
		return plain, err, false
	}
	got, gotErr := atOnce(b, streams)
	if (gotErr == nil) != (err == nil) || err == nil && !bytes.Equal(got, plain) {
		t.Errorf("%d bytes: alone %d bytes, %v; at once %d bytes, %v", len(b), len(plain), err, len(got), gotErr)
	}
	return plain, err, true
}

// files are .xz files of several blocks, as the tool makes them.
func files(t testing.TB, n int) map[string][]byte {
	b := content(n)
	const small = "--lzma2=preset=0,dict=4KiB" // a decoder is made for each cut and each bit
	size := fmt.Sprintf("--block-size=%d", n/3)
	all := map[string][]byte{
		"crc64":   pack(t, b, small, "-T2", size),
		"crc32":   pack(t, b, small, size, "--check=crc32"),
		"sha256":  pack(t, b, small, size, "--check=sha256"),
		"none":    pack(t, b, small, size, "--check=none"),
		"filters": pack(t, b, size, "--delta=dist=4", "--x86", "--lzma2=preset=0"),
		"list":    pack(t, b, small, "-T2", "--block-list=1000,5,300,1,0"),
	}
	empty := pack(t, nil, small)
	padding := make([]byte, 8)
	all["streams"] = bytes.Join([][]byte{all["crc32"], all["none"], pack(t, b[:100], small), all["sha256"]}, nil)
	all["padded"] = bytes.Join([][]byte{all["crc64"], padding, all["crc32"], padding}, nil)
	all["empty ones"] = bytes.Join([][]byte{empty, all["crc64"], empty, padding, empty}, nil)
	all["of one block"] = bytes.Join([][]byte{pack(t, b[:1], small), pack(t, b[:2000], small)}, nil)
	return all
}

func TestReader(t *testing.T) {
	for name, b := range files(t, 50_000) {
		plain, err, tried := both(t, b)
		if err != nil || len(plain) == 0 || !tried {
			t.Errorf("%s: %d bytes, %v, several blocks at once: %v", name, len(plain), err, tried)
		}
		streams, _ := planned(t, b)
		d := NewReader(iotest.HalfReader(bytes.NewReader(b)), streams, 2, dict, plenty)
		if err := iotest.TestReader(d, plain); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		d.Close()
	}
	if _, _, tried := both(t, pack(t, content(50_000))); tried {
		t.Error("one block is more than one")
	}
	b := content(9 << 20)
	if plain, err, tried := both(t, pack(t, b, "-0", "--block-size=3145728")); err != nil || !tried || !bytes.Equal(plain, b) {
		t.Errorf("blocks of several pieces: %v, %v", err, tried)
	}
}

// borders are where blocks begin and streams end.
func borders(streams []claim.XZ) (all []int) {
	at := 0
	for _, s := range streams {
		at += 12 // the header
		for _, b := range s.Blocks {
			all = append(all, at)
			at += int(storedLength(b))
		}
		all = append(all, at)
		at += len(streamTail(make([]byte, 8), s.Blocks...)) + int(s.Padding)
	}
	return all
}

// Cut anywhere, a file decodes to what it does without us or, where it changes while it is read, to nothing.
func TestCut(t *testing.T) {
	for name, b := range files(t, 2400) {
		streams, _ := planned(t, b)
		for n := range judge.Places(len(b), borders(streams)...) {
			both(t, b[:n])
			if _, err := atOnce(b[:n], streams); err == nil {
				t.Fatalf("%s of %d bytes, cut at %d since: no error", name, len(b), n)
			}
		}
		for _, more := range []string{"x", "\x00\x00\x00\x00", string(b)} {
			longer := append(bytes.Clone(b), more...)
			both(t, longer)
			if _, err := atOnce(longer, streams); err == nil {
				t.Errorf("%s with %.4q behind it since: no error", name, more)
			}
		}
	}
}

// With any byte changed, likewise; since it was looked at, nothing but an error or the very same bytes.
func TestFlipped(t *testing.T) { flipped(t, 5) }

// flipped changes one byte in some of those that this tier changes.
func flipped(t *testing.T, one int) {
	tried := 0
	for name, b := range files(t, 2400) {
		streams, _ := planned(t, b)
		want, _ := alone(b)
		for i := range judge.Places(len(b), borders(streams)...) {
			if tried++; tried%one != 0 {
				continue
			}
			bad := bytes.Clone(b)
			bad[i] ^= 1 << (i % 8)
			both(t, bad)
			if got, err := atOnce(bad, streams); err == nil && !bytes.Equal(got, want) && name != "none" && name != "streams" {
				t.Fatalf("%s: another byte %d since: no error, %d bytes", name, i, len(got))
			}
		}
	}
}

// forged is a file with the blocks of b, which is one stream, and an index that says what it is told to.
func forged(t *testing.T, b []byte, edit func([]claim.XZBlock) []claim.XZBlock) []byte {
	t.Helper()
	streams, ok := planned(t, b)
	if !ok || len(streams) != 1 {
		t.Fatal("not one stream of several blocks")
	}
	old := streamTail(b, streams[0].Blocks...)
	if !bytes.HasSuffix(b, old) {
		t.Fatal("the tool writes its index otherwise")
	}
	return append(bytes.Clone(b[:len(b)-len(old)]), streamTail(b, edit(append([]claim.XZBlock(nil), streams[0].Blocks...))...)...)
}

// An index that lies is an error, whatever it says, and costs no memory.
func TestLyingIndex(t *testing.T) {
	b := pack(t, content(40_000), "-0", "--block-size=4096")
	type blocks = []claim.XZBlock
	if _, err, tried := both(t, forged(t, b, func(s blocks) blocks { return s })); err != nil || !tried {
		t.Fatalf("a true one: %v, %v", err, tried)
	}
	for name, edit := range map[string]func(blocks) blocks{
		"longer":          func(s blocks) blocks { s[1].Plain++; return s },
		"shorter":         func(s blocks) blocks { s[1].Plain--; return s },
		"nothing":         func(s blocks) blocks { s[1].Plain = 0; return s },
		"much longer":     func(s blocks) blocks { s[1].Plain = 100 << 20; return s },
		"one for another": func(s blocks) blocks { s[1].Plain--; s[2].Plain++; return s },
		"swapped":         func(s blocks) blocks { s[1], s[len(s)-1] = s[len(s)-1], s[1]; return s },
		"another border":  func(s blocks) blocks { s[1].Packed += 4; s[2].Packed -= 4; return s },
		"another length":  func(s blocks) blocks { s[1].Packed ^= 1; return s },
		"two as one": func(s blocks) blocks {
			s[1].Packed = storedLength(s[1]) + s[2].Packed
			s[1].Plain += s[2].Plain
			return append(s[:2], s[3:]...)
		},
		"one as two": func(s blocks) blocks {
			return append(blocks{{Packed: s[0].Packed - 16, Plain: s[0].Plain}, {Packed: 16}}, s[1:]...)
		},
		"a block of nothing": func(s blocks) blocks { return append(blocks{{}}, s...) },
		"one less":           func(s blocks) blocks { return s[1:] },
	} {
		if _, err, _ := both(t, forged(t, b, edit)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// A stream inside a block: its header, an index of nothing and a footer, and then the block.
	streams, _ := planned(t, b)
	first := storedLength(streams[0].Blocks[0])
	inner := append(streamTail(b), b[:12]...)
	s := append([]claim.XZBlock(nil), streams[0].Blocks...)
	s[0].Packed += int64(len(inner))
	hidden := bytes.Join([][]byte{b[:12], inner, b[12 : 12+first], b[12+first : len(b)-len(streamTail(b, streams[0].Blocks...))], streamTail(b, s...)}, nil)
	if _, err, tried := both(t, hidden); err == nil || !tried {
		t.Errorf("a stream in a block: %v, %v", err, tried)
	}
	// Numbers that are longer than they need be are no index.
	long := bytes.Replace(b, []byte{0, 10}, []byte{0, 0x8a, 0}, 1)
	if _, tried := planned(t, long); tried {
		t.Error("an index in another way of writing")
	}
}

// What does not fit is left to one core.
func TestWorth(t *testing.T) {
	two := func(b claim.XZBlock) []claim.XZ { return []claim.XZ{{Blocks: []claim.XZBlock{b, b}}} }
	for name, tt := range map[string]struct {
		streams []claim.XZ
		cores   int
		memory  int64
		want    bool
	}{
		"xz -6":              {two(claim.XZBlock{Packed: 8 << 20, Plain: 24 << 20}), 2, 256 << 20, true},
		"xz -9":              {two(claim.XZBlock{Packed: 60 << 20, Plain: 192 << 20}), 2, plenty, true},
		"xz -9, less memory": {two(claim.XZBlock{Packed: 60 << 20, Plain: 192 << 20}), 2, 512 << 20, false},
		"one core":           {two(claim.XZBlock{Packed: 1000, Plain: 1000}), 1, plenty, false},
		"one block":          {[]claim.XZ{{Blocks: make([]claim.XZBlock, 1)}}, 2, plenty, false},
		"two streams":        {[]claim.XZ{{Blocks: make([]claim.XZBlock, 1)}, {Blocks: make([]claim.XZBlock, 1)}}, 2, plenty, true},
		"none":               {nil, 2, plenty, false},
		"a huge block":       {two(claim.XZBlock{Packed: 1 << 60, Plain: 1}), 2, plenty, false},
		"a huge content":     {two(claim.XZBlock{Packed: 1, Plain: 1 << 60}), 2, plenty, false},
		"an unknown check":   {[]claim.XZ{{Check: 2, Blocks: make([]claim.XZBlock, 2)}}, 2, plenty, false},
	} {
		if got := Worth(tt.streams, tt.cores, dict, tt.memory); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// meter counts what is read of a file.
type meter struct {
	io.Reader
	n int
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.n += n
	return n, err
}

// Who looks at the beginning alone has the first block read and no other, and nothing is left when it is closed, whenever.
func TestBeginningAndClose(t *testing.T) {
	b := pack(t, content(24<<20), "-0", "--block-size=3145728")
	streams, ok := planned(t, b)
	if !ok {
		t.Fatal("not several blocks")
	}
	before := runtime.NumGoroutine()
	for _, n := range []int64{0, 1, 1 << 20, 5 << 20, 20 << 20} {
		m := &meter{Reader: bytes.NewReader(b)}
		d := NewReader(m, streams, 3, dict, plenty)
		if got, err := io.CopyN(io.Discard, d, n); got != n || err != nil {
			t.Errorf("%d bytes: %d, %v", n, got, err)
		}
		d.Close()
		if most := int(12 + storedLength(streams[0].Blocks[0])); n <= 1<<20 && m.n > most {
			t.Errorf("for %d bytes %d of the file were read, more than %d", n, m.n, most)
		}
		if _, err := d.Read(make([]byte, 1<<20)); err != nil && err != d.ctx.Err() {
			t.Errorf("after Close: %v", err)
		}
	}
	judge.Until(t, "all goroutines ended", func() bool { return runtime.NumGoroutine() <= before })
}

// A block's decoder takes no more memory than the block can use, whatever its header asks for: there is one for each core.
func TestDictionaries(t *testing.T) {
	b := content(30_000)
	for name, c := range map[string]struct {
		dict string
		ok   bool
	}{"as much as may be": {"128MiB", true}, "a little": {"4KiB", true}, "more than may be": {"192MiB", false}} {
		file := pack(t, b, "--lzma2=mode=fast,mf=hc3,nice=4,dict="+c.dict, "--block-size=10000")
		streams, tried := planned(t, file)
		if !tried {
			t.Fatalf("%s: one by one", name)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := atOnce(file, streams)
		runtime.ReadMemStats(&after)
		if (err == nil) != c.ok || c.ok && !bytes.Equal(got, b) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
			t.Errorf("%s: %d MiB for %d bytes", name, n>>20, len(b))
		}
		both(t, file)
	}
}

func FuzzReader(f *testing.F) {
	for _, b := range files(f, 2400) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if streams, ok := planned(t, b); ok {
			for _, s := range streams {
				for _, x := range s.Blocks {
					if x.Plain > 1<<24 {
						return
					}
				}
			}
		}
		both(t, resealed(b))
		both(t, b)
	})
}

// resealed is a file with its last index' and its footer's sums put right: else the fuzzer never gets past them.
func resealed(b []byte) []byte {
	if len(b) < 24 {
		return b
	}
	b = bytes.Clone(b)
	foot := b[len(b)-12:]
	size := 4 * (int64(binary.LittleEndian.Uint32(foot[4:])) + 1)
	if at := int64(len(b)) - 12 - size; at > 0 && size >= 8 {
		index := b[at : at+size-4]
		binary.LittleEndian.PutUint32(b[at+size-4:], crc32.ChecksumIEEE(index))
	}
	binary.LittleEndian.PutUint32(foot, crc32.ChecksumIEEE(foot[4:10]))
	return b
}
