package image

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/chunk"
)

// sparseReader reads a file from its beginning to its end. Holes are not read (lseek(2), SEEK_DATA): a disk image that was made by truncate(1) is
// holes for the most part, and the kernel would fill memory with their zeros.
type sparseReader struct {
	file *os.File // its own place in it means nothing
	off  int64
	data int64 // no byte between off and here is data, as far as is known
}

func (s *sparseReader) Read(p []byte) (int, error) {
	if s.off >= s.data {
		s.data = s.nextData()
	}
	if s.off < s.data {
		n := int(min(int64(len(p)), s.data-s.off))
		clear(p[:n])
		s.off += int64(n)
		return n, nil
	}
	n, err := s.file.ReadAt(p, s.off)
	s.off += int64(n)
	return n, err
}

func (s *sparseReader) Close() error { return s.file.Close() }

// nextData is where the next data is, off where there is some or where nobody knows, the file's end behind the last.
func (s *sparseReader) nextData() int64 {
	fd := int(s.file.Fd())
	data, err := unix.Seek(fd, s.off, unix.SEEK_DATA)
	if err == unix.ENXIO {
		data, err = unix.Seek(fd, 0, unix.SEEK_END)
	}
	if err != nil {
		return s.off
	}
	return data
}

// Zeros calls each for chunks of zeros, in order, that can be known of before [Image.Walk] has come to them: of a raw image those that are
// holes, or that the kernel has in memory; of any other those that were decoded by then. Walk names them, too, or finds that the file has changed.
func (i *Image) Zeros(ctx context.Context, each func(chunk.Chunk) error) error {
	switch {
	case i.kept != nil:
		return nil // the index knows
	case i.raw == nil:
		i.start.Do(i.decode)
		return i.decodedZeros(ctx, each)
	}
	size, known := i.Size()
	if i.file == nil || !known {
		return nil
	}
	holes, piece := sparseReader{file: i.file}, make([]byte, 16<<10)
	for ; holes.off < size && ctx.Err() == nil; holes.off += chunk.Size {
		end := min(holes.off+chunk.Size, size)
		if holes.data < end {
			holes.data = holes.nextData()
		}
		if holes.data < end && !cachedZeros(i.file, holes.off, end, piece) {
			continue
		}
		if err := each(chunk.Chunk{N: holes.off / chunk.Size, Len: int(end - holes.off), Zero: true}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// cachedZeros reports whether a part of a file is zeros, as far as that can be told without reading from the medium, where this would be in the
// way of who reads the file from its beginning on.
func cachedZeros(f *os.File, from, to int64, piece []byte) bool {
	for from < to {
		n := readCached(int(f.Fd()), piece[:min(int64(len(piece)), to-from)], from)
		if n <= 0 || !chunk.IsZero(piece[:n]) {
			return false
		}
		from += int64(n)
	}
	return true
}

// decodedZeros is Zeros of what is decoded.
func (i *Image) decodedZeros(ctx context.Context, each func(chunk.Chunk) error) error {
	stop := i.wakeAtEnd(ctx)
	defer stop()
	for n := int64(0); ; n++ {
		c, more, err := i.awaitChunk(ctx, n, &i.done)
		if err == nil && more && c.Zero {
			err = each(c)
		}
		if err != nil || !more {
			return err
		}
	}
}
