package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image/claim"
	"groundhog/fixtures/judge"
)

// Indexes are kept in a cache of the tests' own.
func TestMain(m *testing.M) { os.Exit(judge.Apart{M: m}.Run()) }

// old is a file with such content.
func old(t testing.TB, name string, b []byte) string {
	t.Helper()
	judge.Must(t, os.WriteFile(name, b, 0o644))
	return name
}

func open(t testing.TB, name, sum string, stdin io.Reader, options ...Option) *Image {
	t.Helper()
	i := judge.Value(Open(t.Context(), name, sum, stdin, options...))(t)
	t.Cleanup(func() { i.Close() })
	return i
}

// whole is what Walk gives, put together.
func whole(i *Image) ([]byte, error) {
	var out []byte
	err := i.Walk(context.Background(), nil, func(c chunk.Chunk, data []byte) error {
		if c.N*chunk.Size != int64(len(out)) || c.Zero != (data == nil) {
			return fmt.Errorf("chunk %d at %d", c.N, len(out))
		}
		if data == nil {
			data = make([]byte, c.Len)
		}
		out = append(out, data...)
		return nil
	})
	return out, err
}

func sumOf(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func TestOpen(t *testing.T) {
	want := disk(5<<20 + 4096)
	dir := t.TempDir()
	for _, kind := range []string{"raw", "gzip", "xz", "zstd", "bzip2", "lz4"} {
		stored := want
		if kind != "raw" {
			stored = packWith(t, packers[kind], want)
		}
		name := old(t, filepath.Join(dir, "image."+kind), stored)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(stored) }))
		for _, from := range []string{name, "-", server.URL, name} { // the second time, an index is there
			i := open(t, from, sumOf(stored), bytes.NewReader(stored))
			_, known := i.Size()
			index := i.Index()
			for range 2 {
				if got, err := whole(i); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s from %s: %d bytes, %v", kind, from, len(got), err)
				}
			}
			if n, ok := i.Size(); n != int64(len(want)) || !ok || i.Sum() != sumOf(stored) || i.Compression() != kind || len(i.Index()) != 6 {
				t.Errorf("%s from %s: %d, %v, %s", kind, from, n, ok, i.Sum())
			}
			if sum, err := i.DecodedSum(t.Context()); err != nil || sum != sumOf(want) {
				t.Errorf("%s from %s: decoded it has %s, %v", kind, from, sum, err)
			}
			if got, err := i.ReadFirst(t.Context(), 1000); err != nil || !bytes.Equal(got, want[:1000]) {
				t.Errorf("%s from %s: the beginning: %v", kind, from, err)
			}
			t.Logf("%s from %s: size known %v, %d chunks known", kind, from, known, len(index))
		}
		server.Close()
		i := open(t, name, "", nil)
		if i.Index() == nil || i.Sum() != sumOf(stored) {
			t.Errorf("%s: no index was kept", kind)
		}
	}
	if left, _ := filepath.Glob("/var/tmp/groundhog-image-*"); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

// An index counts for the very file that it was made of, and is not left beside it.
func TestIndexOfAnother(t *testing.T) {
	dir := t.TempDir()
	name := old(t, filepath.Join(dir, "image"), disk(3<<20))
	judge.Value(whole(open(t, name, "", nil)))(t)
	if all, _ := filepath.Glob(filepath.Join(dir, "*")); len(all) != 1 {
		t.Errorf("left behind: %q", all)
	}
	if open(t, name, "", nil).Index() == nil {
		t.Fatal("the index is not used")
	}
	// Same size, and the time as it was.
	info, _ := os.Stat(name)
	other := disk(3 << 20)
	other[2<<20] ^= 1
	old(t, name, other)
	os.Chtimes(name, info.ModTime(), info.ModTime())
	if open(t, name, "", nil).Index() != nil {
		t.Error("the index of other content is used")
	}
	old(t, name, other)
	if got, err := whole(open(t, name, "", nil)); err != nil || !bytes.Equal(got, other) {
		t.Errorf("%v", err)
	}
}

