// Package image reads disk images: raw ones, and compressed with gzip, xz, zstd, bzip2
// or lz4. What an image is, its content tells, never its name.
package image

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
	"github.com/pierrec/lz4/v4"
)

// maxWindow bounds what a decoder keeps in memory, in bytes: what xz -9 and zstd
// --long=27 ask for, with room. What was packed for more is refused.
const maxWindow = 128 << 20

// ErrNoImage is returned for content that nobody can mean to have on a disk.
var ErrNoImage = errors.New("not a disk image")

// format is a way to compress, known by its first bytes (file(1), the formats' own
// specifications).
type format struct {
	name   string
	magic  string
	decode func(r *bufio.Reader) (io.Reader, error)
}

var formats = []format{
	{"gzip", "\x1f\x8b\x08", func(r *bufio.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"xz", "\xfd7zXZ\x00", func(r *bufio.Reader) (io.Reader, error) { return xz.NewReader(r, maxWindow) }},
	{"zstd", "\x28\xb5\x2f\xfd", decodeZstd},
	{"zstd", "\x50\x2a\x4d\x18", decodeZstd}, // pzstd puts a skippable frame before each one
	{"bzip2", "BZh", func(r *bufio.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
	{"lz4", "\x04\x22\x4d\x18", decodeLZ4},
}

// foreign is what is no disk image though it may hold one, by its first bytes.
var foreign = []struct {
	magic  string
	offset int
	what   string
}{
	{"QFI\xfb", 0, "a qcow2 image: qemu-img convert -O raw makes a disk image of it"},
	{"KDMV", 0, "a VMDK image: qemu-img convert -O raw makes a disk image of it"},
	{"vhdxfile", 0, "a VHDX image: qemu-img convert -O raw makes a disk image of it"},
	{"\x7f\x10\xda\xbe", 64, "a VDI image: qemu-img convert -O raw makes a disk image of it"},
	{"\x3a\xff\x26\xed", 0, "an Android sparse image: simg2img makes a disk image of it"},
	{"\x02\x21\x4c\x18", 0, "lz4's legacy format: lz4 -d unpacks it"},
	{"\x5d\x00\x00", 0, "an lzma file: xz -d unpacks it"},
	{"LZIP", 0, "an lzip file: lzip -d unpacks it"},
	{"\x89LZO\x00\r\n\x1a\n", 0, "an lzop file: lzop -d unpacks it"},
	{"\x1f\x9d", 0, "a file of compress(1): gzip -d unpacks it"},
	{"7z\xbc\xaf\x27\x1c", 0, "a 7-Zip archive: unpack it"},
	{"PK\x03\x04", 0, "a zip archive: unpack it"},
	{"ustar", 257, "a tar archive: unpack it"},
	{"!<arch>\n", 0, "a Debian package or another ar archive"},
	{"07070", 0, "a cpio archive, an initramfs perhaps"},
	{"<!DOCTYPE", 0, "a web page"},
	{"<html", 0, "a web page"},
}

// head is how much of the beginning tells what something is.
const head = 512

// Decode returns the disk image that r holds, decoded while it is read, and the
// compression's name, "raw" for none. Several members, frames or streams one behind
// the other are one image, as their own tools have it. A file that ends too early, is
// damaged, or has something else behind it ends with an error, never with [io.EOF];
// one cut between two members cannot be told from a whole one, which is why an image
// has a checksum. The error is [ErrNoImage] for what is none.
//
// Closing the image ends the decoder, not r.
func Decode(r io.Reader) (image io.ReadCloser, compression string, err error) {
	in := bufio.NewReaderSize(r, 1<<20)
	for _, f := range formats {
		b, err := in.Peek(len(f.magic))
		if err != nil && err != io.EOF {
			return nil, "", err
		}
		if string(b) != f.magic {
			continue
		}
		d, err := f.decode(in)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", f.name, unexpected(err))
		}
		plain := bufio.NewReaderSize(&named{d, f.name}, 1<<16)
		return decoded(plain, d, f.name)
	}
	return decoded(in, nil, "raw")
}

// decoded is what in reads, unless it is no image.
func decoded(in *bufio.Reader, decoder io.Reader, name string) (io.ReadCloser, string, error) {
	closer, ok := decoder.(io.Closer)
	if !ok {
		closer = io.NopCloser(nil)
	}
	if err := refuse(in); err != nil {
		closer.Close()
		return nil, name, err
	}
	return struct {
		io.Reader
		io.Closer
	}{in, closer}, name, nil
}

// refuse looks at the first bytes of what is to be on the disk.
func refuse(in *bufio.Reader) error {
	b, err := in.Peek(head)
	if len(b) == 0 && err == io.EOF {
		return fmt.Errorf("%w: it is empty", ErrNoImage)
	} else if err != nil && err != io.EOF {
		return err
	}
	for _, f := range foreign {
		if len(b) > f.offset && bytes.HasPrefix(b[f.offset:], []byte(f.magic)) {
			return fmt.Errorf("%w: %s", ErrNoImage, f.what)
		}
	}
	for _, f := range formats {
		if bytes.HasPrefix(b, []byte(f.magic)) {
			return fmt.Errorf("%w: compressed twice, with %s inside", ErrNoImage, f.name)
		}
	}
	return nil
}

func decodeZstd(r *bufio.Reader) (io.Reader, error) {
	// Low memory: a decoder is made once, and its peak counts.
	d, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil // its goroutines end with it
}

// decodeLZ4 reads frame behind frame, which the library leaves to its caller.
func decodeLZ4(r *bufio.Reader) (io.Reader, error) {
	return &lz4Frames{in: r, frame: lz4.NewReader(r)}, nil
}

type lz4Frames struct {
	in    *bufio.Reader
	frame *lz4.Reader
}

func (l *lz4Frames) Read(p []byte) (int, error) {
	for {
		n, err := l.frame.Read(p)
		if n > 0 || err != io.EOF {
			if err == io.EOF {
				err = nil
			}
			return n, err
		}
		if _, err := l.in.Peek(1); err != nil {
			return 0, err // io.EOF: the last frame's proper end
		}
		l.frame.Reset(l.in)
	}
}

// named says which decoder an error is from.
type named struct {
	r    io.Reader
	name string
}

func (n *named) Read(p []byte) (int, error) {
	k, err := n.r.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", n.name, err)
	}
	return k, err
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
