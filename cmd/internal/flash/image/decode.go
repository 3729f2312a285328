// Package image reads disk images, raw ones and compressed ones. What an image is, its content tells, never its name.
package image

import (
	"bufio"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
	"github.com/pierrec/lz4/v4"

	"groundhog/cmd/internal/flash/image/claim"
	"groundhog/cmd/internal/flash/image/sniff"
	"groundhog/cmd/internal/flash/image/xzblock"
	"groundhog/cmd/internal/flash/image/zstdzero"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/meminfo"
	"groundhog/initrd/eof"
)

// maxWindow bounds what a decoder keeps in memory, in bytes: what xz -9 and zstd
// --long=27 ask for, with room. What was packed for more is refused.
const maxWindow = 128 << 20

// decoders has one for each name that [sniff.Compression] knows.
var decoders = map[string]func(r *bufio.Reader, o decodeOptions) (io.Reader, error){
	"gzip":  decodeGzip,
	"xz":    decodeXZ,
	"zstd":  decodeZstd,
	"bzip2": func(r *bufio.Reader, _ decodeOptions) (io.Reader, error) { return bzip2.NewReader(r), nil },
	"lz4":   decodeLZ4,
}

// isPacked reports whether a file begins as one that is decoded.
func isPacked(file io.ReaderAt) bool {
	b := make([]byte, sniff.MagicLen)
	n, _ := file.ReadAt(b, 0)
	return sniff.Compression(b[:n]) != ""
}

// decodeBy returns the disk image that r holds, decoded while it is read, and the
// compression's name, "raw" for none. Several members, frames or streams one behind
// the other are one image, as their own tools have it. A file that ends too early, is
// damaged, or has something else behind it ends with an error, never with [io.EOF];
// one cut between two members cannot be told from a whole one, which is why an image
// has a checksum. What the image is, [sniff.Look] tells.
//
// Closing the image ends the decoder, not r.
func decodeBy(r io.Reader, o decodeOptions) (image io.ReadCloser, compression string, err error) {
	in := bufio.NewReaderSize(r, 1<<20)
	first, err := in.Peek(sniff.MagicLen)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	name := sniff.Compression(first)
	if name == "" {
		return io.NopCloser(in), "raw", nil
	}
	d, err := decoders[name](in, o)
	if err != nil {
		return nil, "", beyondDecoder(name, eof.Unexpected(err))
	}
	plain := &decoderReader{d, name}
	if c, ok := d.(io.Closer); ok {
		return struct {
			io.Reader
			io.Closer
		}{plain, c}, name, nil
	}
	return io.NopCloser(plain), name, nil
}

// decodeOptions is how to decode.
type decodeOptions struct {
	lenient bool              // whatever is behind a gzip stream's end is left out
	note    func(string)      // is told what was left out
	file    *io.SectionReader // all of a file that is here, which nobody else reads; nil for any other
	xz      []claim.XZ        // what that is made of; nil where it is not known
	read    *atomic.Int64     // if set, how many bytes of a zstd file it took for what has come out
}

// decodeXZ decodes the blocks of a file that has several on all cores; whatever else it is, on one. Of a file that is here xz(1) does it, if that is
// faster: in the time of two of our cores it decodes as much as we do, or more.
func decodeXZ(r *bufio.Reader, o decodeOptions) (io.Reader, error) {
	cores, memory := runtime.GOMAXPROCS(0), decodingMemory()
	blocks := xzblock.Worth(o.xz, cores, maxWindow, memory)
	if o.file != nil && o.xz != nil && (!blocks || cores <= 2) && plainXZ(o.file, maxWindow) {
		if h := newHostXZ(r, o.file); h != nil {
			return h, nil
		}
	}
	if blocks {
		return xzblock.NewReader(r, o.xz, cores, maxWindow, memory), nil
	}
	return xz.NewReader(r, maxWindow)
}

// decodingMemory is how much memory blocks that are decoded at once may take, in bytes: a quarter of what is available, 256 MiB where
// nobody tells. Two blocks of xz -9 take up to 1 GiB, which is the most.
func decodingMemory() int64 {
	const unknown, most = 256 << 20, 1 << 30
	available, err := meminfo.Available("")
	if err != nil {
		return unknown
	}
	return min(available/4, most)
}

func decodeZstd(r *bufio.Reader, o decodeOptions) (io.Reader, error) {
	return zstdzero.NewReader(r, maxWindow, o.read)
}

// decodeLZ4 reads frame behind frame, which the library leaves to its caller.
func decodeLZ4(r *bufio.Reader, _ decodeOptions) (io.Reader, error) {
	frame := lz4.NewReader(r)
	return &memberReader{frame, func() error {
		if _, err := r.Peek(1); err != nil {
			return err // io.EOF: the last frame's proper end
		}
		frame.Reset(r)
		return nil
	}}, nil
}

// memberReader reads member behind member.
type memberReader struct {
	member io.Reader
	next   func() error // has member read the one behind it; io.EOF where there is none
}

func (m *memberReader) Read(p []byte) (int, error) {
	for {
		n, err := m.member.Read(p)
		if err != io.EOF {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		if err := m.next(); err != nil {
			return 0, err
		}
	}
}

// decoderReader says which decoder an error is from.
type decoderReader struct {
	r    io.Reader
	name string
}

func (n *decoderReader) Read(p []byte) (int, error) {
	k, err := n.r.Read(p)
	if err != nil && err != io.EOF {
		err = beyondDecoder(n.name, err)
	}
	return k, err
}

// beyondDecoder is a decoder's error. Where that is a bound of ours, or asks for what is not here, it says how to have the file decoded all the same.
func beyondDecoder(name string, err error) error {
	const flash = " IMAGE | groundhog flash HOST -"
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return hint.To(fmt.Errorf("%s: it asks for a window of more than %d MiB", name, maxWindow>>20), "zstd -dc --long=31"+flash)
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return hint.To(fmt.Errorf("%s: it was packed with a dictionary", name), "zstd -dc -D DICTIONARY"+flash)
	case errors.Is(err, xz.ErrMemlimit):
		return hint.To(fmt.Errorf("%s: it asks for a dictionary of more than %d MiB", name, maxWindow>>20), "xz -dc"+flash)
	case errors.Is(err, xz.ErrOptions):
		return hint.To(fmt.Errorf("%s: it was packed in a way that is not decoded here, with a filter for arm64 perhaps", name), "xz -dc"+flash)
	case strings.HasPrefix(err.Error(), name): // some decoders say it themselves
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}