func TestChecksums(t *testing.T) {
	b := disk(2 << 20)
	good, bad := sumOf(b), sumOf(b[1:])
	tests := []struct {
		name, file, content, flag string
		fails                     string
	}{
		{name: "none"},
		{name: "flag", flag: strings.ToUpper(good)},
		{name: "wrong flag", flag: bad, fails: "checksum is another"},
		{name: "no sum", flag: "12", fails: "no SHA-256"},
		{name: "beside", file: "disk.img.sha256", content: good + "  disk.img\n"},
		{name: "bare", file: "disk.img.sha256", content: good + "\n"},
		{name: "wrong beside", file: "disk.img.sha256", content: bad + "  disk.img\n", fails: "checksum is another"},
		{name: "of another", file: "disk.img.sha256", content: good + "  other.img\n", fails: "no SHA-256 of disk.img"},
		{name: "sums", file: "SHA256SUMS", content: bad + "  other.img\n" + good + " *disk.img\n"},
		{name: "wrong sums", file: "SHA256SUMS", content: good + "  other.img\n" + bad + "  disk.img\n", fails: "checksum is another"},
		{name: "sums of others", file: "SHA256SUMS", content: bad + "  other.img\n"},
		{name: "tagged", file: "SHA256SUMS", content: "SHA256 (disk.img) = " + bad + "\n", fails: "checksum is another"},
		{name: "another directory", file: "SHA256SUMS", content: bad + "  build/disk.img\n", fails: "checksum is another"},
		{name: "a byte order mark", file: "SHA256SUMS", content: "\ufeff" + bad + "  disk.img\r\n", fails: "checksum is another"},
		{name: "no sums", file: "SHA256SUMS", content: "<html>\n", fails: "line 1"},
		{name: "a sum of nothing", file: "SHA256SUMS", content: good + "\n", fails: "a sum of nothing"},
		{name: "standard input's", file: "disk.img.sha256", content: good + "  -\n"},
		{name: "standard input's, of openssl", file: "disk.img.sha256", content: "SHA2-256(stdin)= " + bad + "\n", fails: "checksum is another"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			name := old(t, filepath.Join(dir, "disk.img"), b)
			if tt.file != "" {
				old(t, filepath.Join(dir, tt.file), []byte(tt.content))
			}
			i, err := Open(t.Context(), name, tt.flag, nil)
			if tt.fails == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer i.Close()
				want := ""
				if tt.flag != "" {
					want = "--sha256"
				} else if tt.file != "" && tt.name != "sums of others" {
					want = filepath.Join(dir, tt.file)
				}
				if i.Checked() != want {
					t.Errorf("checked against %q, want %q", i.Checked(), want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("%v, want %q", err, tt.fails)
			}
		})
	}
	// What is no file is not read: it may never end.
	for _, f := range []string{"disk.img.sha256", "SHA256SUMS"} {
		dir := t.TempDir()
		name := old(t, filepath.Join(dir, "disk.img"), b)
		judge.Must(t, unix.Mkfifo(filepath.Join(dir, f), 0o600))
		if _, err := Open(t.Context(), name, "", nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("a pipe by the name of %s: %v", f, err)
		}
		judge.Must(t, os.Remove(filepath.Join(dir, f)), os.Symlink("/dev/zero", filepath.Join(dir, f)))
		if _, err := Open(t.Context(), name, "", nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("a device by the name of %s: %v", f, err)
		}
	}
	// A stream's checksum is known at its end: nobody is told that it was whole.
	if _, err := whole(open(t, "-", bad, bytes.NewReader(b))); !errors.Is(err, ErrChecksum) {
		t.Errorf("a stream with another checksum: %v", err)
	}
}

// An image by a link is held against the sum of the file that the link leads to: of a SHA256SUMS beside both of them, and of a .sha256 of its own.
func TestChecksumOfLink(t *testing.T) {
	b := disk(2 << 20)
	good, bad := sumOf(b), sumOf(b[1:])
	for what, c := range map[string]struct{ to, file, content, fails string }{
		"sums":                 {"build-7.img", "SHA256SUMS", good + "  build-7.img\n", ""},
		"wrong sums":           {"build-7.img", "SHA256SUMS", bad + "  build-7.img\n", "checksum is another"},
		"its own name's":       {"build-7.img", "SHA256SUMS", bad + "  build-7.img\n" + good + "  latest.img\n", ""},
		"its own file's":       {"build-7.img", "latest.img.sha256", bad + "  build-7.img\n", "checksum is another"},
		"its own file's, far":  {"out/build-7.img", "latest.img.sha256", bad + "  build-7.img\n", "checksum is another"},
		"another file's":       {"build-7.img", "latest.img.sha256", good + "  build-8.img\n", "no SHA-256 of latest.img"},
		"far, a file's beside": {"out/build-7.img", "SHA256SUMS", bad + "  build-7.img\n", "none"},
	} {
		dir := t.TempDir()
		judge.Must(t, os.Mkdir(filepath.Join(dir, "out"), 0o700))
		old(t, filepath.Join(dir, c.to), b)
		link := filepath.Join(dir, "latest.img")
		judge.Must(t, os.Symlink(c.to, link))
		old(t, filepath.Join(dir, c.file), []byte(c.content))
		i, err := Open(t.Context(), link, "", nil)
		if err != nil {
			if c.fails == "" || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: %v, want %q", what, err, c.fails)
			}
			continue
		}
		if checked := i.Checked(); (checked == "") != (c.fails == "none") || c.fails != "" && c.fails != "none" {
			t.Errorf("%s: checked against %q, want %q", what, checked, c.fails)
		}
		i.Close()
	}
}

