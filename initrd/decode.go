package initrd

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz/lzma"

	"groundhog/initrd/eof"
)

func decodeGzip(r *bytes.Reader) (io.ReadCloser, error) {
	var head [4]byte
	if _, err := r.ReadAt(head[:], r.Size()-int64(r.Len())); err != nil {
		return nil, eof.Unexpected(err)
	}
	// RFC 1952, 2.3.1: FTEXT says nothing, FNAME is passed over; the kernel
	// takes the rest for compressed data (lib/decompress_inflate.c).
	if other := head[3] &^ (0x01 | 0x08); other != 0 {
		return nil, fmt.Errorf("%w: header flags %#02x, which the kernel does not know", ErrFormat, other)
	}
	zr, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	zr.Multistream(false)
	return zr, nil
}

func decodeZstd(r *bytes.Reader) (io.ReadCloser, error) {
	// As a rule what is read is hashed meanwhile: on two cores there is none to spare for a decoder's second goroutine, and one alone takes less.
	cores := max(1, runtime.GOMAXPROCS(0)/2)
	zr, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(min(4, cores)))
	if err != nil {
		return nil, err
	}
	return zr.IOReadCloser(), nil
}

func decodeXz(r *bytes.Reader) (io.ReadCloser, error) {
	// The stream header has been walked. lib/xz knows no check but CRC32.
	var head [8]byte
	if _, err := r.ReadAt(head[:], r.Size()-int64(r.Len())); err != nil {
		return nil, eof.Unexpected(err)
	}
	if check := head[7]; check > 1 {
		return nil, fmt.Errorf("%w: integrity check %d, which the kernel refuses (xz --check=crc32)", ErrFormat, check)
	}
	zr, err := xz.NewReader(r, maxWindow)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(zr), nil
}

func decodeLzma(r *bytes.Reader) (io.ReadCloser, error) {
	var head [5]byte
	if _, err := r.ReadAt(head[:], r.Size()-int64(r.Len())); err != nil {
		return nil, eof.Unexpected(err)
	}
	if dict := binary.LittleEndian.Uint32(head[1:]); dict > maxWindow {
		return nil, fmt.Errorf("%w: an lzma dictionary of %d bytes", ErrTooLarge, dict)
	}
	zr, err := lzma.ReaderConfig{DictCap: maxWindow}.NewReader(r)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(zr), nil
}

func decodeLz4(r *bytes.Reader) (io.ReadCloser, error) { return io.NopCloser(lz4.NewReader(r)), nil }

// bzip2Reader ends where the stream ends. The library reads two bytes on, for
// the "BZ" of another stream, and calls anything else an error: it is shown
// two zeros behind the end of the input, so that every stream ends that way,
// and what it has read too far is given back.
type bzip2Reader struct {
	r  io.Reader
	in *bzip2Input
}

type bzip2Input struct {
	*bytes.Reader
	zeros int // given out behind the end
}

func decodeBzip2(r *bytes.Reader) (io.ReadCloser, error) {
	in := &bzip2Input{Reader: r}
	return io.NopCloser(&bzip2Reader{bzip2.NewReader(in), in}), nil
}

func (in *bzip2Input) ReadByte() (byte, error) {
	c, err := in.Reader.ReadByte()
	if err == io.EOF && in.zeros < 2 {
		in.zeros++
		return 0, nil
	}
	return c, err
}

func (b *bzip2Reader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == bzip2.StructuralError("bad magic value in continuation file") {
		_, err = b.in.Seek(int64(b.in.zeros-2), io.SeekCurrent)
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	return n, eof.Unexpected(err) // the zeros were taken for data
}
