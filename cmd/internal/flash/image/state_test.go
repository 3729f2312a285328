package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image/index"
	"groundhog/cmd/internal/hint"

	"groundhog/fixtures/judge"
)

// during calls do once, when the image was read to its end and its first chunk is being sent.
func during(t *testing.T, i *Image, do func()) error {
	t.Helper()
	return i.Walk(t.Context(), nil, func(c chunk.Chunk, _ []byte) error {
		if c.N == 0 {
			if err := i.Load(t.Context()); err != nil {
				return err
			}
			do()
		}
		return nil
	})
}

// However an image changes while it is sent, in what is sent or in what the disk has already: it is never whole. Something
// else about the file may change.
func TestChangesDuring(t *testing.T) {
	content := disk(4 << 20)
	write := func(name string, off int64, s string) error {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte(s), off)
		return errors.Join(err, f.Close())
	}
	for what, c := range map[string]struct {
		do    func(name string) error
		whole bool
	}{
		"a byte at its beginning": {func(n string) error { return write(n, 3, "x") }, false},
		"a byte at its end":       {func(n string) error { return write(n, 4<<20-1, "x") }, false},
		"it grows":                {func(n string) error { return write(n, 4<<20, "more") }, false},
		"it is cut":               {func(n string) error { return os.Truncate(n, 3<<20) }, false},
		"all of it is zeroed":     {func(n string) error { return errors.Join(os.Truncate(n, 0), os.Truncate(n, 4<<20)) }, false},
		"it is another's now":     {func(n string) error { return os.Chmod(n, 0o640) }, true},
		"it is renamed":           {func(n string) error { return os.Rename(n, n+".old") }, true},
		"the same bytes again":    {func(n string) error { return write(n, 0, string(content[:4096])) }, true},
	} {
		for _, kept := range []bool{false, true} {
			name := old(t, filepath.Join(t.TempDir(), "image"), content)
			if kept {
				judge.Must(t, open(t, name, "", nil).Load(t.Context()))
			}
			i := open(t, name, "", nil)
			if kept != (i.Index() != nil) {
				t.Fatalf("%s: index %v", what, i.Index() != nil)
			}
			err := during(t, i, func() { judge.Must(t, c.do(name)) })
			if c.whole && err != nil || !c.whole && err == nil {
				t.Errorf("%s, index kept %v: %v", what, kept, err)
			}
		}
	}
}

// An image that was written just now is read as it is in the end.
func TestOpenJustWritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "image")
	for range 20 { // each is younger than the clock's grain
		want := disk(1 << 20)
		want[7]++
		judge.Must(t, os.WriteFile(name, want, 0o600))
		i := judge.Value(Open(t.Context(), name, "", nil))(t)
		want[9]++
		judge.Must(t, os.WriteFile(name, want, 0o600)) // within the grain of what was opened, were it not waited for
		if got, err := whole(i); err == nil && !bytes.Equal(got, want) {
			t.Error("what was read is not the image, and nothing is said")
		}
		i.Close()
	}
}

// A page that somebody has mapped shows no second write in the file's times: an index of such a file is not kept.
func TestMapped(t *testing.T) {
	name := old(t, filepath.Join(t.TempDir(), "image"), disk(3<<20))
	f := judge.Value(os.OpenFile(name, os.O_RDWR, 0))(t)
	m, err := unix.Mmap(int(f.Fd()), 2<<20, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	judge.Must(t, err, f.Close())
	m[0] ^= 1
	judge.Must(t, open(t, name, "", nil).Load(t.Context()))
	m[1] ^= 1 // the page is dirty: ctime stays
	judge.Must(t, unix.Munmap(m))
	want := judge.ReadFile(t, name)
	i := open(t, name, "", nil)
	if i.Index() != nil {
		t.Error("an index is believed that was made before the last write")
	}
	if got, err := whole(i); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v", err)
	}
	if sum, err := i.DecodedSum(t.Context()); err != nil || sum != sumOf(want) {
		t.Errorf("%s, %v", sum, err)
	}
}

// Where no write through a mapping needs to show, nothing is kept.
func TestTmpfs(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "groundhog-*")
	if err != nil {
		judge.Missing(t, "a tmpfs")
	}
	defer os.RemoveAll(dir)
	name := old(t, filepath.Join(dir, "image"), disk(1<<20))
	judge.Must(t, open(t, name, "", nil).Load(t.Context()))
	if open(t, name, "", nil).Index() != nil {
		t.Error("an index is kept")
	}
}

