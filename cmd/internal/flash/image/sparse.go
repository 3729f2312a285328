package image

import (
	"os"

	"golang.org/x/sys/unix"
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
