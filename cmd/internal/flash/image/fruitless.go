package image

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// maxFruitless bounds what comes of a compressed image, in bytes, while nothing comes out: padding, frames of nothing, what is
// skipped. A server may send those for ever, and never be silent. A decoder may read half of it before it has something.
const maxFruitless = 1 << 30

// ErrFruitless is returned for what goes on and has no more of an image in it.
var ErrFruitless = errors.New("it goes on, and there is nothing in it")

// fruitlessInput is a compressed image as it comes in. Its user tells it what comes out of the decoder.
type fruitlessInput struct {
	io.Reader
	most int64
	read atomic.Int64 // since something came out
	over atomic.Int64 // what it was when no more was read
}

func (f *fruitlessInput) Read(p []byte) (int, error) {
	if n := f.read.Load(); n > f.most {
		f.over.Store(n)
		return 0, f.whyFailed(io.ErrUnexpectedEOF)
	}
	n, err := f.Reader.Read(p)
	f.read.Add(int64(n))
	return n, err
}

// cameOut notes that so many bytes came out.
func (f *fruitlessInput) cameOut(n int) {
	if n > 0 {
		f.read.Store(0)
	}
}

// whyFailed is why a decoder failed: some make another error of what they read, and some have read ahead of what comes out.
func (f *fruitlessInput) whyFailed(err error) error {
	if n := max(f.read.Load(), f.over.Load()); err != nil && err != io.EOF && n > f.most {
		return fmt.Errorf("%w: %d bytes", ErrFruitless, n)
	}
	return err
}
