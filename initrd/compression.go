package initrd

import (
	"bytes"
	"fmt"
	"io"
)

// Compression is how a segment is stored. Its text is the field's own name.
type Compression string

// What the kernel reads (lib/decompress.c).
const (
	None  Compression = "none"
	Gzip  Compression = "gzip"
	Zstd  Compression = "zstd"
	Xz    Compression = "xz"
	Lzma  Compression = "lzma"
	Bzip2 Compression = "bzip2"
	Lzo   Compression = "lzo" // as lzop writes it
	Lz4   Compression = "lz4" // legacy frames, as `lz4 -l` writes and the kernel reads
)

// Writable are the compressions that [Segment.Encode] can write.
var Writable = []Compression{None, Gzip, Zstd, Xz, Lz4}

// maxWindow is the largest zstd window the kernel takes
// (lib/decompress_unzstd.c) and the largest dictionary we allocate for xz.
const maxWindow = 128 << 20

// compressionMethod is one compression: its magic, where a stream of it ends, and both
// directions. Lengths are in bytes.
type compressionMethod struct {
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

var compressionMethods = []compressionMethod{
	{name: Gzip, magic: "\x1f\x8b\x08", decode: decodeGzip, encode: encodeGzip, maxLevel: 9},
	{name: Zstd, magic: zstdMagic, end: zstdEnd, decode: decodeZstd, encode: encodeZstd, maxLevel: 19},
	{name: Xz, magic: xzMagic, end: xzEnd, decode: decodeXz, encode: encodeXz, maxLevel: 9},
	{name: Lzma, magic: "\x5d\x00", decode: decodeLzma},
	{name: Bzip2, magic: "BZh", decode: decodeBzip2},
	{name: Lzo, magic: lzoMagic, end: lzoEnd, decode: decodeLzo},
	{name: Lz4, magic: lz4Magic, end: lz4End, decode: decodeLz4, encode: encodeLz4, maxLevel: 9},
}

func methodOf(c Compression) (compressionMethod, error) {
	for _, m := range compressionMethods {
		if m.name == c {
			return m, nil
		}
	}
	return compressionMethod{}, fmt.Errorf("%q: no such compression", c)
}

// sniffCompression tells the compression of the segment that b starts with.
func sniffCompression(b []byte) (compressionMethod, bool) {
	for _, m := range compressionMethods {
		if bytes.HasPrefix(b, []byte(m.magic)) {
			return m, true
		}
	}
	return compressionMethod{}, false
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
