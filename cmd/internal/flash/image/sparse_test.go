package image

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/fixtures/judge"
)

// sparse is a file of such a size that has data in some places alone, and what a reader of all of it gets.
func sparse(t *testing.T, size int64, places map[int64]string) (name string, content []byte) {
	name = filepath.Join(t.TempDir(), "sparse.img")
	judge.WriteFile(t, name, "")
	judge.Must(t, os.Truncate(name, size))
	f := judge.Value(os.OpenFile(name, os.O_WRONLY, 0))(t)
	content = make([]byte, size)
	for at, s := range places {
		judge.Value(f.WriteAt([]byte(s), at))(t)
		copy(content[at:], s)
	}
	judge.Must(t, f.Close())
	return name, content
}

// bytesRead is how many bytes this process has read by now (proc(5), io).
func bytesRead(t *testing.T) (n int64) {
	if _, err := fmt.Fscanf(strings.NewReader(string(judge.ReadFile(t, "/proc/self/io"))), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// The holes of a raw image are zeros that nobody reads.
func TestSparse(t *testing.T) {
	const size = 200<<20 + 1536
	name, content := sparse(t, size, map[int64]string{510: "\x55\xaa", 3 << 20: "data", 70<<20 - 2: "across two chunks", 150<<20 + 5000: "more", size - 3: "end"})
	before := bytesRead(t)
	i := open(t, name, "", nil)
	var got []byte
	judge.Must(t, i.Walk(t.Context(), nil, func(c chunk.Chunk, data []byte) error {
		if data == nil {
			data = make([]byte, c.Len)
		}
		got = append(got, data...)
		return nil
	}))
	if !bytes.Equal(got, content) {
		t.Errorf("%d bytes, or others", len(got))
	}
	if n := bytesRead(t) - before; n > size/4 {
		t.Errorf("%d bytes were read of a file with five places that are no holes", n)
	}
	if i := open(t, name, sumOf(content), nil); i.Sum() != sumOf(content) {
		t.Error("its SHA-256 is another")
	}
	for _, end := range []int64{0, 1, 512} { // all of it is a hole, or its end is
		name, content := sparse(t, 5<<20+end, map[int64]string{510: "\x55\xaa"})
		if got, err := whole(open(t, name, "", nil)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: %d came, %v", len(content), len(got), err)
		}
	}
}

// Chunks of zeros are known of before the walk comes to them: holes, what is in memory, and what was decoded. None is named that is no zeros.
func TestZeros(t *testing.T) {
	const size = 20<<20 + 1536
	name, content := sparse(t, size, map[int64]string{510: "\x55\xaa", 3 << 20: "data", 7<<20 - 2: "across two chunks", 15<<20 + 5000: "more", 16 << 20: string(make([]byte, chunk.Size))})
	packed := filepath.Join(t.TempDir(), "packed.img.gz")
	judge.WriteFile(t, packed, judge.Gzip(content))
	end := bytes.Clone(content)
	end[size-1] = 1
	for name, c := range map[string]struct {
		file string
		of   []byte
	}{"raw": {name, content}, "packed": {packed, content}, "data at the end": {old(t, filepath.Join(t.TempDir(), "end.img"), end), end}} {
		var want, got []chunk.Chunk
		for n := int64(0); n*chunk.Size < size; n++ {
			if one := chunk.Of(n, c.of[n*chunk.Size:min(size, (n+1)*chunk.Size)]); one.Zero {
				want = append(want, one)
			}
		}
		i := open(t, c.file, "", nil)
		judge.Must(t, i.Zeros(t.Context(), func(one chunk.Chunk) error { got = append(got, one); return nil }))
		if len(got) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: %v, not %v", name, got, want)
		}
		failed := errors.New("no more")
		if err := i.Zeros(t.Context(), func(chunk.Chunk) error { return failed }); err != failed {
			t.Errorf("%s: %v", name, err)
		}
	}
}