// What was cut, or breaks off, never comes to its proper end.
func TestOpenCut(t *testing.T) {
	want := disk(3 << 20)
	for name, cmd := range packers {
		b := packWith(t, cmd, want)
		if _, err := whole(open(t, "-", "", bytes.NewReader(b[:len(b)-3]))); err == nil {
			t.Errorf("%s: cut, and whole", name)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(want)))
		w.Write(want[:len(want)/2])
	}))
	defer server.Close()
	if _, err := whole(open(t, server.URL, "", nil)); err == nil {
		t.Error("a download broke off, and is whole")
	}
	if _, err := Open(t.Context(), server.URL+"/\x7f", "", nil); err == nil {
		t.Error("no URL")
	}
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	if _, err := Open(t.Context(), missing.URL, "", nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("404: %v", err)
	}
}

// What lets somebody have an image is not said.
func TestShown(t *testing.T) {
	for name, want := range map[string][2]string{
		"/srv/a?b/disk?c": {"/srv/a?b/disk?c", "disk?c"},
		"https://me:secret@host:8443/a/disk.xz?sig=secret": {"https://host:8443/a/disk.xz?...", "disk.xz"},
		"http://secret@host/disk?#secret":                  {"http://host/disk?...", "disk"},
		"HTTPS://me:secret@host/disk.xz":                   {"https://host/disk.xz", "disk.xz"},
		"https://me:secret@host/%zz":                       {"a URL that is none", "a URL that is none"},
	} {
		if got := [2]string{Shown(name), Base(name)}; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/no", http.NotFound)
	mux.HandleFunc("/on", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "gopher://me:secret@host/?sig=secret", http.StatusFound)
	})
	for path, to := range map[string]string{"/port": "http://host:bad/?sig=secret", "/escape": "/%zz?sig=secret", "/control": "https://host\x7f/?sig=secret"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		})
	}
	mux.HandleFunc("/text", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "no image") })
	server := httptest.NewServer(mux)
	defer server.Close()
	at := "http://me:secret@" + strings.TrimPrefix(server.URL, "http://")
	for _, url := range []string{at + "/no?sig=secret", at + "/on?sig=secret", at + "/port", at + "/escape", at + "/control", at + "/text?sig=secret", "http://me:secret@127.0.0.1:1/?sig=secret", "http://me:secret@%/?secret", at + "/\x7f?secret", "HTTP" + strings.TrimPrefix(at, "http") + "/no?sig=secret"} {
		if _, err := Open(t.Context(), url, "", nil); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	}
}

// Many read at once, at their own speed, and one that gives up disturbs nobody.
func TestMany(t *testing.T) {
	want := disk(9<<20 + 1)
	i := open(t, "-", "", bytes.NewReader(packWith(t, packers["zstd"], want)))
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			if n == 0 {
				ctx, cancel := context.WithCancel(context.Background())
				err := i.Walk(ctx, nil, func(chunk.Chunk, []byte) error { cancel(); return nil })
				if !errors.Is(err, context.Canceled) {
					t.Errorf("given up: %v", err)
				}
				return
			}
			if got, err := whole(i); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	all.Wait()
}

// A file that changes under our hands is noticed.
func TestChanges(t *testing.T) {
	b := disk(6 << 20)
	name := old(t, filepath.Join(t.TempDir(), "image"), b)
	i := open(t, name, "", nil)
	err := i.Walk(t.Context(), nil, func(c chunk.Chunk, _ []byte) error {
		if c.N == 0 {
			if err := i.Load(t.Context()); err != nil {
				return err
			}
			b[7<<18] ^= 1 // in the noise
			return os.WriteFile(name, b, 0o644)
		}
		return nil
	})
	if !errors.Is(err, ErrChanged) {
		t.Errorf("%v, want ErrChanged", err)
	}
}

