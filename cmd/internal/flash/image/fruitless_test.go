package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
)

// again is b, for ever.
type again struct{ b, left []byte }

func (a *again) Read(p []byte) (int, error) {
	if len(a.left) == 0 {
		a.left = a.b
	}
	n := copy(p, a.left)
	a.left = a.left[n:]
	return n, nil
}

// A decoder that reads ahead comes to the bound before all that it had decoded came out.
func TestFruitlessReadAhead(t *testing.T) {
	f := &fruitlessInput{Reader: &again{b: make([]byte, 100)}, most: 1000}
	for err := error(nil); err == nil; _, err = f.Read(make([]byte, 100)) {
	}
	f.cameOut(1)
	if err := f.whyFailed(io.ErrUnexpectedEOF); !errors.Is(err, ErrFruitless) {
		t.Errorf("what was decoded before came out after the bound was met: %v", err)
	}
}

// A stream that goes on for ever behind an image's end, or before it begins, and has nothing in it ends, whatever the format has for nothing.
func TestFruitless(t *testing.T) {
	img := disk(1 << 20)
	empty := func(kind string) []byte { return packWith(t, packers[kind], nil) }
	pages := func(b []byte) []byte { return bytes.Repeat(b, 1+4096/len(b)) } // to be quick
	skipped := append([]byte("\x50\x2a\x4d\x18\x00\x00\x10\x00"), make([]byte, 1<<20)...)
	for _, c := range []struct {
		kind, what string
		nothing    []byte
	}{
		{"gzip", "padding", make([]byte, 1<<20)},
		{"zstd", "skippable frames", skipped},
		{"xz", "padding", make([]byte, 1<<20)},
		{"gzip", "members of nothing", pages(empty("gzip"))},
		{"lz4", "frames of nothing", pages(empty("lz4"))},
	} {
		for _, before := range []bool{false, true} {
			if before && c.what == "padding" {
				continue
			}
			i := &Image{}
			i.coded = &fruitlessInput{Reader: io.MultiReader(bytes.NewReader(packWith(t, packers[c.kind], img)), &again{b: c.nothing}), most: 16 << 20}
			if before {
				i.coded.Reader = &again{b: c.nothing}
			}
			decoded, _, err := decodeBy(i.coded, decodeOptions{note: func(string) {}})
			for n := 0; err == nil && n < len(img)+1; {
				var m int
				m, err = decoded.Read(make([]byte, 1<<16))
				i.coded.cameOut(m)
				n += m
			}
			if err = i.coded.whyFailed(err); !errors.Is(err, ErrFruitless) {
				t.Errorf("%s, %s, before: %t: %v", c.kind, c.what, before, err)
			}
			if decoded != nil {
				decoded.Close()
			}
		}
	}
	// and where an image is opened
	i, err := Open(context.Background(), "-", "", io.MultiReader(bytes.NewReader(packWith(t, packers["gzip"], img)), &again{b: make([]byte, 1<<20)}))
	if err == nil {
		err = i.Load(t.Context())
		i.Close()
	}
	if !errors.Is(err, ErrFruitless) {
		t.Errorf("standard input: %v", err)
	}
}