// What somebody else says of an image, beside it or in another's format, is never believed.
func TestForgedBeside(t *testing.T) {
	good, evil := disk(3<<20), disk(3<<20)
	evil[1] ^= 1
	name := old(t, filepath.Join(t.TempDir(), "disk.img"), evil)
	var st unix.Stat_t
	judge.Must(t, unix.Stat(name, &st))
	head, _ := json.Marshal(map[string]any{"file": map[string]any{"dev": st.Dev, "inode": st.Ino, "size": st.Size, "mtime": st.Mtim.Nano(), "ctime": st.Ctim.Nano()},
		"stored": sumOf(good), "decoded": sumOf(good), "chunk": chunk.Size})
	b := append(append([]byte("groundhog index 1\n"), head...), '\n')
	for n := range 3 {
		b = append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, uint64(n)), chunk.Size), append([]byte{1}, make([]byte, 32)...)...)
	}
	sum := sha256.Sum256(b)
	judge.Must(t, os.WriteFile(name+".groundhog-index", append(b, sum[:]...), 0o644))
	if _, err := Open(t.Context(), name, sumOf(good), nil); !errors.Is(err, ErrChecksum) {
		t.Errorf("%v, want ErrChecksum", err)
	}
	i := open(t, name, "", nil)
	if got, err := whole(i); err != nil || !bytes.Equal(got, evil) {
		t.Errorf("%v", err)
	}
	if sum, err := i.DecodedSum(t.Context()); err != nil || sum != sumOf(evil) {
		t.Errorf("%s, %v", sum, err)
	}
}

func hashOf(b []byte) []byte { s := sha256.Sum256(b); return s[:] }

// An index that was kept without the file's sum does not serve where one is asked for, and says nothing of it otherwise; one kept with it serves both.
func TestKeptWithoutSum(t *testing.T) {
	content := disk(3 << 20)
	name := old(t, filepath.Join(t.TempDir(), "disk.img"), content)
	judge.Must(t, open(t, name, "", nil).Load(t.Context()))
	if i := open(t, name, "", nil); i.Index() == nil || i.Sum() != "" || i.Content() == "" {
		t.Errorf("%d chunks, sum %q, content %q", len(i.Index()), i.Sum(), i.Content())
	}
	if _, err := Open(t.Context(), name, sumOf(nil), nil); !errors.Is(err, ErrChecksum) {
		t.Errorf("%v, want ErrChecksum", err)
	}
	old(t, name+".sha256", []byte(sumOf(nil)+"\n"))
	if _, err := Open(t.Context(), name, "", nil); !errors.Is(err, ErrChecksum) {
		t.Errorf("%v, want ErrChecksum", err)
	}
	judge.Must(t, os.Remove(name+".sha256"))
	if i := open(t, name, sumOf(content), nil); i.Sum() != sumOf(content) {
		t.Errorf("sum %q", i.Sum())
	}
	if i := open(t, name, "", nil); i.Index() == nil || i.Sum() != sumOf(content) {
		t.Errorf("%d chunks, sum %q", len(i.Index()), i.Sum())
	}
}

// Even an index of our own is not asked where --sha256 is given, nor for what it calls zero.
func TestKeptIsChecked(t *testing.T) {
	content := disk(3 << 20)
	name := old(t, filepath.Join(t.TempDir(), "disk.img"), content)
	judge.Must(t, open(t, name, "", nil).Load(t.Context()))
	i := open(t, name, "", nil)
	kept := i.kept
	if kept == nil {
		t.Fatal("no index")
	}
	kept.Stored = sumOf(nil)
	index.User().Put(name, kept)
	if _, err := Open(t.Context(), name, sumOf(nil), nil); !errors.Is(err, ErrChecksum) {
		t.Errorf("%v, want ErrChecksum", err)
	}
	kept.Stored = sumOf(content)
	for n := range kept.Chunks {
		kept.Chunks[n].Zero, kept.Chunks[n].Sum = true, chunk.Sum{}
	}
	index.User().Put(name, kept)
	if err := open(t, name, "", nil).Walk(t.Context(), func(int64) bool { return false }, nil); !errors.Is(err, ErrChanged) {
		t.Errorf("%v, want ErrChanged", err)
	}
}

