package chunk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os/exec"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// b3sum, another implementation, is the judge: of lengths around BLAKE3's own
// block and chunk, and of whole chunks.
func TestSumOf(t *testing.T) {
	b3sum := judge.Tool(t, "b3sum")
	data := bytes.Repeat([]byte("groundhog\n"), Size/10+1)[:Size]
	for _, n := range []int{0, 1, 63, 64, 65, 1023, 1024, 1025, 4096, 65536, Size - 512, Size} {
		cmd := exec.Command(b3sum, "--no-names")
		cmd.Stdin = bytes.NewReader(data[:n])
		want := judge.Output(t, cmd)
		if got := SumOf(data[:n]); hex.EncodeToString(got[:]) != strings.TrimSpace(string(want)) {
			t.Errorf("%d bytes: %x, b3sum says %s", n, got, want)
		}
	}
}

// A byte anywhere makes a chunk one with data; lengths that are no multiple of
// anything do not matter.
func TestIsZero(t *testing.T) {
	for _, n := range []int{0, 1, len(zeroBytes) - 1, len(zeroBytes), len(zeroBytes) + 1, 3*len(zeroBytes) + 5, Size} {
		b := make([]byte, n)
		if !IsZero(b) {
			t.Errorf("%d zeros are not zero", n)
		}
		for _, at := range []int{0, n / 2, n - 1} {
			if n == 0 {
				continue
			}
			b[at] = 1
			if IsZero(b) {
				t.Errorf("%d bytes, one at %d: zero", n, at)
			}
			b[at] = 0
		}
	}
}

func BenchmarkSum(b *testing.B) {
	data := bytes.Repeat([]byte("groundhog\n"), Size/10+1)[:Size]
	b.Run("BLAKE3", func(b *testing.B) {
		b.SetBytes(Size)
		for b.Loop() {
			SumOf(data)
		}
	})
	b.Run("SHA-256", func(b *testing.B) {
		b.SetBytes(Size)
		for b.Loop() {
			sha256.Sum256(data)
		}
	})
}

func BenchmarkIsZero(b *testing.B) {
	data := make([]byte, Size)
	b.SetBytes(Size)
	for b.Loop() {
		IsZero(data)
	}
}

// Lists of chunks have one sum if they are the same, and another one each if they are not.
func TestSumOfAll(t *testing.T) {
	zeros, data := make([]byte, Size), bytes.Repeat([]byte{1}, Size)
	seen := map[Sum]int{}
	lists := [][]Chunk{nil, {Of(0, zeros)}, {Of(0, zeros[:5])}, {Of(0, data)}, {Of(0, data[:5])}, {Of(0, data), Of(1, zeros)}, {Of(0, zeros), Of(1, data)}}
	for n, list := range lists {
		sum := SumOfAll(list)
		if other, was := seen[sum]; was {
			t.Errorf("lists %d and %d have one sum", other, n)
		}
		if seen[sum] = n; SumOfAll(list) != sum {
			t.Errorf("list %d has two sums", n)
		}
	}
}
