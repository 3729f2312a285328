package initrd

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

// FuzzFileSum: what verify compares is the hash of the very bytes, and the segments
// cover them all, whichever way they were read; a content that was let go is the one
// that was held.
func FuzzFileSum(f *testing.F) {
	for _, b := range fixtures(f) {
		f.Add(b, uint8(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, keep uint8) {
		if len(b) > 1<<20 {
			return
		}
		l := Limits{Unpacked: 8 << 20, Entries: 1000}
		held, err := ReadHashed(bytes.NewReader(b), l)
		skimmed, err2 := Skim(bytes.NewReader(b), l, func(_ string, size int64) bool { return size%3 == int64(keep%3) })
		if (err == nil) != (err2 == nil) {
			t.Fatalf("held: %v, skimmed: %v", err, err2)
		}
		if err != nil {
			return
		}
		for _, img := range []*Image{held, skimmed} {
			if got := img.FileSum(); got != sha256.Sum256(b) {
				t.Fatalf("file sum %x of other bytes", got)
			}
			var at int64
			for _, s := range img.Segments {
				if s.Offset != at {
					t.Fatalf("a segment at %d, should be at %d", s.Offset, at)
				}
				at += s.Size + s.Padding
			}
			if at != int64(len(b)) {
				t.Fatalf("segments cover %d of %d bytes", at, len(b))
			}
		}
		for name, e := range skimmed.Tree() {
			other := held.Lookup(name)
			if other == nil || skimmed.ContentSize(e) != held.ContentSize(other) || skimmed.Sum(e) != held.Sum(other) {
				t.Fatalf("%q is another file when it is not held", name)
			}
		}
	})
}
