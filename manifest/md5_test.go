package manifest

import (
	"crypto/md5"
	"encoding/hex"
	"math/rand/v2"
	"sync"
	"testing"
)

// However many contents there are, and of whatever lengths, their sums are those of crypto/md5.
func TestMD5Hashers(t *testing.T) {
	source := rand.NewChaCha8([32]byte{5})
	var contents [][]byte
	for n := range 300 {
		contents = append(contents, make([]byte, n))
	}
	for _, n := range []int{32<<10 - 1, 32 << 10, 32<<10 + 1, 1 << 20, 3<<20 + 7} {
		contents = append(contents, make([]byte, n), make([]byte, n))
	}
	p := newMD5Hashers()
	defer p.closeHashers()
	for _, n := range []int{1, 2, 3, md5Lanes + 1, len(contents)} {
		var group sync.WaitGroup
		for i, b := range contents[len(contents)-n:] {
			source.Read(b)
			group.Go(func() {
				h := p.take()
				h.Write(b)
				got := p.end(h)
				if want := md5.Sum(b); got != hex.EncodeToString(want[:]) {
					t.Errorf("of %d contents the %dth, of %d bytes: %s", n, i, len(b), got)
				}
			})
		}
		group.Wait()
	}
}
