package initrd

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"groundhog/fixtures/judge"
)

// synthetic is 32 MiB in 256 files, half noise and half words, from a fixed
// seed: about as compressible as a real archive.
func synthetic() []Entry {
	r := rand.New(rand.NewPCG(1, 2))
	all := []Entry{dir(".")}
	for i := range 256 {
		b := make([]byte, 128<<10)
		for n := 0; n < len(b); {
			if r.IntN(2) == 0 {
				n += copy(b[n:], fmt.Sprintf("word%d ", r.IntN(5000)))
			} else {
				n += copy(b[n:], fmt.Appendf(nil, "%c%c", r.IntN(256), r.IntN(256)))
			}
		}
		all = append(all, file(fmt.Sprintf("f%03d", i), string(b)))
	}
	return all
}

func BenchmarkRead(b *testing.B) {
	plain := run(synthetic()...)
	for _, c := range compressions {
		b.Run(string(c), func(b *testing.B) {
			in := pack(b, c, plain)
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				judge.Value(Read(bytes.NewReader(in), Limits{}))(b)
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	img, err := New(None, synthetic()...)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range Writable {
		b.Run(string(c), func(b *testing.B) {
			judge.Must(b, img.Segments[0].Encode(c, 0))
			b.SetBytes(img.Segments[0].Unpacked)
			b.ReportAllocs()
			var n int64
			for b.Loop() {
				if n, err = img.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/float64(img.Segments[0].Unpacked), "ratio")
		})
	}
}
