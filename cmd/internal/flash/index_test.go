package flash

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/fixtures/judge"
)

// patient is a disk whose end cannot be read before something was written.
type patient struct {
	*disk
	end     int64
	once    sync.Once
	written chan struct{}
}

func (d *patient) WriteAt(p []byte, off int64) (int, error) {
	d.once.Do(func() { close(d.written) })
	return d.disk.WriteAt(p, off)
}

func (d *patient) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) >= d.end {
		select {
		case <-d.written:
		case <-time.After(20 * time.Second):
			return 0, errors.New("all of the disk was to be read before anything was written")
		}
	}
	return d.disk.ReadAt(p, off)
}

// What differs is sent while the rest of an index is compared.
func TestDataDuringCompare(t *testing.T) {
	img := image(1, 40)
	clear(img[40*chunk.Size:]) // zeros are always looked at
	b := newBench(t, judge.Noise(9, len(img)))
	d := &patient{disk: b.disk, end: int64(len(img)), written: make(chan struct{})}
	r, err := b.flash(&source{b: img, index: true}, func(j *Job) {
		j.Connect = func(context.Context) (io.ReadWriteCloser, error) {
			here, there := pair(t)
			b.done.Go(func() {
				writer.Serve(context.Background(), there, writer.Config{Tool: "test", Run: b.run,
					Open: func(string, bool) (writer.Target, error) { return d, nil }})
				there.Close()
			})
			return here, nil
		}
	})
	if err != nil || r.State != Verified {
		t.Errorf("%+v, %v", r, err)
	}
}

// Another flash, between a connection that was lost and the next, is not overwritten unasked, whether it was done or not.
func TestAnotherBetween(t *testing.T) {
	img := image(1, 40)
	before := bytes.Clone(img)
	copy(before[20*chunk.Size:], judge.Noise(5, chunk.Size))
	b := newBench(t, before)
	b.cuts = []int64{8000} // behind the announcements, inside the only chunk's data
	others := judge.Noise(77, len(img))
	j := Job{Source: &source{b: img, index: true}, Disk: "/dev/test", Session: "ours", Tool: "test"}
	j.Connect = func(ctx context.Context) (io.ReadWriteCloser, error) {
		if b.conns == 1 {
			b.done.Wait() // our first writer has let go
			other := Job{Source: &source{b: others}, Disk: "/dev/test", Session: "another", Tool: "test", Connect: b.connect}
			if _, err := Run(ctx, other); err != nil {
				return nil, Permanent(err)
			}
			b.done.Wait()
		}
		return b.connect(ctx)
	}
	if _, err := Run(t.Context(), j); !errors.Is(err, ErrReplaced) {
		t.Errorf("%v, want ErrReplaced", err)
	}
	if !bytes.Equal(b.disk.b[:len(others)], others) {
		t.Error("the other's image is not on the disk any more")
	}
}

// A connection that is lost keeps the answers it had: a second one does not compare what the first one did.
func TestAnswersKept(t *testing.T) {
	img := image(2, 600)
	before := bytes.Clone(img)
	copy(before[7*chunk.Size:], judge.Noise(5, chunk.Size))
	before[500*chunk.Size] ^= 1
	b := newBench(t, before)
	b.cuts = []int64{100_000} // inside the data of the first
	r, err := b.flash(&source{b: img, index: true})
	if err != nil || r.State != Verified || r.Lost < 1 || r.Same+r.Written+r.Zeroed != 601 {
		t.Errorf("%+v, %v", r, err)
	}
}
