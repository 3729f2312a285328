package image

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"

	"groundhog/initrd/eof"
)

// ErrTrailing is something behind the end of what is compressed that is neither more of it nor padding.
var ErrTrailing = errors.New("something else is behind its end: if that is meant, --force leaves it out")

// maxTrailer bounds what is read behind a gzip file's end to find out what it is, in bytes.
const maxTrailer = 1 << 20

// gzipMembers reads member behind member, and what gzip(1) passes over behind the last one: padding with zeros, and what makers of
// firmware put there. Of anything else nobody knows whether it was a further member.
type gzipMembers struct {
	in      *bufio.Reader
	member  *gzip.Reader
	lenient bool              // anything may be behind the end
	note    func(text string) // told what was left out
}

func newGunzip(in *bufio.Reader, lenient bool, note func(string)) (*gzipMembers, error) {
	member, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	member.Multistream(false)
	return &gzipMembers{in, member, lenient, note}, nil
}

func (g *gzipMembers) Read(p []byte) (int, error) {
	for {
		n, err := g.member.Read(p)
		if n > 0 || err != io.EOF {
			if err == io.EOF {
				err = nil
			}
			return n, err
		}
		magic, err := g.in.Peek(2)
		if len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
			if err := g.member.Reset(g.in); err != nil {
				return 0, eof.Unexpected(err)
			}
			g.member.Multistream(false)
			continue
		}
		if len(magic) == 0 {
			return 0, err // io.EOF: the last member's proper end
		}
		return 0, g.checkTrailer()
	}
}

// checkTrailer looks at what is behind the last member.
func (g *gzipMembers) checkTrailer() error {
	var head []byte
	zero, size := true, int64(0)
	last := make([]byte, 0, 2*trailerLen)
	buf := make([]byte, 32<<10)
	for {
		n, err := g.in.Read(buf)
		zero = zero && len(bytes.Trim(buf[:n], "\x00")) == 0
		size += int64(n)
		head = append(head, buf[:min(n, max(0, 16-len(head)))]...)
		last = append(last, buf[max(0, n-trailerLen):n]...)
		last = last[max(0, len(last)-trailerLen):]
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	switch {
	case zero:
		g.note(fmt.Sprintf("%d zeros behind the gzip stream's end are padding", size))
	case size <= maxTrailer && openWrt(last, size):
		g.note(fmt.Sprintf("the %d bytes behind the gzip stream's end are OpenWrt's metadata, and not part of the image", size))
	case g.lenient:
		g.note(fmt.Sprintf("the %d bytes behind the gzip stream's end are left out", size))
	default:
		return fmt.Errorf("%w (%d bytes, the first are %x)", ErrTrailing, size, head)
	}
	return io.EOF
}

// trailerLen is the length of OpenWrt's trailer in bytes: magic, CRC-32, type with padding, and how long it is with what it is of
// (fwtool's fwimage.h).
const trailerLen = 16

func openWrt(last []byte, size int64) bool {
	return len(last) == trailerLen && string(last[:4]) == "FWx0" && int64(binary.BigEndian.Uint32(last[12:])) <= size &&
		binary.BigEndian.Uint32(last[12:]) >= trailerLen
}
