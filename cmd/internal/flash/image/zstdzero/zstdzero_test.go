package zstdzero

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"groundhog/fixtures/judge"
)

const window = 8 << 20

// gap is so long that blocks of it are left out, and its end is not at a block's.
const gap = 20<<20 + 4097

// disk is content before, between and behind gaps. What is behind one is before it as well, so that a match may reach across a short one.
func disk(gaps ...int) []byte {
	text := judge.Noise(1, 300<<10)
	b := append([]byte(nil), text...)
	for n, gap := range gaps {
		b = append(append(b, make([]byte, gap)...), text[n:]...)
	}
	return b
}

func pack(t testing.TB, b []byte, args ...string) []byte {
	t.Helper()
	c := exec.Command(judge.Tool(t, "zstd"), append([]string{"-q", "-c"}, args...)...)
	c.Stdin = bytes.NewReader(b)
	return judge.Output(t, c)
}

// byLibrary decodes with the library alone: what everything is held against.
func byLibrary(b []byte) ([]byte, error) {
	d, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return io.ReadAll(d)
}

// decode decodes, in reads of what a random generator says where there is one.
func decode(b []byte, sizes *rand.Rand) (out []byte, err error) {
	r, err := NewReader(bufio.NewReader(bytes.NewReader(b)), window, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if sizes == nil {
		return io.ReadAll(r)
	}
	for {
		n := 1 << sizes.IntN(23)
		out = slices.Grow(out, n)
		k, err := r.Read(out[len(out) : len(out)+n])
		out = out[:len(out)+k]
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
	}
}

// run is a block of a byte, repeated (section 3.1.1.2.2).
func run(of byte, size int, last bool) []byte {
	v := size<<3 | 1<<1
	if last {
		v |= 1
	}
	return []byte{byte(v), byte(v >> 8), byte(v >> 16), of}
}

// rawBlock is a block that is its own content.
func rawBlock(content string, last bool) []byte {
	b := run(0, len(content), last)
	b[0] &^= 1 << 1
	return append(b[:3], content...)
}

// frameOf has these blocks, and no size or sum: a window of 1 MiB.
func frameOf(blocks ...[]byte) []byte {
	return append([]byte{0x28, 0xB5, 0x2F, 0xFD, 0, 10 << 3}, slices.Concat(blocks...)...)
}

// runs is a block so many times.
func runs(of byte, n int) []byte { return bytes.Repeat(run(of, maxBlock, false), n) }

// files are whole ones.
func files(t testing.TB) map[string][]byte {
	sum, plain := disk(gap, 3<<20, gap+100<<10, 5000), disk(gap)
	all := map[string][]byte{
		"text alone":  pack(t, judge.Noise(2, 100_000)),
		"nothing":     pack(t, nil),
		"zeros":       pack(t, make([]byte, gap)),
		"a gap first": pack(t, append(make([]byte, gap), "x"...)),
		"without sum": pack(t, plain, "--no-check"),
		"frames":      slices.Concat(pack(t, plain), pack(t, plain, "-9", "--no-check"), pack(t, nil), []byte{0x53, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3}, pack(t, plain[:1000]), []byte{0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0}),
		"by hand":     frameOf(rawBlock("a", false), runs(0, 40), run(0, 77, false), rawBlock("b", false), runs(0, 40), runs('c', 40), runs(0, 700), rawBlock("", false), run(0, 0, false), runs(0, 10), run(0, 5, true)),
		"empty end":   frameOf(runs(0, 40), rawBlock("", true)),
	}
	for _, args := range [][]string{{"-1"}, {"-3"}, {"-9"}, {"-19", "--long=22"}, {"-3", "-T2", "-B1MiB"}, {"-3", "--stream-size=" + fmt.Sprint(len(sum))}} {
		all[fmt.Sprint(args)] = pack(t, sum, args...)
	}
	return all
}

// It decodes to what the library does, however it is read.
func TestSameAsLibrary(t *testing.T) {
	for name, b := range files(t) {
		t.Run(name, func(t *testing.T) {
			want := judge.Value(byLibrary(b))(t)
			for n := range 4 {
				var sizes *rand.Rand
				if n > 0 {
					sizes = rand.New(rand.NewPCG(uint64(n), 0))
				}
				if got, err := decode(b, sizes); err != nil || !bytes.Equal(got, want) {
					t.Errorf("reads %d: %d bytes, not %d: %v", n, len(got), len(want), err)
				}
			}
			r := judge.Value(NewReader(bufio.NewReader(iotest.HalfReader(bytes.NewReader(b))), window, nil))(t)
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
				t.Errorf("half reads: %d bytes: %v", len(got), err)
			}
		})
	}
}

// What is left out is: of a gap the decoder gets what its window has.
func TestLeftOut(t *testing.T) {
	b := frameOf(rawBlock("a", false), runs(0, 8000), rawBlock("b", true))
	r := judge.Value(NewReader(bufio.NewReader(bytes.NewReader(b)), window, nil))(t)
	defer r.Close()
	judge.Must(t, r.openFrame())
	given := judge.Value(io.ReadAll(blocks{r}))(t)
	if most := (3 + maxBlock) * (8 + 8000*maxBlock/maxLeft + 20); len(given) > most || r.pending < 7900*maxBlock {
		t.Errorf("%d bytes were given of %d; %d zeros left out", len(given), 8000*maxBlock, r.pending)
	}
}

// come is as much of a file as a device was sent.
type come struct {
	b  []byte
	at int64
}

