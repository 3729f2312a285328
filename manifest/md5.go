package manifest

import (
	"encoding/hex"

	md5simd "github.com/minio/md5-simd"
)

// md5Lanes is how many contents are hashed by MD5 at a time. No step of MD5 can begin before the one before it has ended, so that a core computes
// one sum at a third of the speed of SHA-256; in the lanes of its vectors it computes 8 (AVX2) or 16 (AVX-512) at once. Where there are none,
// as on arm64, the sums are those of crypto/md5.
const md5Lanes = 16 // that package's Lanes, which only amd64 has

// md5Hashers computes sums for at most md5Lanes callers at once. Whoever makes one closes it.
type md5Hashers struct {
	server md5simd.Server
	all    []md5simd.Hasher
	free   chan md5simd.Hasher
}

func newMD5Hashers() *md5Hashers {
	p := &md5Hashers{server: md5simd.NewServer(), free: make(chan md5simd.Hasher, md5Lanes)}
	for range md5Lanes {
		h := p.server.NewHash()
		p.all = append(p.all, h)
		p.free <- h
	}
	return p
}

func (p *md5Hashers) closeHashers() {
	for _, h := range p.all {
		h.Close()
	}
	p.server.Close()
}

// take returns a hash that nobody uses; end gives it back and returns the sum, in hexadecimal digits.
func (p *md5Hashers) take() md5simd.Hasher {
	h := <-p.free
	h.Reset()
	return h
}

func (p *md5Hashers) end(h md5simd.Hasher) string {
	sum := hex.EncodeToString(h.Sum(nil))
	p.free <- h
	return sum
}
