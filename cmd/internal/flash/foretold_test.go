package flash

import (
	"context"
	"errors"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/fixtures/judge"
)

// Zeros that are known of early are on the disk before the walk has come to them, also more of them than may be under way at once.
func TestForetold(t *testing.T) {
	img := make([]byte, (2*maxForetold+10)*chunk.Size+5000)
	copy(img, judge.Noise(1, 3*chunk.Size))
	last := int64(len(img)) / chunk.Size
	copy(img[(last-1)*chunk.Size:], judge.Noise(2, chunk.Size))
	b := newBench(t, judge.Noise(3, len(img)+chunk.Size))
	s := &pausedAt{source: &source{b: img}, n: 1, t: t, until: func() bool {
		return b.zeroAt((last-2)*chunk.Size, (last-1)*chunk.Size) && b.zeroAt(last*chunk.Size, int64(len(img)))
	}}
	r, err := b.flashOf(s, img)
	if err != nil || r.Zeroed != last-3 || r.Written != 4 || r.Lost != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// zeroAt reports whether the disk has zeros there.
func (b *bench) zeroAt(from, to int64) bool {
	b.disk.mu.Lock()
	defer b.disk.mu.Unlock()
	return chunk.IsZero(b.disk.b[from:to])
}

// pausedAt is a source whose walk waits before a chunk.
type pausedAt struct {
	*source
	n     int64
	until func() bool
	t     testing.TB
}

func (s *pausedAt) Walk(ctx context.Context, want func(int64) bool, each func(chunk.Chunk, []byte) error) error {
	return s.source.Walk(ctx, want, func(c chunk.Chunk, data []byte) error {
		if c.N == s.n {
			judge.Until(s.t, "the later zeros are on the disk", s.until)
		}
		return each(c, data)
	})
}

// What was foretold to be zeros and is not is an image that has changed meanwhile: nothing of it is verified.
func TestForetoldWrong(t *testing.T) {
	img := image(1, 12)
	b := newBench(t, judge.Noise(3, len(img)))
	s := &pausedAt{source: &source{b: img, liar: 9}, n: 1, t: t, until: func() bool { return b.zeroAt(9*chunk.Size, 10*chunk.Size) }}
	if r, err := b.flashOf(s, img); !errors.Is(err, ErrImage) || !errors.Is(err, errOther) {
		t.Errorf("%+v, %v", r, err)
	}
}

// Where an image ends in zeros that were foretold, nothing of it is taken for what lies behind the image, also of a stream that does not say how long it is.
func TestForetoldEnd(t *testing.T) {
	img := make([]byte, 20*chunk.Size)
	copy(img, judge.Noise(1, 3*chunk.Size))
	b := newBench(t, judge.Noise(3, len(img)+2*chunk.Size))
	s := &pausedAt{source: &source{b: img, once: true}, n: 1, t: t, until: func() bool { return b.zeroAt(19*chunk.Size, 20*chunk.Size) }}
	r, err := b.flashOf(s, img, func(j *Job) {
		j.Fit = func(disk protocol.Disk, _ int64, first []byte) ([]byte, []chunk.Extent, error) {
			return first, []chunk.Extent{{Off: 4 * chunk.Size, Len: disk.Size - 4*chunk.Size}}, nil
		}
	})
	if err != nil || r.Lost > 0 || !b.zeroAt(20*chunk.Size, 22*chunk.Size) {
		t.Errorf("%+v, %v", r, err)
	}
}
