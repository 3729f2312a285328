package initrd

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

// whole is the lengths at which a cut archive is a whole one: the end of a
// segment, and every zero behind it.
func whole(img *Image) map[int]bool {
	at := map[int]bool{}
	for _, s := range img.Segments {
		for n := s.Offset + s.Size; n <= s.Offset+s.Size+s.Padding; n++ {
			at[int(n)] = true
		}
	}
	return at
}

// borders are where segments begin and end.
func borders(img *Image) (all []int) {
	for _, s := range img.Segments {
		all = append(all, int(s.Offset), int(s.Offset+s.Size))
	}
	return all
}

// An archive cut off anywhere is refused, except where it is whole.
func TestCut(t *testing.T) {
	for name, b := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			img := read(t, b)
			good := whole(img)
			for n := range judge.Places(len(b), borders(img)...) {
				img, err := Read(bytes.NewReader(b[:n]), Limits{})
				switch {
				case good[n] && err != nil:
					t.Errorf("cut at %d of %d, behind a segment: %v", n, len(b), err)
				case !good[n] && err == nil:
					t.Errorf("cut at %d of %d: read as %d segments", n, len(b), len(img.Segments))
				case err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrFormat):
					t.Errorf("cut at %d: %v wraps nothing", n, err)
				}
			}
		})
	}
}

// A byte too many is refused as well, unless it is a zero.
func TestExtraByte(t *testing.T) {
	for name, b := range fixtures(t) {
		for _, c := range []byte{1, '0', 0xff} {
			if _, err := Read(bytes.NewReader(append(bytes.Clone(b), c)), Limits{}); err == nil {
				t.Errorf("%s with a %#x behind it was read", name, c)
			}
		}
		if _, err := Read(bytes.NewReader(append(bytes.Clone(b), 0)), Limits{}); err != nil {
			t.Errorf("%s with a zero behind it: %v", name, err)
		}
	}
}

// A flipped bit is an error, or a difference that the format cannot see; never
// a panic. With a checksum over the data it is an error or changes nothing.
func TestFlip(t *testing.T) {
	summed := map[string]bool{"gzip.img": true, "zstd.img": true, "xz.img": true, "bzip2.img": true}
	for name, b := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			img := read(t, b)
			want := tree(img)
			for i := range judge.Places(len(b), borders(img)...) {
				for bit := range 8 {
					if bit != i%8 && bit != (i+3)%8 {
						continue // two of eight will do
					}
					damaged := bytes.Clone(b)
					damaged[i] ^= 1 << bit
					img, err := Read(bytes.NewReader(damaged), Limits{Unpacked: 1 << 24})
					if err != nil {
						continue
					}
					if !bytes.Equal(write(t, img), damaged) {
						t.Fatalf("bit %d of byte %d: what was read is not what is written", bit, i)
					}
					if diff := cmp.Diff(want, tree(img)); summed[name] && diff != "" {
						t.Errorf("bit %d of byte %d passed:\n%s", bit, i, diff)
					}
				}
			}
		})
	}
}

// A reader that fails is the caller's news, not the archive's.
func TestReaderFails(t *testing.T) {
	r := io.MultiReader(bytes.NewReader(run()), &broken{})
	if _, err := Read(r, Limits{}); !errors.Is(err, errFull) || errors.Is(err, ErrFormat) {
		t.Errorf("%v", err)
	}
}

type broken struct{}

func (*broken) Read([]byte) (int, error) { return 0, errFull }
