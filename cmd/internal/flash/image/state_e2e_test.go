//go:build e2e

package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image/index"
	"groundhog/fixtures/judge"
)

// An image that is still being written is waited for a little, and then refused.
func TestOpenWhileWritten(t *testing.T) {
	name := old(t, filepath.Join(t.TempDir(), "image"), disk(3<<20))
	f := judge.Value(os.OpenFile(name, os.O_WRONLY, 0))(t)
	defer f.Close()
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	var writes atomic.Int64
	writer.Go(func() {
		pace := time.NewTicker(50 * time.Microsecond) // not all of a processor's time
		defer pace.Stop()
		for n := byte(0); ctx.Err() == nil; n++ {
			<-pace.C
			if _, err := f.WriteAt([]byte{n}, 5); err != nil {
				t.Error(err)
				return
			}
			writes.Add(1)
		}
	})
	i, err := Open(t.Context(), name, "", nil)
	if err == nil { // on a machine that is busy the writer may have paused
		err = i.Walk(t.Context(), nil, func(c chunk.Chunk, _ []byte) error {
			for before := writes.Load(); c.N == 1 && writes.Load() < before+2; {
				runtime.Gosched()
			}
			return nil
		})
		if errors.Is(err, ErrChanged) {
			err = index.ErrChanging
		}
		i.Close()
	}
	stop()
	writer.Wait()
	if !errors.Is(err, index.ErrChanging) {
		t.Errorf("%v, want ErrChanging", err)
	}
}
