package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"groundhog/cmd/internal/flash/chunk"
)

// Ready finds out, before anything is written to a disk of so many bytes (0: no disk), all that can be known of an image that is a file: a
// compressed one is decoded to its end, unless that was done before and the file has not changed. Of a stream no more than the beginning is
// known.
func (i *Image) Ready(ctx context.Context, disk int64) error {
	if i.watched == nil || i.file == nil || i.raw != nil || i.kept != nil {
		return nil
	}
	return i.LoadFor(ctx, disk)
}

// Notes says what the decoders left out of the image, as far as it was read.
func (i *Image) Notes() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string(nil), i.notes...)
}

func (i *Image) noteText(text string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.notes = append(i.notes, text)
}

// readAt waits until so many bytes of the decoded image from off on are there, and returns them; fewer at its end.
func (i *Image) readAt(ctx context.Context, off, n int64) ([]byte, error) {
	if i.kept == nil || i.raw == nil {
		i.start.Do(i.decode)
	}
	stop := i.wakeAtEnd(ctx)
	defer stop()
	var out []byte
	for at := off / chunk.Size; at*chunk.Size < off+n; at++ {
		c, more, err := i.awaitChunk(ctx, at, &i.done)
		if err != nil || !more {
			return out, err
		}
		data := chunk.Buffer(c.Len)
		if clear(data); !c.Zero {
			chunk.Free(data)
			if data, err = i.readChunk(c); err != nil {
				return nil, err
			}
		}
		from, to := max(0, off-at*chunk.Size), min(int64(c.Len), off+n-at*chunk.Size)
		if from < to {
			out = append(out, data[from:to]...)
		}
		chunk.Free(data)
	}
	return out, nil
}

// Filesystem is the name of what begins at a byte of the decoded image, "" for what is not known; "ext" is ext2, ext3 or ext4.
func (i *Image) Filesystem(ctx context.Context, off int64) (string, error) {
	b, err := i.readAt(ctx, off, 65536+128)
	if err != nil {
		return "", err
	}
	return filesystemAt(bytes.NewReader(b), 0)
}

// errCut says that a file does not end as its format ends; where it should have ended only decoding tells.
var errCut = errors.New("it does not end as an .xz file ends: it was cut, or something else is behind it")

// checkFooter refuses an xz file without a footer (The .xz File Format, 2.1.2), behind which only zeros may be.
func (i *Image) checkFooter() error {
	if i.file == nil || i.watched == nil || i.compression != "xz" {
		return nil
	}
	b := make([]byte, min(i.state.Size, 4096))
	if _, err := i.file.ReadAt(b, i.state.Size-int64(len(b))); err != nil && err != io.EOF {
		return err
	}
	if b = bytes.TrimRight(b, "\x00"); len(b) > 0 && !bytes.HasSuffix(b, []byte("YZ")) {
		return fmt.Errorf("xz: %w", errCut)
	}
	return nil
}
