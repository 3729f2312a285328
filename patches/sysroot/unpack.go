package sysroot

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
)

// Dictionaries larger than these, in bytes, are refused. They are what dpkg-deb
// asks for at its highest levels.
const (
	xzDict     = 64 << 20
	zstdWindow = 128 << 20
)

// compressions, by the ending that deb(5) and kmod give them and by their magic.
var compressions = []struct {
	suffix string
	magic  []byte
	open   func(io.Reader) (io.ReadCloser, error)
}{
	{".gz", []byte{0x1f, 0x8b}, openGzip},
	{".xz", []byte("\xfd7zXZ\x00"), openXZ},
	{".zst", []byte{0x28, 0xb5, 0x2f, 0xfd}, openZstd},
}

// unpacker reads what r unpacks to, by the ending of a name; "" is not compressed.
func unpacker(suffix string, r io.Reader) (io.ReadCloser, error) {
	if suffix == "" {
		return io.NopCloser(r), nil
	}
	for _, c := range compressions {
		if c.suffix == suffix {
			return c.open(r)
		}
	}
	return nil, fmt.Errorf("unknown compression %q", suffix)
}

// unpackBytes unpacks b, judged by its magic, to at most limit bytes.
func unpackBytes(b []byte, limit int64) ([]byte, error) {
	for _, c := range compressions {
		if !bytes.HasPrefix(b, c.magic) {
			continue
		}
		r, err := c.open(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.suffix[1:], err)
		}
		defer r.Close()
		if b, err = readAll(r, limit); err != nil {
			return nil, fmt.Errorf("%s: %w", c.suffix[1:], err)
		}
		return b, nil
	}
	return b, nil
}

func openGzip(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(bufio.NewReader(r)) }

func openXZ(r io.Reader) (io.ReadCloser, error) {
	zr, err := xz.NewReader(bufio.NewReader(r), xzDict)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(zr), nil
}

func openZstd(r io.Reader) (io.ReadCloser, error) {
	zr, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return nil, err
	}
	return zr.IOReadCloser(), nil
}
