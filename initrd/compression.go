package initrd

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
	"github.com/pierrec/lz4/v4"
	uxz "github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// Compression is how a segment is stored. Its text is the field's own name.
type Compression string

// What the kernel reads (lib/decompress.c), LZO aside, which no Debian
// release offers.
const (
	None  Compression = "none"
	Gzip  Compression = "gzip"
	Zstd  Compression = "zstd"
	Xz    Compression = "xz"
	Lzma  Compression = "lzma"
	Bzip2 Compression = "bzip2"
	Lz4   Compression = "lz4" // legacy frames, as `lz4 -l` writes and the kernel reads
)

// Writable are the compressions that [Segment.Encode] can write.
var Writable = []Compression{None, Gzip, Zstd, Xz, Lz4}

// maxWindow is the largest zstd window the kernel takes
// (lib/decompress_unzstd.c) and the largest dictionary we allocate for xz.
const maxWindow = 128 << 20

// window bounds what the kernel has to allocate on the device to unpack a
// segment of ours; it is what zstd -9 uses.
const window = 4 << 20

// method is one compression: its magic, where a stream of it ends, and both
// directions. Lengths are in bytes.
type method struct {
	name  Compression
	magic string
	// end finds the length of the stream that b starts with by its framing
	// alone; nil where only decoding tells.
	end    func(b []byte) (int, error)
	decode func(r *bytes.Reader) (io.ReadCloser, error)
	// encode compresses a stream of size bytes; level 0 is the default.
	encode   func(w io.Writer, level int, size int64) (io.WriteCloser, error)
	maxLevel int
}

var methods = []method{
	{name: Gzip, magic: "\x1f\x8b\x08", decode: decodeGzip, encode: encodeGzip, maxLevel: 9},
	{name: Zstd, magic: zstdMagic, end: zstdEnd, decode: decodeZstd, encode: encodeZstd, maxLevel: 19},
	{name: Xz, magic: xzMagic, end: xzEnd, decode: decodeXz, encode: encodeXz, maxLevel: 9},
	{name: Lzma, magic: "\x5d\x00\x00", decode: decodeLzma},
	{name: Bzip2, magic: "BZh", decode: decodeBzip2},
	{name: Lz4, magic: lz4Magic, end: lz4End, decode: decodeLz4, encode: encodeLz4, maxLevel: 12},
}

func methodOf(c Compression) (method, error) {
	for _, m := range methods {
		if m.name == c {
			return m, nil
		}
	}
	return method{}, fmt.Errorf("%q: no such compression", c)
}

// sniff tells the compression of the segment that b starts with.
func sniff(b []byte) (method, bool) {
	for _, m := range methods {
		if bytes.HasPrefix(b, []byte(m.magic)) {
			return m, true
		}
	}
	return method{}, false
}

func decodeGzip(r *bytes.Reader) (io.ReadCloser, error) {
	zr, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	zr.Multistream(false)
	return zr, nil
}

func decodeZstd(r *bytes.Reader) (io.ReadCloser, error) {
	zr, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return zr.IOReadCloser(), nil
}

func decodeXz(r *bytes.Reader) (io.ReadCloser, error) {
	zr, err := xz.NewReader(r, maxWindow)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(zr), nil
}

func decodeLzma(r *bytes.Reader) (io.ReadCloser, error) {
	// The library allocates what the header claims.
	var head [5]byte
	if _, err := r.ReadAt(head[:], r.Size()-int64(r.Len())); err != nil {
		return nil, noEOF(err)
	}
	if dict := binary.LittleEndian.Uint32(head[1:]); dict > maxWindow {
		return nil, fmt.Errorf("%w: an lzma dictionary of %d bytes", ErrTooLarge, dict)
	}
	zr, err := lzma.ReaderConfig{DictCap: lzma.MinDictCap}.NewReader(r)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(zr), nil
}

func decodeLz4(r *bytes.Reader) (io.ReadCloser, error) { return io.NopCloser(lz4.NewReader(r)), nil }

// bzip2Reader ends where the first stream ends: the library reads on for
// another one and calls what it finds instead an error.
type bzip2Reader struct {
	r  io.Reader
	in *bytes.Reader
}

func decodeBzip2(r *bytes.Reader) (io.ReadCloser, error) {
	return io.NopCloser(&bzip2Reader{bzip2.NewReader(r), r}), nil
}

func (b *bzip2Reader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == bzip2.StructuralError("bad magic value in continuation file") {
		// It has read the one byte that is not a "B".
		return n, unread(b.in, err)
	}
	return n, err
}

func unread(r *bytes.Reader, otherwise error) error {
	if r.UnreadByte() != nil {
		return otherwise
	}
	return io.EOF
}

func encodeGzip(w io.Writer, level int, _ int64) (io.WriteCloser, error) {
	if level == 0 {
		level = 6 // gzip's own default, and Debian's
	}
	return gzip.NewWriterLevel(w, level)
}

func encodeZstd(w io.Writer, level int, size int64) (io.WriteCloser, error) {
	if level == 0 {
		level = DefaultZstdLevel
	}
	zw, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithWindowSize(window))
	if err != nil {
		return nil, err
	}
	zw.ResetContentSize(w, size)
	return zw, nil
}

// DefaultZstdLevel is the level of a repack unless another is asked for:
// `make bench` prints time and size of the others beside it.
const DefaultZstdLevel = 3

func encodeXz(w io.Writer, level int, _ int64) (io.WriteCloser, error) {
	if level == 0 {
		level = 6
	}
	// The dictionary is what xz -LEVEL uses; the kernel knows no CRC64.
	dict := []int{1, 1, 2, 4, 4, 8, 8, 16, 32, 64}[level] << 20
	return uxz.WriterConfig{DictCap: dict, CheckSum: uxz.CRC32}.NewWriter(w)
}

func encodeLz4(w io.Writer, level int, _ int64) (io.WriteCloser, error) {
	if level == 0 {
		level = 9
	}
	levels := []lz4.CompressionLevel{lz4.Fast, lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4,
		lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9}
	zw := lz4.NewWriter(w)
	err := zw.Apply(lz4.LegacyOption(true), lz4.CompressionLevelOption(levels[min(level, 9)]))
	return zw, err
}

// nopWriteCloser is the encoder of a plain segment.
type nopWriteCloser struct{ io.Writer }

func (nopWriteCloser) Close() error { return nil }

// encoder starts a stream of size bytes in c; level 0 is the default.
func encoder(w io.Writer, c Compression, level int, size int64) (io.WriteCloser, error) {
	if c == None {
		return nopWriteCloser{w}, nil
	}
	if err := CheckLevel(c, level); err != nil {
		return nil, err
	}
	m, _ := methodOf(c)
	return m.encode(w, level, size)
}

// CheckLevel says whether c can be written, and at that level. Level 0 is the
// default of each.
func CheckLevel(c Compression, level int) error {
	if c == None {
		if level != 0 {
			return fmt.Errorf("level %d: an uncompressed segment has none", level)
		}
		return nil
	}
	m, err := methodOf(c)
	switch {
	case err != nil:
		return err
	case m.encode == nil:
		return fmt.Errorf("%s can be read but not written: choose one of %v", c, Writable)
	case level < 0 || level > m.maxLevel:
		return fmt.Errorf("level %d: %s has 1 to %d", level, c, m.maxLevel)
	}
	return nil
}
