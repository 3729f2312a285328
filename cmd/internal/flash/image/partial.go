package image

import (
	"context"
	"io"
	"os"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/pack"
)

// A .zst file's own frames are what is sent of it, so hardly any of its decoded chunks is read again: to copy all of them into the spool takes as
// much CPU as to decode them. Only that goes there by which it is found out whether a disk has something of the image, and the spool gets the
// others by decoding the file once more as soon as one of them is wanted: for a disk that holds most of the image, for a file in the image, for a
// chunk that was damaged on its way.

// spoolPartly decides, before the image is decoded, whether only some of it goes into the spool. All of it does where another pass over the file
// costs more, or cannot be had.
func (i *Image) spoolPartly(ctx context.Context) {
	_, passedOn := i.packed.(*pack.File)
	if !passedOn || i.watched == nil {
		return
	}
	i.partial.Store(true)
	i.fill = func() error {
		decoded, _, err := decodeBy(contextReader{ctx, io.NopCloser(io.NewSectionReader(i.file, 0, i.state.Size))}, decodeOptions{})
		if err != nil {
			return err
		}
		defer decoded.Close()
		return i.spoolRest(decoded)
	}
}

// checkRestRoom finds out, once all of the image was decoded, whether there is room for the rest of it: whether the image can be had has to be known
// before anything is written to a disk.
func (i *Image) checkRestRoom() error {
	if rest := chunk.End(i.chunks); i.partial.Load() && freeRoom(i.spool) < rest+spoolLeaves {
		return i.KeepAll() // it may be zeros for the most part, or what others hold may become free
	}
	return nil
}

// spooledLen is how many bytes at the beginning of chunk n go into the spool when it was decoded for the first time; fewer where it is shorter.
func (i *Image) spooledLen(n int64) int {
	if f, ok := i.packed.(*pack.File); ok && i.partial.Load() && !f.IsAlone(n) {
		return chunk.SampleLen(n)
	}
	return chunk.Size
}

// KeepAll returns once the spool has all of the image. The image's file may be another one by now, and shorter: what is read of the spool is
// held against the chunks' sums, or the file's state is looked at afterwards.
func (i *Image) KeepAll() error {
	i.filling.Lock()
	defer i.filling.Unlock()
	if !i.partial.Load() {
		return nil
	}
	err := i.fill()
	if err == nil {
		i.partial.Store(false)
	}
	return err
}

// KeepsAll reports whether [Image.Peek] has every chunk that was decoded.
func (i *Image) KeepsAll() bool { return !i.partial.Load() }

// spoolRest writes the chunks to the spool that it does not have.
func (i *Image) spoolRest(decoded io.Reader) error {
	if i.claim > 0 {
		i.spool.Truncate(i.claim) // as in readySpool
	}
	var by spooling
	b := chunk.Buffer(chunk.Size)
	defer chunk.Free(b)
	for n := int64(0); n*chunk.Size < i.most; n++ {
		k, err := io.ReadFull(decoded, b)
		if k > chunk.SampleLen(n) && !chunk.IsZero(b[:k]) {
			if err := by.writeChunk(i.spool, b[:k], n*chunk.Size); err != nil {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decodedContent reads the decoded image where the spool has it in part.
type decodedContent struct{ i *Image }

func (d decodedContent) ReadAt(p []byte, off int64) (int, error) {
	if err := d.i.KeepAll(); err != nil {
		return 0, err
	}
	return d.i.spool.ReadAt(p, off)
}

// decodedFile is a file with all of the decoded image. The image was read to its end.
func (i *Image) decodedFile() (*os.File, error) {
	if i.raw != nil {
		return i.file, nil
	}
	return i.spool, i.KeepAll()
}
