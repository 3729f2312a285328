package writers_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/cmd/internal/writers"
)

// twins is programs that nothing compresses, two of them alike.
func twins() writers.Programs {
	source := rand.NewChaCha8([32]byte{7})
	noise := func(n int) []byte {
		b := make([]byte, n)
		source.Read(b)
		return b
	}
	one := noise(64 << 10)
	return writers.Programs{"amd64": noise(128 << 10), "armel": one, "armhf": append(bytes.Clone(one), "!"...)}
}

func pack(t *testing.T, programs writers.Programs) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writers.Pack(&b, programs); err != nil {
		t.Fatal(err)
	}
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
	got, err := writers.Unpack(packed)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(-want +got), %v:\n%s", err, diff)
	}
	if _, err := got.ReadFile("i386"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none for i386: %v", err)
	}
}

// A damaged pack is an error, wherever it is cut.
func TestUnpackCut(t *testing.T) {
	packed := pack(t, writers.Programs{"amd64": []byte("a program"), "arm64": []byte("another")})
	for n := range packed {
		if _, err := writers.Unpack(packed[:n]); err == nil && n > 0 {
			t.Errorf("cut at %d of %d: no error", n, len(packed))
		}
	}
}
