package initrd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/anchore/go-lzo"
	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

// What lzop packs, of all kinds of matches and blocks, is read as lzop reads it; cut anywhere it fails, and of flipped bytes each is noticed but in the head, which
// says nothing that counts.
func TestLzo(t *testing.T) {
	elf := judge.ReadFile(t, "/proc/self/exe")
	in := run(dir("."), file("elf", string(elf[:600<<10])), file("zeros", strings.Repeat("\x00", 300<<10)), file("noise", string(judge.Noise(1, 300<<10))))
	for _, level := range []string{"-1", "-3", "-9"} {
		if diff := cmp.Diff(tree(read(t, in)), tree(read(t, pipe(t, "", in, "lzop", level, "-c")))); diff != "" {
			t.Errorf("%s:\n%s", level, diff)
		}
	}
	in = run(dir("."), file("text", strings.Repeat("a text, and again a text\n", 40)), file("elf", string(elf[:3000])))
	want, b := tree(read(t, in)), pack(t, Lzo, in)
	for i := range b {
		if _, err := Read(bytes.NewReader(b[:i]), Limits{}); err == nil {
			t.Errorf("the first %d of %d bytes pass for all", i, len(b))
		}
		for _, bit := range []byte{0x01, 0x10, 0x80} {
			bad := bytes.Clone(b)
			bad[i] ^= bit
			if img, err := Read(bytes.NewReader(bad), Limits{}); err == nil && !cmp.Equal(want, tree(img)) {
				t.Errorf("byte %d flipped by %#x, and no error", i, bit)
			}
		}
	}
}

// No block may write beyond its size or read before its beginning, whatever is in it.
func FuzzUnpackLzo(f *testing.F) {
	f.Add([]byte("\x15abcd\x11\x00\x00"), uint16(4))
	f.Add([]byte("\x00\x00\x00\xff"), uint16(9))
	f.Fuzz(func(t *testing.T, packed []byte, n uint16) {
		room := make([]byte, int(n)+8)
		if got, err := lzo.Decompress(packed, room[:n:n]); err == nil && got > int(n) || !bytes.Equal(room[n:], make([]byte, 8)) {
			t.Errorf("%d bytes in room for %d", got, n)
		}
	})
}
