package claim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"groundhog/fixtures/judge"
)

// packed is what a tool makes of n bytes; of a file, so that it knows the size beforehand.
func packed(t testing.TB, n int, cmd ...string) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image")
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 8)
	}
	judge.WriteFile(t, name, b)
	return judge.Output(t, exec.Command(judge.Tool(t, cmd[0]), append(cmd[1:], name)...))
}

func of(b []byte, compression string) (int64, bool) {
	return Of(context.Background(), bytes.NewReader(b), int64(len(b)), compression)
}

var tools = []struct {
	compression string
	cmd         []string
}{
	{"zstd", []string{"zstd", "-q", "-c"}},
	{"zstd", []string{"zstd", "-q", "-c", "-T2", "-19", "--no-check"}},
	{"zstd", []string{"zstd", "-q", "-c", "--long=27"}},
	{"xz", []string{"xz", "-c"}},
	{"xz", []string{"xz", "-c", "--check=none"}},
	{"xz", []string{"xz", "-c", "-T2", "--block-size=4096"}},
	{"xz", []string{"xz", "-c", "--check=sha256", "-0"}},
	{"lz4", []string{"lz4", "-q", "-c", "--content-size"}},
	{"lz4", []string{"lz4", "-q", "-c", "--content-size", "-BX", "-BD", "-B4"}},
}

// What the tools make says how large it is, alone and one behind the other.
func TestOf(t *testing.T) {
	for _, tt := range tools {
		for _, n := range []int{1, 255, 256, 65_791, 1_000_000} {
			b := packed(t, n, tt.cmd...)
			if got, ok := of(b, tt.compression); got != int64(n) || !ok {
				t.Errorf("%q: %d, %v, want %d", tt.cmd, got, ok, n)
			}
			if got, ok := of(bytes.Repeat(b, 3), tt.compression); got != int64(3*n) || !ok {
				t.Errorf("%q, three times: %d, %v, want %d", tt.cmd, got, ok, 3*n)
			}
		}
	}
	skippable := "\x5a\x2a\x4d\x18\x05\x00\x00\x00hello"
	xz, zstd, lz4 := packed(t, 5000, "xz", "-c"), packed(t, 5000, "zstd", "-q", "-c"), packed(t, 5000, "lz4", "-q", "-c", "--content-size")
	join := func(all ...[]byte) []byte { return bytes.Join(all, nil) }
	for name, tt := range map[string]struct {
		compression string
		b           []byte
		want        int64
	}{
		"zstd, skippable":     {"zstd", join([]byte(skippable), zstd, []byte(skippable), zstd), 10000},
		"lz4, skippable":      {"lz4", join([]byte(skippable), lz4, []byte(skippable), lz4), 10000},
		"xz, padding":         {"xz", join(xz, make([]byte, 4096), xz, make([]byte, 4)), 10000},
		"xz, padding of 3":    {"xz", join(xz, make([]byte, 3), xz), -1},
		"xz, much padding":    {"xz", join(xz, make([]byte, 2<<20)), -1},
		"xz, something":       {"xz", join(xz, []byte("something..."), xz), -1},
		"xz behind something": {"xz", join([]byte("something..."), xz), -1},
		"zstd, something":     {"zstd", join(zstd, []byte("something")), -1},
		"zstd of a stream":    {"zstd", join(zstd, stream(t, "zstd", "-q", "-c")), -1},
		"lz4 of a stream":     {"lz4", join(lz4, stream(t, "lz4", "-q", "-c")), -1},
		"lz4, legacy":         {"lz4", packed(t, 5000, "lz4", "-q", "-c", "-l"), -1},
		"pzstd":               {"zstd", packed(t, 5000, "pzstd", "-q", "-c"), -1},
		"gzip":                {"gzip", packed(t, 5000, "gzip", "-c"), -1},
		"bzip2":               {"bzip2", packed(t, 5000, "bzip2", "-c"), -1},
		"raw":                 {"raw", make([]byte, 5000), -1},
		"zeros as xz":         {"xz", make([]byte, 5000), -1},
		"nothing":             {"zstd", nil, -1},
		"zstd of nothing":     {"zstd", packed(t, 0, "zstd", "-q", "-c"), -1},
		"skippable alone":     {"zstd", []byte(skippable), -1},
	} {
		if got, ok := of(tt.b, tt.compression); ok != (tt.want >= 0) || ok && got != tt.want {
			t.Errorf("%s: %d, %v, want %d", name, got, ok, tt.want)
		}
	}
}

