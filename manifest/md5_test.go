package manifest

import (
	"crypto/md5"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// However many contents there are, and of whatever lengths, their sums are those of crypto/md5.
func TestMD5OfAll(t *testing.T) {
	source := rand.NewChaCha8([32]byte{5})
	var contents [][]byte
	for n := range 300 {
		contents = append(contents, make([]byte, n))
	}
	for _, n := range []int{32<<10 - 1, 32 << 10, 32<<10 + 1, 1 << 20, 3<<20 + 7} {
		contents = append(contents, make([]byte, n), make([]byte, n))
	}
	for _, b := range contents {
		source.Read(b)
	}
	for _, n := range []int{0, 1, 2, 3, md5Lanes + 1, len(contents)} {
		list := contents[len(contents)-n:]
		got := md5OfAll(list)
		if len(got) != n {
			t.Fatalf("%d sums of %d contents", len(got), n)
		}
		for i, b := range list {
			if want := md5.Sum(b); got[i] != hex.EncodeToString(want[:]) {
				t.Errorf("of %d contents the %dth, of %d bytes: %s", n, i, len(b), got[i])
			}
		}
	}
}
