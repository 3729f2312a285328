package writers_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/cmd/internal/writers"
	"groundhog/fixtures/judge"
)

// twins is programs that nothing compresses, two of them alike.
func twins() map[string][]byte {
	source := rand.NewChaCha8([32]byte{7})
	noise := func(n int) []byte {
		b := make([]byte, n)
		source.Read(b)
		return b
	}
	one := noise(64 << 10)
	return map[string][]byte{"amd64": noise(128 << 10), "armel": one, "armhf": append(bytes.Clone(one), "!"...)}
}

func pack(t *testing.T, programs map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	judge.Must(t, writers.Pack(&b, programs))
	return b.Bytes()
}

func TestPack(t *testing.T) {
	want := twins()
	packed := pack(t, want)
	if !bytes.Equal(packed, pack(t, want)) {
		t.Error("packed twice, other bytes")
	}
	if len(packed) > 200<<10 { // of 256 KiB
		t.Errorf("%d bytes: the second of two programs that are alike is not packed by the first", len(packed))
	}
	got, err := writers.Unpack(bytes.NewReader(packed))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(-want +got), %v:\n%s", err, diff)
	}
}

// One program is had without what stands behind it, which need not even be there.
func TestUnpackOne(t *testing.T) {
	want := twins()
	packed := pack(t, want)
	for arch, b := range want {
		got, err := writers.UnpackOne(bytes.NewReader(packed), arch)
		if !bytes.Equal(got, b) || err != nil {
			t.Errorf("%s: %d bytes of %d, %v", arch, len(got), len(b), err)
		}
	}
	if _, err := writers.UnpackOne(bytes.NewReader(packed), "i386"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none for i386: %v", err)
	}
	want["m68k"] = bytes.Repeat([]byte("behind all others"), 1<<20)
	packed = pack(t, want)
	cut := bytes.NewReader(packed[:len(packed)-100])
	if got, err := writers.UnpackOne(cut, "amd64"); !bytes.Equal(got, want["amd64"]) || err != nil {
		t.Errorf("of a pack that is cut off behind it: %d bytes, %v", len(got), err)
	}
	if _, err := writers.UnpackOne(bytes.NewReader(packed[:len(packed)/2]), "armhf"); err == nil {
		t.Error("of a pack that is cut off before its end: no error")
	}
}

// A damaged pack is an error, wherever it is cut.
func TestUnpackCut(t *testing.T) {
	packed := pack(t, map[string][]byte{"amd64": []byte("a program"), "arm64": []byte("another")})
	for n := range packed {
		if _, err := writers.Unpack(bytes.NewReader(packed[:n])); err == nil && n > 0 {
			t.Errorf("cut at %d of %d: no error", n, len(packed))
		}
	}
}