func stream(t testing.TB, cmd ...string) []byte {
	t.Helper()
	c := exec.Command(judge.Tool(t, cmd[0]), cmd[1:]...)
	c.Stdin = bytes.NewReader(make([]byte, 5000))
	return judge.Output(t, c)
}

// A file that is cut anywhere claims nothing.
func TestOfCut(t *testing.T) {
	for _, tt := range tools {
		b := packed(t, 20_000, tt.cmd...)
		for n := range b {
			if got, ok := of(b[:n], tt.compression); ok {
				t.Fatalf("%q of %d bytes cut at %d: %d", tt.cmd, len(b), n, got)
			}
		}
	}
}

// A claim of more than there are disks is none, and no number makes it negative or takes long.
func TestOfHostile(t *testing.T) {
	frame := func(n uint64) []byte {
		return append(binary.LittleEndian.AppendUint64([]byte("\x28\xb5\x2f\xfd\xc0\x00"), n), 1, 0, 0)
	}
	for n, want := range map[uint64]bool{0: false, 1: true, 1 << 50: true, 1 << 60: true, 1<<60 + 1: false, 1 << 63: false, 1<<64 - 1: false} {
		if got, ok := of(frame(n), "zstd"); ok != want || ok && got != int64(n) {
			t.Errorf("zstd of %d: %d, %v", n, got, ok)
		}
		if got, ok := of(xzOf(1, 9, n), "xz"); ok != want || ok && got != int64(n) {
			t.Errorf("xz of %d: %d, %v", n, got, ok)
		}
	}
	if _, ok := of(bytes.Repeat(frame(1<<59), 3), "zstd"); ok {
		t.Error("a sum of more than there is")
	}
	for name, b := range map[string][]byte{
		"many records":  xzOf(1<<62, 9, 5),
		"few records":   xzOf(0, 9, 5),
		"a large block": xzOf(1, 1<<62, 5),
		"a small block": xzOf(1, 5, 5),
	} {
		if got, ok := of(b, "xz"); ok {
			t.Errorf("xz, %s: %d", name, got)
		}
	}
	far := xzOf(1, 9, 5)
	for _, n := range []uint32{0, 1, 1 << 20, 1<<32 - 1} { // where the index begins
		foot := far[len(far)-12:]
		binary.LittleEndian.PutUint32(foot[4:], n)
		binary.LittleEndian.PutUint32(foot, crc32.ChecksumIEEE(foot[4:10]))
		if got, ok := of(far, "xz"); ok && n != 1 {
			t.Errorf("xz, index %d back: %d", n, got)
		}
	}
	b := packed(t, 5000, "xz", "-c")
	for i := range 8 * 40 { // of the index and the footer
		bad := bytes.Clone(b)
		bad[len(b)-1-i/8] ^= 1 << (i % 8)
		if got, ok := of(bad, "xz"); ok && got != 5000 {
			t.Errorf("xz with another bit %d from behind: %d", i, got)
		}
	}
}

// xzOf is a stream with a block of 12 bytes and an index with one record that says what it is told to.
func xzOf(records, length, size uint64) []byte {
	b := []byte("\xfd7zXZ\x00\x00\x01....block.......")[:12+12]
	index := []byte{0}
	for _, n := range []uint64{records, length, size} {
		index = binary.AppendUvarint(index, n)
	}
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(index))
	foot := append(binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1)), "\x00\x01"...)
	b = append(b, index...)
	return append(append(binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(foot)), foot...), "YZ"...)
}

// A file that cannot be read, or nobody waits for any more, claims nothing.
func TestOfUnreadable(t *testing.T) {
	b := packed(t, 2<<20, "xz", "-c", "--block-size=4096")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := Of(ctx, bytes.NewReader(b), int64(len(b)), "xz"); ok {
		t.Error("given up, and a claim")
	}
	for n := range 20 {
		r := &failing{bytes.NewReader(b), n}
		if got, ok := Of(t.Context(), r, int64(len(b)), "xz"); ok && r.left < 0 {
			t.Errorf("the read %d fails: %d", n, got)
		}
	}
	if _, ok := Of(t.Context(), bytes.NewReader(b[:100]), int64(len(b)), "zstd"); ok {
		t.Error("shorter than it was")
	}
}

