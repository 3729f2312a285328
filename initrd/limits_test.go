package initrd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// bomb is an archive with one file of size zeros, or with size zeros behind
// its trailer, as c's own tool packs it: never whole in memory.
func bomb(t *testing.T, c Compression, size int64, behind bool) []byte {
	t.Helper()
	args := map[Compression][]string{Gzip: {"gzip", "-1c"}, Zstd: {"zstd", "-qc"}, Xz: {"xz", "-0c", "--check=crc32"},
		Lzma: {"xz", "-0c", "--format=lzma"}, Bzip2: {"bzip2", "-1c"}, Lzo: {"lzop", "-1c"}, Lz4: {"lz4", "-qlc"}}[c]
	judge.Tools(t, args[0])
	head := record(Entry{Name: "zeros", Mode: TypeFile | 0o644})
	copy(head[6+8*hSize:], []byte("C0000000")) // 3 GiB
	if behind {
		head = run(file("a", ""))
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = io.MultiReader(bytes.NewReader(head), io.LimitReader(nothing{}, size))
	return judge.Output(t, cmd)
}

type nothing struct{}

func (nothing) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// allocated is the bytes that f allocates in all, which bounds what it holds.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A bomb costs memory by the limit, not by what it would unpack to.
func TestBomb(t *testing.T) { bombs(t, 5) }

// bombs feeds one in some.
func bombs(t *testing.T, one int) {
	tried := 0
	const size, limit = 48 << 20, 8 << 20
	for _, c := range compressions[1:] {
		for _, behind := range []bool{false, true} {
			if tried++; tried%one != 0 {
				continue
			}
			b := bomb(t, c, size, behind)
			n := allocated(func() {
				if _, err := Read(bytes.NewReader(b), Limits{Unpacked: limit}); !errors.Is(err, ErrTooLarge) {
					t.Errorf("%s, %v: %v", c, behind, err)
				}
			})
			if n > 64<<20 {
				t.Errorf("%s, %v: %d MiB allocated for %d bytes under a limit of %d MiB", c, behind, n>>20, len(b), limit>>20)
			}
		}
	}
}

// What a few bytes claim is not allocated: dictionaries and windows are bounded
// by what the kernel takes.
func TestClaims(t *testing.T) {
	xz := pack(t, Xz, run())
	giant := bytes.Clone(xz)
	giant[12+4] = 40 // the block header's dictionary: 4 GiB
	lzma := pack(t, Lzma, run())
	binary.LittleEndian.PutUint32(lzma[1:], 1<<32-1)
	size := record(file("f", ""))
	copy(size[6+8*hSize:], "7fffffff")
	many := bytes.Repeat(record(file(strings.Repeat("n", 4000), "")), 3000)
	for name, b := range map[string][]byte{
		"xz dictionary":       giant,
		"lzma dictionary":     lzma,
		"lzma size":           append(bytes.Clone(lzma[:5]), "\xff\xff\xff\xff\xff\xff\xff\x7f\x00\x00\x00\x00\x00"...),
		"zstd window":         append([]byte(zstdMagic), 0x00, 0xff, 0x01, 0, 0),
		"zstd content size":   append([]byte(zstdMagic), 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0),
		"zstd repeated block": append([]byte(zstdMagic), 0x00, 0x88, 0xff, 0xff, 0xff, '0'),
		"file size":           size,
		"lz4 block":           append([]byte(lz4Magic), 0xff, 0xff, 0x7f, 0),
		"names":               many,
	} {
		n := allocated(func() {
			if _, err := Read(bytes.NewReader(b), Limits{Unpacked: 4 << 20}); err == nil {
				t.Errorf("%s: read", name)
			}
		})
		if n > 40<<20 {
			t.Errorf("%s: %d MiB allocated for %d bytes", name, n>>20, len(b))
		}
	}
}

func TestLimits(t *testing.T) {
	small := run(file("f", "data"))
	for name, c := range map[string]struct {
		b    []byte
		l    Limits
		fits bool
	}{
		"as many segments":    {bytes.Repeat(small, 256), Limits{}, true},
		"one segment more":    {bytes.Repeat(small, 257), Limits{}, false},
		"thousands":           {bytes.Repeat(pack(t, Gzip, small), 5000), Limits{}, false},
		"zeros between":       {join(small, make([]byte, 1<<20), small), Limits{}, true},
		"more than may be":    {join(small, make([]byte, 1<<20), small), Limits{Unpacked: 1 << 20}, false},
		"zeros in a stream":   {pack(t, Zstd, join(small, make([]byte, 1<<20), small)), Limits{}, true},
		"too many of those":   {pack(t, Zstd, join(small, make([]byte, 1<<20), small)), Limits{Unpacked: 1 << 20}, false},
		"two entries of two":  {small, Limits{Entries: 2}, true},
		"two entries of one":  {small, Limits{Entries: 1}, false},
		"in all the segments": {join(small, small), Limits{Entries: 3}, false},
		"data in all of them": {join(pack(t, Gzip, run(file("f", strings.Repeat("x", 3000)))), pack(t, Zstd, run(file("g", strings.Repeat("y", 3000))))), Limits{Unpacked: 5000}, false},
	} {
		_, err := Read(bytes.NewReader(c.b), c.l)
		if c.fits && err != nil || !c.fits && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A tree of 2,000 nested directories is read in time that grows with its size:
// resolving every name from the root took ten seconds.
func TestDeepTree(t *testing.T) {
	var entries []Entry
	name := "d"
	for len(name) < 4000 {
		entries = append(entries, Entry{Name: name, Mode: TypeDir | 0o755, Nlink: 2})
		name += "/d"
	}
	img := judge.Value(New(None, entries...))(t)
	last := entries[len(entries)-1].Name
	if e := img.Lookup(last); e == nil || !e.IsDir() {
		t.Errorf("the deepest directory is not there")
	}
}

// A path that symlinks make longer than PATH_MAX is refused: its length would
// not follow the input's.
func TestLongThroughLinks(t *testing.T) {
	long := strings.Repeat("d", 200)
	entries := []Entry{{Name: long, Mode: TypeDir | 0o755, Nlink: 2}}
	deep := long
	for range 15 {
		deep += "/" + long
		entries = append(entries, Entry{Name: deep, Mode: TypeDir | 0o755, Nlink: 2})
	}
	entries = append(entries,
		Entry{Name: "link", Mode: TypeLink | 0o777, Nlink: 1, Data: []byte(deep)},
		Entry{Name: "link/" + strings.Repeat("x/", 450) + "x", Mode: TypeFile | 0o644, Nlink: 1})
	if _, err := New(None, entries...); !errors.Is(err, ErrFormat) {
		t.Errorf("New: %v, want %v", err, ErrFormat)
	}
}
