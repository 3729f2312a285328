package initrd

import (
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	uxz "github.com/ulikunitz/xz"
)

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
	// A window bounds what the kernel has to allocate on the device to unpack
	// the segment. Who asks for more than level 9 wants bytes, not time.
	window, jobs := 2<<20, size > jobsFrom
	if level > 9 {
		window, jobs = 4<<20, false
	}
	zw, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
		zstd.WithWindowSize(window), zstd.WithConcurrentBlocks(jobs),
		// With one there would be no jobs, and the bytes would depend on the
		// machine; with more the peak of memory would be over what it may be.
		zstd.WithEncoderConcurrency(2))
	if err != nil {
		return nil, err
	}
	zw.ResetContentSize(w, size)
	return zw, nil
}

// jobsFrom is how long, in bytes, a segment must be for zstd to encode it on
// two cores, in jobs: four windows long, some five in memory at a time.
const jobsFrom = 64 << 20

// DefaultZstdLevel is the level of a repack unless another is asked for:
// `make bench` prints time and size of the others beside it.
const DefaultZstdLevel = 1

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
		level = 1 // 9 takes five times as long for half a per cent
	}
	levels := []lz4.CompressionLevel{lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4,
		lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9}
	zw := lz4.NewWriter(w)
	err := zw.Apply(lz4.LegacyOption(true), lz4.CompressionLevelOption(levels[level-1]))
	return zw, err
}

// nopWriteCloser is the encoder of a plain segment.
type nopWriteCloser struct{ io.Writer }

func (nopWriteCloser) Close() error { return nil }

// newEncoder starts a stream of size bytes in c; level 0 is the default.
func newEncoder(w io.Writer, c Compression, level int, size int64) (io.WriteCloser, error) {
	if c == None {
		return nopWriteCloser{w}, nil
	}
	if err := CheckLevel(c, level); err != nil {
		return nil, err
	}
	m, _ := methodOf(c)
	return m.encode(w, level, size)
}
