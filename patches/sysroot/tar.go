package sysroot

import (
	"archive/tar"
	"fmt"
	"io"
	"path"
	"strings"
)

// Bounds of a package's names: directories in a name, and the bytes that a node is
// counted with in addition to its content.
const (
	maxDepth = 128
	nodeCost = 512
)

// unpackData places what a data.tar holds.
func unpackData(r io.Reader, suffix string, p *placer) error {
	zr, err := unpacker(suffix, r)
	if err != nil {
		return err
	}
	defer zr.Close()
	stream := &tarStream{r: zr, placer: p}
	p.begin()
	for tr := tar.NewReader(stream); ; {
		hdr, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = p.place(hdr, tr)
		}
		if err != nil {
			return err
		}
	}
	// The compression's checksum and the member's end are further on.
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return err
	}
	if stream.zeros < 1024 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// tarStream counts what was unpacked against the layer's limit, and the zeros it
// ends with: archive/tar takes a stream without the two zero blocks at its end, cut
// between two files, for a whole one.
type tarStream struct {
	r      io.Reader
	placer *placer
	zeros  int
}

func (s *tarStream) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if n > 0 {
		i := n
		for i > 0 && b[i-1] == 0 {
			i--
		}
		if i > 0 {
			s.zeros = 0
		}
		s.zeros += n - i
		if e := s.placer.charge(int64(n)); e != nil {
			return 0, e
		}
	}
	return n, err
}

// cleanName is a tar entry's name as a name of the tree.
func cleanName(s string) (string, error) {
	if s == "" || len(s) > maxTarget || strings.Count(s, "/") > maxDepth || strings.Contains(s, "\x00") {
		return "", fmt.Errorf("bad name %.40q", s)
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == ".." {
			return "", fmt.Errorf("name %q leads out of the package", s)
		}
	}
	return path.Join(".", strings.TrimLeft(s, "/")), nil
}

// sparse reports a file with holes: a header of a few bytes would claim gigabytes.
// dpkg knows none.
func sparse(hdr *tar.Header) bool {
	for key := range hdr.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}
