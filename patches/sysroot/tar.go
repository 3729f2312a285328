package sysroot

import (
	"archive/tar"
	"fmt"
	"io"
	"path"
	"strings"
)

// Bounds of a package: directories in a name, the bytes that a node is counted
// with in addition to its content, bytes of a control file.
const (
	maxDepth   = 128
	nodeCost   = 512
	maxControl = 16 << 20
)

// unpackTar gives each entry of a control.tar or data.tar to each.
func unpackTar(r io.Reader, suffix string, p *placer, each func(*tar.Header, io.Reader) error) error {
	zr, err := unpackMember(suffix, r)
	if err != nil {
		return err
	}
	defer zr.Close()
	stream := &tarStream{r: zr, placer: p}
	for tr := tar.NewReader(stream); ; {
		hdr, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = each(hdr, tr)
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

// keepControl keeps the control files that say what dpkg would note of a package.
func (p *placer) keepControl(hdr *tar.Header, content io.Reader) error {
	if len(p.packages) == 0 || hdr.Typeflag != tar.TypeReg {
		return nil
	}
	pkg, name := &p.packages[len(p.packages)-1], path.Clean(hdr.Name)
	if name != "control" && name != "md5sums" {
		return nil
	}
	if isSparse(hdr) || hdr.Size > maxControl {
		return fmt.Errorf("%s: %w", name, tooLong(maxControl))
	}
	b, err := readClaimed(content, hdr.Size)
	if name == "control" {
		pkg.Control = b
	} else {
		pkg.MD5Sums = b
	}
	return err
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
		if e := s.placer.chargeBytes(int64(n)); e != nil {
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

// isSparse reports a file with holes: a header of a few bytes would claim gigabytes.
// dpkg knows none.
func isSparse(hdr *tar.Header) bool {
	for key := range hdr.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}
