package image

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
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

// Who is through with an image does not wait for who feeds it.
func TestCloseOfSilentInput(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	go w.Write(disk(3 << 20))
	i, err := Open(t.Context(), "-", "", r, Quiet(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	go i.Load(t.Context())
	i.Close()
}

// All that was fed comes out, in any pieces, and an error as itself.
func TestFed(t *testing.T) {
	b, odd := disk(1<<20+13), errors.New("odd")
	for _, from := range []io.Reader{bytes.NewReader(b), iotest.HalfReader(bytes.NewReader(b)), iotest.DataErrReader(bytes.NewReader(b))} {
		if got, err := io.ReadAll(feed(from, time.Minute)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if got, err := io.ReadAll(feed(io.MultiReader(bytes.NewReader(b), iotest.ErrReader(odd)), time.Minute)); err != odd || len(got) != len(b) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
