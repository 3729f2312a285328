package image

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/mikelolasagasti/xz"

	"groundhog/cmd/internal/flash/image/claim"
	"groundhog/cmd/internal/flash/image/xzblock"
	"groundhog/fixtures/judge"
)

// cores gives the process as many as several blocks at once need, on a machine with one, too.
func cores(t *testing.T, n int) {
	old := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(old) })
}

// An .xz file of several blocks is the same image on one core and on many: its content, its checksum as it is stored, what is kept of
// it. Damaged, it is none.
func TestBlocks(t *testing.T) {
	want := disk(11 << 20)
	stored := packWith(t, []string{"xz", "-c", "-0", "-T2", "--block-size=2097152"}, want)
	withXZ(t, "")
	for _, n := range []int{1, 2, 5} {
		cores(t, n)
		name := old(t, filepath.Join(t.TempDir(), "image.xz"), stored)
		i := open(t, name, sumOf(stored), nil)
		if got, err := whole(i); err != nil || !bytes.Equal(got, want) || i.Sum() != sumOf(stored) {
			t.Errorf("%d cores: %d bytes, %v", n, len(got), err)
		}
		if again := open(t, name, "", nil); again.Index() == nil || again.Sum() != sumOf(stored) {
			t.Errorf("%d cores: nothing was kept", n)
		}
		for _, at := range []int{100, len(stored) / 3, len(stored) / 2, len(stored) * 9 / 10} {
			bad := bytes.Clone(stored)
			bad[at] ^= 4
			i, err := Open(t.Context(), old(t, filepath.Join(t.TempDir(), "bad.xz"), bad), "", nil, Force(true))
			if err != nil {
				continue
			}
			if got, err := whole(i); err == nil || !strings.Contains(err.Error(), "xz: data is corrupt") || !bytes.HasPrefix(want, got) {
				t.Errorf("%d cores, byte %d is another: %d bytes, %v", n, at, len(got), err)
			}
			i.Close()
		}
	}
}

// Who opens an image and wants nothing of it leaves nothing behind that decodes.
func TestOpenedInVain(t *testing.T) {
	cores(t, 3)
	b := disk(11 << 20)
	for name, cmd := range map[string][]string{"xz": {"xz", "-c", "-0", "--block-size=2097152"}, "zstd": {"zstd", "-q", "-c", "-1"}} {
		file := old(t, filepath.Join(t.TempDir(), "image"), packWith(t, cmd, b))
		before := runtime.NumGoroutine()
		i := judge.Value(Open(t.Context(), file, "", nil))(t)
		i.Close()
		judge.Until(t, name+": its goroutines ended", func() bool { return runtime.NumGoroutine() <= before })
	}
}

// BenchmarkXZ holds the ways to decode an .xz file against one another: the library on one core, blocks at once, the host's xz. The file is
// GROUNDHOG_XZ, or one that is made here: 96 MiB in blocks of 8.
func BenchmarkXZ(b *testing.B) {
	name := os.Getenv("GROUNDHOG_XZ")
	if name == "" {
		text := new(bytes.Buffer)
		for n := 0; text.Len() < 96<<20; n++ {
			fmt.Fprintf(text, "%x %d a line that is not quite like the others\n", n*n*7919, n)
		}
		name = old(b, filepath.Join(b.TempDir(), "image.xz"), packWith(b, []string{"xz", "-c", "-1", "-T0", "--block-size=8388608"}, text.Bytes()))
	}
	f := judge.Value(os.Open(name))(b)
	defer f.Close()
	info := judge.Value(f.Stat())(b)
	streams, _ := claim.XZStreams(b.Context(), f, info.Size())
	size, ok := claim.Of(b.Context(), f, info.Size(), "xz")
	if !ok {
		b.Fatalf("%s says nothing of its size", name)
	}
	each := func(name string, decode func(r io.Reader) (io.Reader, error)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for range b.N {
				r := judge.Value(decode(io.NewSectionReader(f, 0, info.Size())))(b)
				if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 1<<20)); n != size || err != nil {
					b.Fatalf("%d bytes, %v", n, err)
				}
				if c, ok := r.(io.Closer); ok {
					c.Close()
				}
			}
		})
	}
	each("library", func(r io.Reader) (io.Reader, error) { return xz.NewReader(r, maxWindow) })
	if n := runtime.GOMAXPROCS(0); xzblock.Worth(streams, n, maxWindow, decodingMemory()) {
		each("blocks", func(r io.Reader) (io.Reader, error) {
			return xzblock.NewReader(r, streams, n, maxWindow, decodingMemory()), nil
		})
	}
	for _, threads := range []int{1, 0} {
		each("xz -T"+strconv.Itoa(threads), func(io.Reader) (io.Reader, error) {
			cmd := exec.Command(judge.Tool(b, "xz"), "-dc", "-T"+strconv.Itoa(threads), name)
			out, err := cmd.StdoutPipe()
			if err != nil {
				return nil, err
			}
			b.Cleanup(func() { cmd.Wait() })
			return out, cmd.Start()
		})
	}
}
