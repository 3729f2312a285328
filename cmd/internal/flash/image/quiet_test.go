package image

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"groundhog/fixtures/judge"
)

// Standard input that says nothing for too long is given up, before its first byte and behind it; one that pauses is not.
func TestSilentInput(t *testing.T) {
	img := disk(5 << 20)
	for _, said := range []int{0, 100, 3<<20 + 7} {
		r, w := io.Pipe()
		go w.Write(img[:said])
		i, err := Open(t.Context(), "-", "", r, Quiet(200*time.Millisecond))
		if err == nil {
			err = i.Load(t.Context())
			i.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "standard input has said nothing for 200ms") {
			t.Errorf("after %d bytes: %v", said, err)
		}
		w.Close()
	}
	r, w := io.Pipe()
	go func() {
		for n := 0; n < len(img); n += 1 << 20 {
			w.Write(img[n : n+1<<20])
		}
		w.Close()
	}()
	i := open(t, "-", "", r, Quiet(time.Minute))
	if err := i.Load(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who sends a byte now and then is not silent, and given up all the same.
func TestDrip(t *testing.T) {
	drip := func(w io.Writer, flush func(), gone <-chan struct{}) {
		drops := time.NewTicker(20 * time.Millisecond)
		defer drops.Stop()
		for {
			select {
			case <-drops.C:
			case <-gone:
				return
			}
			if _, err := w.Write([]byte{0}); err != nil {
				return
			}
			flush()
		}
	}
	r, w := io.Pipe()
	go drip(w, func() {}, t.Context().Done())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10000000")
		drip(w, w.(http.Flusher).Flush, r.Context().Done())
	}))
	defer server.Close()
	for name, want := range map[string]string{"-": "standard input has said next to nothing", server.URL + "/disk.img": "the server has said next to nothing"} {
		i, err := Open(t.Context(), name, "", r, Quiet(2*time.Second))
		if err == nil {
			err = i.Load(t.Context())
			i.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	r.Close()
}

// A server leads where it will, but not out of TLS unless there is a checksum, nor for ever, nor to a file of ours.
func TestRedirects(t *testing.T) {
	at := func(url string) *http.Request { r, _ := http.NewRequest(http.MethodGet, url, nil); return r }
	for _, c := range []struct {
		from, to, sum string
		ok            bool
	}{
		{"https://a/x", "https://b/y", "", true}, {"http://a/x", "http://b/y", "", true}, {"http://a/x", "https://b/y", "", true},
		{"https://a/x", "http://a/x", "", false}, {"https://a/x", "http://a/x", "0", true},
	} {
		i := &Image{want: c.sum}
		if err := i.checkRedirect(at(c.to), []*http.Request{at("http://first/"), at(c.from)}); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	secret := filepath.Join(t.TempDir(), "disk.img")
	judge.WriteFile(t, secret, disk(3<<20))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := "file://" + secret
		if r.URL.Path == "/ring" {
			to = "/ring"
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}))
	defer server.Close()
	for name, want := range map[string]string{"/file": "unsupported protocol scheme", "/ring": "for the 10th time"} {
		if i, err := Open(t.Context(), server.URL+name, "", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				i.Close()
			}
		}
	}
}

// Who says enough within the time is heard on, however it is cut.
func TestPace(t *testing.T) {
	p := readPace{quiet: time.Minute}
	for range 1000 {
		judge.Must(t, p.noteBytes("it", leastPerSecond, time.Second))
	}
	for n := range 100 {
		if err := p.noteBytes("it", leastPerSecond-1, time.Second); err != nil {
			if n > 60+59 {
				t.Error("late")
			}
			return
		}
	}
	t.Error("it is heard on")
}

// Who is through with an image does not wait for who feeds it.
func TestCloseOfSilentInput(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	go w.Write(disk(3 << 20))
	i := judge.Value(Open(t.Context(), "-", "", r, Quiet(time.Hour)))(t)
	go i.Load(t.Context())
	i.Close()
}

// All that was fed comes out, in any pieces, and an error as itself.
func TestFed(t *testing.T) {
	b, odd := disk(1<<20+13), errors.New("odd")
	for _, from := range []io.Reader{bytes.NewReader(b), iotest.HalfReader(bytes.NewReader(b)), iotest.DataErrReader(bytes.NewReader(b))} {
		if got, err := io.ReadAll(feedFrom(from, time.Minute)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if got, err := io.ReadAll(feedFrom(io.MultiReader(bytes.NewReader(b), iotest.ErrReader(odd)), time.Minute)); err != odd || len(got) != len(b) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