func (c *come) Read(p []byte) (int, error) {
	if c.at == int64(len(c.b)) {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, c.b[c.at:])
	c.at += int64(n)
	return n, nil
}

// With as much of a file as it says it took for a part of the image a device has that part.
func TestTaken(t *testing.T) {
	for name, b := range files(t) {
		t.Run(name, func(t *testing.T) {
			var taken atomic.Int64
			r := judge.Value(NewReader(bufio.NewReader(bytes.NewReader(b)), window, &taken))(t)
			defer r.Close()
			var sent come
			device := judge.Value(zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window)))(t)
			defer device.Close()
			buf, has := make([]byte, 1<<20), make([]byte, 1<<20)
			for at := 0; ; {
				n, err := r.Read(buf[:len(buf)-at%3])
				if err == io.EOF {
					if taken.Load() > int64(len(b)) {
						t.Errorf("%d bytes of %d were taken", taken.Load(), len(b))
					}
					return
				}
				judge.Must(t, err)
				sent.b = b[:taken.Load()]
				if at == 0 {
					judge.Must(t, device.Reset(&sent))
				}
				if _, err := io.ReadFull(device, has[:n]); err != nil || !bytes.Equal(has[:n], buf[:n]) {
					t.Fatalf("with %d bytes of the file a device has not the %d of the image from byte %d: %v", len(sent.b), n, at, err)
				}
				at += n
			}
		})
	}
}

// A file that was cut, wherever, never comes to a proper end, but where a frame does.
func TestCut(t *testing.T) {
	b := slices.Concat(frameOf(rawBlock("a", false), runs(0, 20), rawBlock("b", false), runs(0, 20), run(0, 9, true)), pack(t, []byte("text")))
	ends := []int{0, len(b) - len(pack(t, []byte("text"))), len(b)}
	for n := range len(b) + 1 {
		_, err := decode(b[:n], nil)
		if whole := slices.Contains(ends, n); (err == nil) != whole || !whole && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut behind %d bytes: %v", n, err)
		}
	}
}

// A frame that decodes to something else than it says ends with an error, as does one that asks for what is not given.
func TestRefused(t *testing.T) {
	whole := pack(t, disk(gap), "--stream-size="+fmt.Sprint(len(disk(gap))))
	sum, size := bytes.Clone(whole), bytes.Clone(whole)
	sum[len(sum)-1] ^= 1
	size[6] ^= 1 // of the size's four bytes, behind magic, descriptor and window, the first
	for name, c := range map[string]struct {
		b   []byte
		err error
	}{
		"sum":        {sum, zstd.ErrCRCMismatch},
		"size":       {size, zstd.ErrFrameSizeMismatch},
		"window":     {[]byte{0x28, 0xB5, 0x2F, 0xFD, 0, 13<<3 | 1}, zstd.ErrWindowSizeExceeded},
		"one window": {[]byte{0x28, 0xB5, 0x2F, 0xFD, 0xA0, 1, 0, 128, 0, 0, 0, 0}, zstd.ErrWindowSizeExceeded},
		"dictionary": {[]byte{0x28, 0xB5, 0x2F, 0xFD, 1, 10 << 3, 7}, zstd.ErrUnknownDictionary},
		"no frame":   {append(frameOf(rawBlock("a", true)), "more"...), zstd.ErrMagicMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := decode(c.b, nil); !errors.Is(err, c.err) {
				t.Errorf("%v, not %v", err, c.err)
			}
		})
	}
}

func TestWindowDescriptor(t *testing.T) {
	of := func(d byte) uint64 { return (8 + uint64(d&7)) << (7 + d>>3) }
	for d := range byte(20 << 3) {
		if size := of(d); windowDescriptor(size) != d || windowDescriptor(size-1) != d && size > 1024 || windowDescriptor(size+1) != d+1 {
			t.Errorf("%d: %d, %d, %d", d, windowDescriptor(size-1), windowDescriptor(size), windowDescriptor(size+1))
		}
	}
}

// What the library takes is the same here, and what it does not take is not taken.
func FuzzSameAsLibrary(f *testing.F) {
	small := func(blocks ...[]byte) []byte {
		return append([]byte{0x28, 0xB5, 0x2F, 0xFD, 0, 0}, slices.Concat(blocks...)...)
	}
	zeros := bytes.Repeat(run(0, 1000, false), 9)
	text := pack(f, []byte("once, and once, and once, and once more"))
	for _, b := range [][]byte{text, slices.Concat(small(zeros, rawBlock("a", false), zeros, run(0, 7, true)), text), pack(f, make([]byte, 3000)), pack(f, nil),
		small(zeros, run('a', 1, false), zeros, rawBlock("", true)), {0x53, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3},
		pack(f, slices.Concat(judge.Noise(1, 200), make([]byte, 3000), judge.Noise(1, 200)), "-1", "--no-check", "--stream-size=3400")} {
		f.Add(b, uint16(500))
	}
	const most = 1 << 20
	f.Fuzz(func(t *testing.T, b []byte, asked uint16) {
		if len(b) > 4096 {
			return
		}
		library := judge.Value(zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window)))(t)
		defer library.Close()
		r := judge.Value(NewReader(bufio.NewReader(bytes.NewReader(b)), window, nil))(t)
		defer r.Close()
		r.asked = int(asked) + 1
		want, wrong := io.ReadAll(io.LimitReader(library, most))
		got, err := io.ReadAll(io.LimitReader(r, most))
		if (err == nil) != (wrong == nil) && len(want) < most || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v; the library: %d, %v", len(got), err, len(want), wrong)
		}
	})
}
