package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/fixtures/judge"
)

// large is an image of so many chunks, of which each is another one, and zeros among them; it packs well.
func large(chunks int) []byte {
	b := make([]byte, chunks*chunk.Size+512)
	for n := range chunks {
		if n%7 != 5 {
			copy(b[n*chunk.Size:], judge.Noise(uint64(n), 8192))
			copy(b[n*chunk.Size+chunk.Size/2:], judge.Noise(uint64(n), 4096)) // not in the sample of it
		}
	}
	copy(b[510:], "\x55\xaa")
	binary.LittleEndian.PutUint32(b[len(b)-512:], 7)
	return b
}

// Of a large .zst file the decoded image is kept in part, until another part of it is wanted; what comes then is the image.
func TestKeptInPart(t *testing.T) {
	for _, kept := range []bool{false, true} {
		t.Run(map[bool]string{false: "first time", true: "index kept"}[kept], func(t *testing.T) { keptInPart(t, kept) })
	}
}

// keptInPart tries an image of which the index is kept, or not.
func keptInPart(t *testing.T, kept bool) {
	content := large(100)
	packed := packWith(t, []string{"zstd", "-1"}, content)
	name := old(t, filepath.Join(t.TempDir(), "image.zst"), packed)
	if kept {
		judge.Must(t, open(t, name, "", nil, Force(true)).Load(t.Context()))
	}
	open := func(t *testing.T) *Image {
		file := name
		if !kept {
			file = old(t, filepath.Join(t.TempDir(), "image.zst"), packed)
		}
		i := open(t, file, "", nil, Force(true))
		judge.Must(t, i.Walk(t.Context(), func(int64) bool { return false }, nil))
		if i.KeepsAll() {
			t.Fatal("all of it is kept")
		}
		return i
	}
	t.Run("samples", func(t *testing.T) {
		i := open(t)
		for n := range int64(101) {
			most := chunk.SampleLen(n)
			data, ok := i.Peek(n, most)
			if size := min(most, len(content)-int(n)*chunk.Size); !ok || !bytes.Equal(data, content[n*chunk.Size:][:size]) {
				t.Errorf("chunk %d: %v, %d bytes", n, ok, len(data))
			}
			if _, ok := i.Peek(n, min(most+1, chunk.Size)); ok != (n <= 64 || n == 100) { // the last one is as short as that
				t.Errorf("more of chunk %d: %v", n, ok)
			}
		}
		if data, err := i.Read(t.Context(), 64); err != nil || !bytes.Equal(data, content[64<<20:65<<20]) || i.KeepsAll() {
			t.Errorf("a sample: %d bytes, %v", len(data), err)
		}
	})
	for what, read := range map[string]func(i *Image) ([]byte, int64, error){
		"a chunk": func(i *Image) ([]byte, int64, error) {
			b, err := i.Read(t.Context(), 99)
			return b, 99 << 20, err
		},
		"some bytes": func(i *Image) ([]byte, int64, error) {
			b, err := i.readAt(t.Context(), 90<<20-100, 200)
			return b, 90<<20 - 100, err
		},
		"all of it": func(i *Image) ([]byte, int64, error) { b, err := whole(i); return b, 0, err },
		"its content": func(i *Image) ([]byte, int64, error) {
			b := make([]byte, 10000)
			_, err := i.wholeContent().ReadAt(b, 97<<20-5000)
			return b, 97<<20 - 5000, err
		},
		"its file": func(i *Image) ([]byte, int64, error) {
			f, err := i.decodedFile()
			if err != nil {
				return nil, 0, err
			}
			b := make([]byte, len(content))
			_, err = f.ReadAt(b, 0)
			return b, 0, err
		},
		"what is kept": func(i *Image) ([]byte, int64, error) {
			err := i.KeepAll()
			b, ok := i.Peek(70, chunk.Size)
			if !ok {
				err = errors.Join(err, errors.New("it is not kept"))
			}
			return b, 70 << 20, err
		},
	} {
		t.Run(what, func(t *testing.T) {
			i := open(t)
			b, off, err := read(i)
			if err != nil || len(b) == 0 || !bytes.Equal(b, content[off:][:len(b)]) || !i.KeepsAll() {
				t.Errorf("%d bytes, all kept %v, %v", len(b), i.KeepsAll(), err)
			}
			if sum, err := i.DecodedSum(t.Context()); err != nil || sum != sumOf(content) {
				t.Errorf("its sum: %s, %v", sum, err)
			}
		})
	}
}

// What is decoded again is held against what was decoded before: a file that is another one by then, or none, does no harm.
func TestKeptInPartAndChanged(t *testing.T) {
	other := large(100)
	copy(other[76<<20:], "another")
	changed := packWith(t, []string{"zstd", "-1"}, other)
	for what, change := range map[string]func(name string) error{
		"another image": func(name string) error { return os.WriteFile(name, changed, 0o644) },
		"half of it":    func(name string) error { return os.Truncate(name, int64(len(changed)/2)) },
		"nothing":       func(name string) error { return os.Truncate(name, 0) },
		"a text":        func(name string) error { return os.WriteFile(name, bytes.Repeat([]byte("text "), 1<<20), 0o644) },
	} {
		t.Run(what, func(t *testing.T) {
			name := old(t, filepath.Join(t.TempDir(), "image.zst"), packWith(t, []string{"zstd", "-1"}, large(100)))
			i := open(t, name, "", nil, Force(true))
			judge.Must(t, i.Load(t.Context()))
			judge.Must(t, change(name))
			if b, err := i.Read(t.Context(), 76); err == nil {
				t.Errorf("%d bytes of a chunk that is another one", len(b))
			}
			if err := i.Walk(t.Context(), func(int64) bool { return false }, nil); !errors.Is(err, ErrChanged) {
				t.Errorf("a walk: %v", err)
			}
		})
	}
}
