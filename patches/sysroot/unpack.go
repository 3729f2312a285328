package sysroot

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
	"github.com/ulikunitz/xz/lzma"

	"groundhog/initrd/eof"
)

// Dictionaries larger than these, in bytes, are refused. They are what dpkg-deb
// asks for at its highest levels.
const (
	xzDict     = 64 << 20
	zstdWindow = 128 << 20
)

type moduleCompression struct {
	suffix string
	magic  []byte
	open   func(io.Reader) (io.ReadCloser, error)
}

// moduleCompressions are those of kernel modules, by the ending that kmod gives them and by their
// magic.
var moduleCompressions = []moduleCompression{
	{".gz", []byte{0x1f, 0x8b}, openGzip},
	{".xz", []byte("\xfd7zXZ\x00"), openXZ},
	{".zst", []byte{0x28, 0xb5, 0x2f, 0xfd}, openZstd},
}

// debCompressions are those that dpkg reads, deb(5): of old packages two more.
var debCompressions = append(slices.Clone(moduleCompressions),
	moduleCompression{suffix: ".bz2", open: openBzip2}, moduleCompression{suffix: ".lzma", open: openLzma})

// unpackMember reads what r unpacks to, by the ending of a package's member; "" is not
// compressed.
func unpackMember(suffix string, r io.Reader) (io.ReadCloser, error) {
	if suffix == "" {
		return io.NopCloser(r), nil
	}
	for _, c := range debCompressions {
		if c.suffix == suffix {
			return c.open(r)
		}
	}
	return nil, fmt.Errorf("unknown compression %q", suffix)
}

// unpackBytes unpacks b, judged by its magic, to at most limit bytes.
func unpackBytes(b []byte, limit int64) ([]byte, error) {
	for _, c := range moduleCompressions {
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

func openBzip2(r io.Reader) (io.ReadCloser, error) {
	return io.NopCloser(bzip2.NewReader(bufio.NewReader(r))), nil
}

// openLzma reads the format that xz(1) calls lzma: properties and the size of the
// dictionary, in bytes, are the first five bytes.
func openLzma(r io.Reader) (io.ReadCloser, error) {
	in := bufio.NewReader(r)
	head, err := in.Peek(5)
	if err != nil {
		return nil, eof.Unexpected(err)
	}
	if dict := binary.LittleEndian.Uint32(head[1:]); dict > xzDict {
		return nil, fmt.Errorf("a dictionary of %d bytes", dict)
	}
	zr, err := lzma.ReaderConfig{DictCap: xzDict}.NewReader(in)
	if err != nil {
		return nil, eof.Unexpected(err)
	}
	return io.NopCloser(zr), nil
}

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