// A file that became shorter behind what was read of it has changed, and is not said to have been cut when it came.
func TestCutMeanwhile(t *testing.T) {
	b := disk(5 << 20)
	for what, first := range map[string]func(i *Image) error{
		"read once":    func(i *Image) error { return i.Load(t.Context()) },
		"known before": func(*Image) error { return nil },
	} {
		for _, size := range []int64{0, 2<<20 + 100} {
			name := filepath.Join(t.TempDir(), "image")
			old(t, name, b)
			if what == "known before" {
				judge.Must(t, open(t, name, "", nil).Load(t.Context()))
			}
			i := open(t, name, "", nil)
			judge.Must(t, errors.Join(first(i), os.Truncate(name, size)))
			if _, err := whole(i); !errors.Is(err, ErrChanged) {
				t.Errorf("%s, cut to %d bytes: %v, want ErrChanged", what, size, err)
			}
		}
	}
}

// Closing ends a decoder that waits for its input.
func TestClose(t *testing.T) {
	r, w := io.Pipe()
	go w.Write(disk(1 << 20))
	i := judge.Value(Open(t.Context(), "-", "", r))(t)
	i.in = r
	failed := make(chan error)
	go func() { _, err := whole(i); failed <- err }()
	i.Close()
	if err := <-failed; err == nil {
		t.Error("closed, and whole")
	}
}

// A compressed file that says how large it is, is known to be, before anything is decoded; another end is none.
func TestClaims(t *testing.T) {
	want := disk(3<<20 + 512)
	dir := t.TempDir()
	plain := old(t, filepath.Join(dir, "image"), want)
	for name, tt := range map[string]struct {
		cmd   []string
		known bool
	}{
		"zst": {[]string{"zstd", "-q", "-c", plain}, true}, "xz": {[]string{"xz", "-c", plain}, true},
		"lz4": {[]string{"lz4", "-q", "-c", "--content-size", plain}, true}, "gz": {[]string{"gzip", "-c", plain}, false},
	} {
		b := packWith(t, tt.cmd, nil)
		if n, ok := open(t, old(t, plain+"."+name, b), "", nil).Size(); ok != tt.known || ok && n != int64(len(want)) {
			t.Errorf("%s: %d, %v", name, n, ok)
		}
		if _, ok := open(t, "-", "", bytes.NewReader(b)).Size(); ok {
			t.Errorf("%s as a stream: a size", name)
		}
		for _, by := range []int64{-1, 1, -512, 1 << 20, -1 << 20, 1 << 50} {
			i := open(t, plain+"."+name, "", nil)
			i.claim = int64(len(want)) + by
			got, err := whole(i)
			if !errors.Is(err, ErrClaim) || int64(len(got)) > max(0, i.claim) {
				t.Errorf("%s, which says %d more than it has: %d bytes, %v", name, by, len(got), err)
			}
			if open(t, i.name, "", nil).Index() != nil {
				t.Fatalf("%s: an index is kept", name)
			}
		}
		if got, err := whole(open(t, plain+"."+name, "", nil)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The headers themselves lie.
	b := packWith(t, []string{"zstd", "-q", "-c", plain}, nil)
	b[4+2+1]++ // of the size, 4 bytes behind magic, descriptor and window
	i := open(t, old(t, plain+".zst", b), "", nil)
	if n, ok := i.Size(); n != int64(len(want))+256 || !ok {
		t.Fatalf("%d, %v", n, ok)
	}
	if _, err := whole(i); err == nil {
		t.Error("an image that ends elsewhere is whole")
	}
}

// Where the decoder finds nothing wrong, the claim is right.
func FuzzClaim(f *testing.F) {
	plain := filepath.Join(f.TempDir(), "image")
	os.WriteFile(plain, disk(2048), 0o600)
	for _, cmd := range [][]string{{"zstd", "-q", "-c"}, {"xz", "-c"}, {"xz", "-c", "--check=none"}, {"lz4", "-q", "-c", "--content-size"}} {
		f.Add(packWith(f, append(cmd, plain), nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, name, err := decoded(b)
		if n, ok := claim.Of(t.Context(), bytes.NewReader(b), int64(len(b)), name); err == nil && ok && n != int64(len(got)) {
			t.Errorf("%s says %d, and has %d bytes", name, n, len(got))
		}
	})
}
