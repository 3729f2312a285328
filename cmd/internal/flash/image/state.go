package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image/index"
)

// watchState waits until a further change of the image's file would show in its state, and notes the state.
func (i *Image) watchState(ctx context.Context) error {
	state, regular, err := index.Settle(ctx, i.watched)
	if err != nil {
		return err
	}
	if !regular { // a disk, a pipe: what was read of it is what counts
		i.watched = nil
		return nil
	}
	i.state = state
	if i.file != nil {
		i.unlasting = index.CheckLasting(i.file)
	}
	return nil
}

// checkUnchanged is nil if the image's file has the content that it had. If its state is another, which a new name or mode is enough for, the
// file is read again.
func (i *Image) checkUnchanged(ctx context.Context) error {
	if i.watched == nil {
		return nil
	}
	i.look.Lock()
	defer i.look.Unlock()
	if now, ok := index.FileOf(i.watched); ok && now == i.state {
		return nil
	}
	if i.file == nil {
		return ErrChanged
	}
	state, ok, err := index.Settle(ctx, i.file)
	if err != nil || !ok {
		return ErrChanged
	}
	if err := i.readAgain(ctx); err != nil {
		return err
	}
	if now, ok := index.FileOf(i.file); !ok || now != state {
		return ErrChanged
	}
	i.state = state
	return nil
}

// readAgain is nil if the image's file still has all that was read of it. The image was read to its end.
func (i *Image) readAgain(ctx context.Context) error {
	stored, chunks := i.stored, i.chunks
	if i.kept != nil {
		stored, chunks = i.kept.Stored, i.kept.Chunks
	}
	if stored != "" {
		sum, err := i.hashFile(ctx)
		if err == nil && sum != stored {
			err = ErrChanged
		}
		return err
	}
	b := chunk.Buffer(chunk.Size)
	defer chunk.Free(b)
	for _, c := range chunks {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := i.raw.ReadAt(b[:c.Len], c.N*chunk.Size); err != nil {
			return shorterError(err)
		}
		if chunk.Of(c.N, b[:c.Len]) != c {
			return ErrChanged
		}
	}
	if n, err := i.raw.ReadAt(b[:1], chunk.End(chunks)); n > 0 || err != io.EOF {
		return ErrChanged
	}
	return nil
}

// hashFile is the SHA-256 of the image's file, in hex. It leaves the place where the file is read.
func (i *Image) hashFile(ctx context.Context) (string, error) {
	h, buf := sha256.New(), make([]byte, chunk.Size)
	for off := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := i.file.ReadAt(buf, off)
		h.Write(buf[:n])
		off += int64(n)
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// checkZero makes sure, once for each, that a chunk is zeros which the kept index calls zeros. A hole need not be read for that (lseek(2)).
func (i *Image) checkZero(c chunk.Chunk) error {
	i.mu.Lock()
	if i.zeros == nil {
		i.zeros = make([]bool, len(i.kept.Chunks))
	}
	seen := i.zeros[c.N]
	i.mu.Unlock()
	if seen {
		return nil
	}
	off := c.N * chunk.Size
	data, err := unix.Seek(int(i.file.Fd()), off, unix.SEEK_DATA)
	if hole := err == unix.ENXIO || err == nil && data >= off+int64(c.Len); !hole {
		b := chunk.Buffer(c.Len)
		defer chunk.Free(b)
		if _, err := i.raw.ReadAt(b, off); err != nil {
			return shorterError(err)
		}
		if !chunk.IsZero(b) {
			return ErrChanged
		}
	}
	i.mu.Lock()
	i.zeros[c.N] = true
	i.mu.Unlock()
	return nil
}

// shorterError is a read's error, [ErrChanged] where the image ended before what is known to have been in it.
func shorterError(err error) error {
	if err == io.EOF {
		return ErrChanged
	}
	return err
}
