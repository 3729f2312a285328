package table

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/fixtures/judge"
)

// cleared is a disk of a size that was full, with what is cleared at its end.
func cleared(t *testing.T, size int64, clear, put []chunk.Extent) []byte {
	t.Helper()
	b := bytes.Repeat([]byte{0xff}, int(size))
	for _, e := range clear {
		if e.Data != nil || e.Len <= 0 || e.Off%512 != 0 || e.Len%512 != 0 {
			t.Errorf("%+v is to be cleared", e)
		}
		copy(b[e.Off:e.End()], make([]byte, e.Len))
	}
	for _, e := range put {
		if !bytes.Equal(b[e.Off:e.End()], bytes.Repeat([]byte{0xff}, len(e.Data))) {
			t.Errorf("%d bytes at %d are cleared, and put there", len(e.Data), e.Off)
		}
		copy(b[e.Off:], e.Data)
	}
	return b
}

// Behind the image and the table's backup nothing is left at the disk's end; inside them, and inside partitions, nothing is
// touched.
func TestClear(t *testing.T) {
	guid, dos := made(t, 8*mib, gptScript), made(t, 8*mib, "label: dos\nsize=2MiB,type=83\n")
	for name, c := range map[string]struct {
		image string
		size  int64 // of the image; 0: not known
		disk  int64
		from  int64 // what is zero begins here
	}{
		"GPT":                             {guid, 8 * mib, 20 * mib, 18 * mib},
		"GPT, a little larger disk":       {guid, 8 * mib, 9*mib + 4096, 8 * mib},
		"GPT, the image fills the disk":   {guid, 8 * mib, 8 * mib, 8 * mib},
		"GPT, size not known":             {guid, 0, 20 * mib, 18 * mib},
		"MBR":                             {dos, 8 * mib, 20 * mib, 18 * mib},
		"MBR, an image that ends oddly":   {dos, 8*mib - 100, 8*mib + 1024, 8 * mib},
		"MBR, its partition fills it all": {dos, 1 * mib, 3 * mib, 3 * mib},
		"no table":                        {"", 8 * mib, 9 * mib, 8 * mib},
	} {
		first := make([]byte, mib)
		if c.image != "" {
			first, _ = beginning(t, c.image)
		}
		_, put, err := Relocate(bytes.Clone(first), c.size, c.disk, 512)
		if err != nil {
			t.Fatal(err)
		}
		clear := judge.Value(Clear(first, c.size, c.disk, 512, put))(t)
		b := cleared(t, c.disk, clear, put)
		if !bytes.Equal(b[:c.from], bytes.Repeat([]byte{0xff}, int(c.from))) {
			t.Errorf("%s: something before byte %d is cleared", name, c.from)
		}
		if bytes.Contains(b[c.from:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) {
			t.Errorf("%s: something behind byte %d is left", name, c.from)
		}
	}
}

// What a device says of its disk is anybody's.
func TestHostileDisk(t *testing.T) { hostileDisk(t, 7) }

// hostileDisk tries one combination of numbers in some.
func hostileDisk(t *testing.T, one int) {
	tried := 0
	guid, _ := beginning(t, made(t, 8*mib, gptScript))
	dos, _ := beginning(t, made(t, 8*mib, "label: dos\nsize=2MiB,type=83\n"))
	numbers := []int64{0, -1, 1, 3, 511, 512, 513, 4096, 4 << 20, 1 << 40, 1 << 60, math.MaxInt64, math.MinInt64}
	for _, first := range [][]byte{guid, dos, nil, make([]byte, 600)} {
		for _, block := range numbers {
			for _, size := range numbers {
				for _, image := range numbers {
					if tried++; tried%one != 0 {
						continue
					}
					for what, f := range map[string]func(){
						"Grow":     func() { Grow(bytes.Clone(first), image, size, block) },
						"Relocate": func() { Relocate(bytes.Clone(first), image, size, block) },
						"Clear": func() {
							clear, _ := Clear(first, image, size, block, nil)
							for _, e := range clear {
								if e.Len <= 0 || e.Off < 0 || e.End() > size {
									t.Errorf("disk of %d bytes, blocks of %d, image of %d: %+v", size, block, image, e)
								}
							}
						},
					} {
						func() {
							defer func() {
								if r := recover(); r != nil {
									t.Errorf("%s(image of %d, disk of %d bytes, blocks of %d): panic: %v", what, image, size, block, fmt.Sprint(r))
								}
							}()
							f()
						}()
					}
				}
			}
		}
	}
}
