package reflash

import (
	"context"
	"errors"
	"fmt"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
)

// addDifference adds to the error of a check which byte of the disk is the first that differs. The writer only compares the sums of chunks, so the
// bytes of the first chunk that differs are fetched and compared here.
func (f *flashing) addDifference(ctx context.Context, r flash.Result, err error) error {
	if !errors.Is(err, flash.ErrDiffers) || len(r.Differing) == 0 {
		return err
	}
	at, wanted, werr := f.wantedBytes(ctx, r.Differing[0])
	if werr != nil {
		return fmt.Errorf("%w; which byte is the first that differs could not be found out: %w", err, werr)
	}
	held, werr := f.heldBytes(ctx, at, len(wanted))
	if werr != nil {
		return fmt.Errorf("%w; which byte is the first that differs could not be found out: %w", err, werr)
	}
	for i := range held {
		if held[i] != wanted[i] {
			return fmt.Errorf("%w; the first byte that differs is %d: %#02x, not %#02x", err, at+int64(i), held[i], wanted[i])
		}
	}
	return fmt.Errorf("%w; when its bytes were read they were the image's: the disk, or its cache, does not always say the same", err)
}

// wantedBytes is what the disk should have in a chunk, or in what belongs behind the image's end, and where it begins.
func (f *flashing) wantedBytes(ctx context.Context, c chunk.Chunk) (at int64, b []byte, err error) {
	at = c.N * chunk.Size
	found := false
	err = f.img.Walk(ctx, func(n int64) bool { return n == 0 || n == c.N }, func(got chunk.Chunk, data []byte) error {
		if data == nil {
			data = make([]byte, got.Len)
		}
		if got.N == 0 {
			size, _ := f.img.Size()
			head, behind, err := f.fitTable(protocol.Disk{Size: f.disk.Size, Block: f.disk.Block}, size, data)
			if err != nil {
				return err
			}
			data = head
			for _, e := range behind {
				if e.Off/chunk.Size == c.N && c.N > 0 && !found {
					at, b = e.Off, e.Data
				}
			}
		}
		if got.N == c.N {
			at, b, found = c.N*chunk.Size, data, true
		}
		return nil
	})
	if err == nil && b == nil {
		err = fmt.Errorf("nothing is to be at byte %d", at)
	}
	return at, b, err
}

// heldBytes is what the disk has.
func (f *flashing) heldBytes(ctx context.Context, at int64, n int) ([]byte, error) {
	const sector = 512
	r, err := f.c.Run(ctx, fmt.Sprintf("dd if=%s bs=%d skip=%d count=%d 2>/dev/null", device.Quote(f.disk.Path), sector, at/sector, (n+sector-1)/sector), nil)
	if err == nil {
		err = r.Err("reading the disk")
	}
	if err == nil && len(r.Stdout) < n {
		err = fmt.Errorf("reading the disk: %d bytes of %d", len(r.Stdout), n)
	}
	if err != nil {
		return nil, err
	}
	return r.Stdout[:n], nil
}
