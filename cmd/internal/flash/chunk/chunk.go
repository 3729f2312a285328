// Package chunk says what a chunk of an image is and how chunks are compared.
//
// A chunk is [Size] bytes of a disk image at a multiple of Size; the last one
// of an image may be shorter. Two chunks are the same if their [Sum] is. The
// claim that a disk equals an image rests on it, so the hash is a cryptographic
// one; and the disk is read by the target's CPU, so it is the one that is fast
// without instructions of its own: BLAKE3 (https://github.com/BLAKE3-team/BLAKE3-specs).
//
// MB/s on one core over buffers of 1 MiB, the sums of Go 1.26, x/crypto's
// BLAKE2b and zeebo's BLAKE3; arm64 and armhf under qemu-user, where only the
// ratios mean something; "plain" is GODEBUG=cpu.all=off, or -tags purego on
// amd64:
//
//	                amd64   plain   arm64   plain   armhf
//	SHA-256          1800     239      86     102      89
//	SHA-512/256       757     381      59     165      19
//	BLAKE2b-256       946     706     157     146      53
//	BLAKE3           4147     597     240     244     151
//
// A Compute Module 3's cores are those of "plain": they have no instructions
// for SHA. Counted by fixtures/bench/cm3, each byte takes them 18 instructions for
// BLAKE3 and 61 for SHA-256, which would be 1.4 with instructions of its own. The benchmark of this package prints the row that was chosen and
// SHA-256's, which everybody knows.
package chunk

import (
	"bytes"
	"fmt"
	"hash"
	"sync"

	"github.com/zeebo/blake3"
)

// Size is the length of a chunk in bytes, a power of two. Of a Debian root disk of 1 GiB, as measured for version 0.8.0:
//
//	                                            256K   512K     1M     2M     4M
//	1 % changed in runs of 64 KiB: sent, MB       19     32     54     83    120
//	1 % changed in runs of 1 MiB                 4.5    5.5    7.5     14     25
//	coreutils (7 MB) upgraded in place           5.3    6.8    8.3    9.8     12
//	all of it                                    152    149    146    144    143
//	written, flushed by 8, read back, MB/s       280    298    652    567    579
//	24 chunks in the writer, MiB                   6     12     24     48     96
//
// Less costs flushes, more costs what did not change, and memory on the device.
const Size = 1 << 20

// Sum is a chunk's BLAKE3 hash, 32 bytes.
type Sum [32]byte

// Chunk is what is known of one of an image's chunks without its bytes.
type Chunk struct {
	N    int64 // its number: it begins at byte N*Size
	Len  int   // bytes
	Zero bool  // all of it is zero; Sum is zero then, too
	Sum  Sum
}

// Of is chunk number n with these bytes.
func Of(n int64, b []byte) Chunk {
	if IsZero(b) {
		return Chunk{N: n, Len: len(b), Zero: true}
	}
	return Chunk{N: n, Len: len(b), Sum: SumOf(b)}
}

// Samples are what tells whether a disk has something of an image: so many whole chunks behind the first, and of each other one its beginning.
const FirstSamples = 64

// SampleLen is how many bytes at the beginning of chunk n are a sample; of the first chunk all of it.
func SampleLen(n int64) int {
	if n <= FirstSamples {
		return Size
	}
	return 16 * PieceSize
}

// End is where an image of these chunks ends, in bytes: they are all of it, in order.
func End(all []Chunk) int64 {
	if len(all) == 0 {
		return 0
	}
	last := all[len(all)-1]
	return last.N*Size + int64(last.Len)
}

// Extent is bytes on a disk that are not the image's: Data, or Len zeros where Data is nil.
type Extent struct {
	Off  int64 // where on the disk
	Data []byte
	Len  int64
}

// End is the byte behind it.
func (e Extent) End() int64 {
	if e.Data != nil {
		return e.Off + int64(len(e.Data))
	}
	return e.Off + e.Len
}

// SumOf hashes the bytes of a chunk.
func SumOf(b []byte) Sum { return blake3.Sum256(b) }

// SumOfAll is the hash of all chunks' sums, for images of one content.
func SumOfAll(all []Chunk) Sum {
	h := blake3.New()
	for _, c := range all { // a chunk of zeros has a sum of its own
		h.Write(c.Sum[:])
	}
	fmt.Fprint(h, End(all))
	return Sum(h.Sum(nil))
}

// zeroBytes is what zero chunks are compared with, piece by piece: small enough to
// stay in a core's cache.
var zeroBytes [16 << 10]byte

// IsZero reports whether all of b is zero. It looks no further than the first
// piece that is not, and costs next to nothing for data.
func IsZero(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), len(zeroBytes))
		if !bytes.Equal(b[:n], zeroBytes[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// WriteZeros writes n zeros to a hash.
func WriteZeros(h hash.Hash, n int) {
	for n > 0 {
		k, _ := h.Write(zeroBytes[:min(n, len(zeroBytes))])
		n -= k
	}
}

// chunkBuffers are used again: fresh memory costs a page fault every 4 KiB, more than a fast hash of what is in it.
var chunkBuffers = sync.Pool{New: func() any { return new([Size]byte) }}

// Buffer is room for a chunk of n bytes, with anything in it.
func Buffer(n int) []byte { return chunkBuffers.Get().(*[Size]byte)[:n] }

// Free takes a chunk's memory back that nobody uses any more, wherever it came from.
func Free(b []byte) {
	if cap(b) == Size {
		chunkBuffers.Put((*[Size]byte)(b[:Size]))
	}
}