type failing struct {
	io.ReaderAt
	left int
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errors.New("no")
	}
	return f.ReaderAt.ReadAt(p, off)
}

func FuzzOf(f *testing.F) {
	for _, tt := range tools {
		f.Add(packed(f, 3000, tt.cmd...))
	}
	f.Add(xzOf(1, 9, 1<<59))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, compression := range []string{"zstd", "xz", "lz4"} {
			n, ok := of(b, compression)
			if n < 0 || n > maxSize || ok != (n != 0) {
				t.Errorf("%s: %d", compression, n)
			}
			// One behind the other claim the sum.
			if twice, again := of(append(bytes.Clone(b), b...), compression); ok && n <= maxSize/2 && (!again || twice != 2*n) {
				t.Errorf("%s twice: %d, %v, not twice %d", compression, twice, again, n)
			}
		}
	})
}

// What a file has in frames costs memory for as many places as there may be use for, whatever their headers say: it takes nine bytes to make one.
func TestFramesAreBounded(t *testing.T) {
	const single, sized = 1 << 5, 2 << 6
	end := "\x01\x00\x00" // the last block, of nothing
	empty := "\x28\xb5\x2f\xfd" + string([]byte{single, 0}) + end
	lie := "\x28\xb5\x2f\xfd" + string([]byte{single | sized, 0, 0, 32, 0}) + end // 2 MiB
	for what, c := range map[string]struct {
		file string
		want int
	}{
		"frames of nothing":           {strings.Repeat(empty, 100000), 1},
		"some that say 2 MiB":         {strings.Repeat(empty+lie, 10), 10},
		"more of those than there be": {strings.Repeat(lie, maxFrames+10), maxFrames},
	} {
		all, _ := Frames(t.Context(), strings.NewReader(c.file), int64(len(c.file)))
		if len(all) != c.want || all[0] != (Frame{}) {
			t.Errorf("%s: %d frames, want %d", what, len(all), c.want)
		}
	}
}

// Where frames are said to begin a decoder can begin, and gives what the whole has from there on.
func FuzzFrames(f *testing.F) {
	zeros := func(n int) []byte {
		e := judge.Value(zstd.NewWriter(nil))(f)
		return e.EncodeAll(make([]byte, n), nil)
	}
	f.Add(append(zeros(minFrame), zeros(minFrame+5)...))
	f.Add(bytes.Join([][]byte{[]byte("\x50\x2a\x4d\x18\x03\x00\x00\x00xyz"), zeros(2 * minFrame), zeros(1), zeros(minFrame)}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, window := Frames(t.Context(), bytes.NewReader(b), int64(len(b)))
		if window < 0 || window > maxSize || len(all) > len(b)/9 {
			t.Fatalf("%d frames, a window of %d", len(all), window)
		}
		if len(all) == 0 {
			return
		}
		whole, err := decodeFrom(t, b)
		for n, frame := range all {
			if frame.At < 0 || frame.At >= int64(len(b)) || n > 0 && (frame.At <= all[n-1].At || frame.Off < all[n-1].Off+minFrame) || n == 0 && frame.Off != 0 {
				t.Fatalf("frame %d of %+v", n, all)
			}
			if err != nil || n > 3 {
				continue // what does not decode is no image, wherever its frames are
			}
			if part, err := decodeFrom(t, b[frame.At:]); err != nil || frame.Off > int64(len(whole)) || !bytes.HasPrefix(part, whole[frame.Off:]) && len(whole) < mostDecoded {
				t.Fatalf("frame %d, %+v: %d bytes of %d, %v", n, frame, len(part), len(whole), err)
			}
		}
	})
}

const mostDecoded = 8 << 20

// decodeFrom is what b decodes to, at most mostDecoded bytes of it.
func decodeFrom(t *testing.T, b []byte) ([]byte, error) {
	d := judge.Value(zstd.NewReader(struct{ io.Reader }{bytes.NewReader(b)}, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20)))(t)
	defer d.Close()
	return io.ReadAll(io.LimitReader(d, mostDecoded))
}
