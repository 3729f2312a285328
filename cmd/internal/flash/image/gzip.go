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

// ErrTrailing is of a compressed file with something behind its end that belongs to no further member and is no padding.
var ErrTrailing = errors.New("something else is behind its end: if that is meant, --force leaves it out")

// maxTrailer bounds what is read behind a gzip file's end to find out what it is, in bytes.
const maxTrailer = 1 << 20

// decodeGzip reads member behind member, and what gzip(1) passes over behind the last one: padding with zeros, and what makers of
// firmware put there. Of anything else nobody knows whether it was a further member.
func decodeGzip(r *bufio.Reader, o decodeOptions) (io.Reader, error) {
	member, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	member.Multistream(false)
	return &memberReader{member, func() error {
		magic, err := r.Peek(2)
		switch {
		case len(magic) == 0:
			return err // io.EOF: the last member's proper end
		case string(magic) != "\x1f\x8b":
			return checkTrailer(r, o)
		}
		if err := member.Reset(r); err != nil {
			return eof.Unexpected(err)
		}
		member.Multistream(false)
		return nil
	}}, nil
}

// checkTrailer looks at what is behind the last member; io.EOF where it may be there.
func checkTrailer(r *bufio.Reader, o decodeOptions) error {
	var head []byte
	zero, size := true, int64(0)
	last := make([]byte, 0, 2*trailerLen)
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
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
		o.note(fmt.Sprintf("%d zeros behind the gzip stream's end are padding", size))
	case size <= maxTrailer && openWrt(last, size):
		o.note(fmt.Sprintf("the %d bytes behind the gzip stream's end are OpenWrt's metadata, and not part of the image", size))
	case o.lenient:
		o.note(fmt.Sprintf("the %d bytes behind the gzip stream's end are left out", size))
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