// What an index says of a compressed image is not worked out again, and holds for what is decoded as a whole.
func TestKeptOfPacked(t *testing.T) {
	content := disk(4 << 20)
	name := old(t, filepath.Join(t.TempDir(), "disk.img.zst"), packWith(t, []string{"zstd", "-q"}, content))
	judge.Must(t, open(t, name, "", nil).Load(t.Context()))
	kept := open(t, name, "", nil).kept
	if kept == nil {
		t.Fatal("no index")
	}
	said := *kept
	said.Stored = sumOf([]byte("stored"))
	index.User().Put(name, &said)
	i := open(t, name, "", nil)
	if got, err := whole(i); err != nil || !bytes.Equal(got, content) || i.Sum() != said.Stored {
		t.Errorf("%d bytes, sum %s, %v", len(got), i.Sum(), err)
	}
	if again := open(t, name, "", nil).kept; again == nil || again.Stored != said.Stored {
		t.Errorf("the index says now: %+v", again)
	}
	for what, chunks := range map[string][]chunk.Chunk{
		"one more":  append(slices.Clone(kept.Chunks), chunk.Chunk{N: 4, Len: 100, Zero: true}),
		"one less":  kept.Chunks[:3],
		"shorter":   append(slices.Clone(kept.Chunks[:3]), chunk.Chunk{N: 3, Len: 101, Sum: kept.Chunks[3].Sum}),
		"other sum": append([]chunk.Chunk{{N: 0, Len: chunk.Size, Sum: chunk.SumOf(nil)}}, kept.Chunks[1:]...),
	} {
		said := *kept
		said.Chunks = chunks
		index.User().Put(name, &said)
		if got, err := whole(open(t, name, "", nil)); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
	}
	if _, err := Open(t.Context(), name, sumOf(content), nil); !errors.Is(err, ErrChecksum) {
		t.Errorf("%v, want ErrChecksum", err)
	}
}

// Standard input that is a file is held to the same.
func TestStdinChanges(t *testing.T) {
	content := disk(3 << 20)
	name := old(t, filepath.Join(t.TempDir(), "image"), content)
	for _, change := range []bool{false, true} {
		f := judge.Value(os.Open(name))(t)
		i := open(t, "-", "", f)
		if change {
			judge.Must(t, os.WriteFile(name, content, 0o600))
		}
		if _, err := whole(i); change != errors.Is(err, ErrChanged) {
			t.Errorf("changed %v: %v", change, err)
		}
		f.Close()
	}
}

// What is neither a file nor a disk is refused at once.
func TestOpenOdd(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	judge.Must(t, unix.Mkfifo(pipe, 0o600))
	for _, name := range []string{pipe, dir, "/dev/zero", "/dev/null"} {
		if _, err := Open(t.Context(), name, "", nil); err == nil || !strings.Contains(err.Error(), "neither a file nor a disk") {
			t.Errorf("%s: %v", name, err)
		} else if told := strings.HasPrefix(hint.Of(err), "- is standard input"); told != (name == pipe) {
			t.Errorf("%s: %q", name, hint.Of(err))
		}
	}
}

// A body whose end is the connection's tells nobody that it is whole.
func TestEndless(t *testing.T) {
	content := disk(3 << 20)
	packed := packWith(t, packers["zstd"], content)
	for what, c := range map[string]struct {
		body  []byte
		sum   string
		fails bool
	}{
		"raw":                {content, "", true},
		"raw, cut":           {content[:2<<20], "", true},
		"raw, a sum":         {content, sumOf(content), false},
		"raw, cut, a sum":    {content[:2<<20], sumOf(content), true},
		"compressed":         {packed, "", false},
		"compressed and cut": {packed[:len(packed)/2], "", true},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			rw.WriteString("HTTP/1.0 200 OK\r\n\r\n")
			rw.Write(c.body)
			rw.Flush()
			conn.Close()
		}))
		i, err := Open(t.Context(), server.URL, c.sum, nil)
		if err == nil {
			_, err = whole(i)
			i.Close()
		}
		if c.fails != (err != nil) {
			t.Errorf("%s: %v", what, err)
		}
		server.Close()
	}
}

// A server that says nothing any more is given up.
func TestSilentServer(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	b := &serverBody{ReadCloser: r, quiet: 20 * time.Millisecond, cancel: func() { w.CloseWithError(context.Canceled) }}
	if _, err := b.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "said nothing for 20ms") {
		t.Error(err)
	}
}
