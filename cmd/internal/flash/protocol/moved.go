package protocol

import (
	"encoding/binary"
	"fmt"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/moved"
)

// Range is what a Scan asks about: Count chunks of the disk from First on, or fewer where the disk ends.
type Range struct {
	First, Count int64
	Keep         bool // the writer is to remember what it finds, and to answer later announcements by it
	Probe        bool // of each chunk only its first ProbeLen bytes are asked about; not together with Keep
}

// ProbeLen is how many bytes of a chunk a probe of the disk has. An SD card on a bus of 4 bits at 50 MHz gives 25 MB/s at most: a whole chunk takes it 40 ms.
const ProbeLen = chunk.Size / 4

// AppendRange is the payload of a Scan.
func AppendRange(b []byte, r Range) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(r.First))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Count))
	switch {
	case r.Keep:
		return append(b, scanKeep)
	case r.Probe:
		return append(b, scanProbe)
	}
	return append(b, 0)
}

// How a Scan is meant: its last byte.
const scanKeep, scanProbe = 1, 2

// ReadRange reads a Scan.
func ReadRange(b []byte) (r Range, err error) {
	if len(b) != 17 || b[16] > scanProbe {
		return r, fmt.Errorf("%w: a scan in %d bytes", ErrProtocol, len(b))
	}
	r = Range{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:])), b[16] == scanKeep, b[16] == scanProbe}
	if r.First < 0 || r.Count < 1 || r.First >= maxNumber || r.Count >= maxNumber {
		return r, fmt.Errorf("%w: a scan of %d chunks from %d on", ErrProtocol, r.Count, r.First)
	}
	return r, nil
}

// AppendScanned appends the payload of a Scanned: the sums of the pieces that the disk has in chunk n, or in what was asked about of it, encoded by
// [moved.AppendSums]; none where that is zeros.
func AppendScanned(b []byte, n int64, sums []byte) []byte { return AppendHeld(b, n, sums) }

// ReadScanned reads a Scanned; the sums are b's.
func ReadScanned(b []byte) (n int64, sums []byte, err error) {
	const most = chunk.Size / chunk.PieceSize * moved.SumLen
	if len(b) < 8 || len(b) > 8+most || (len(b)-8)%moved.SumLen != 0 {
		return 0, nil, fmt.Errorf("%w: scanned, in %d bytes", ErrProtocol, len(b))
	}
	if n = int64(binary.BigEndian.Uint64(b)); n < 0 || n >= maxNumber {
		return 0, nil, fmt.Errorf("%w: scanned: chunk %d", ErrProtocol, n)
	}
	return n, b[8:], nil
}

// BuildHead begins the payload of a Build: a chunk's recipe follows (package moved), then the pieces that are sent. Those of a stream have
// a [StreamHead] in its place, with nothing to skip and no parts.
func BuildHead(n int64, e Encoding) []byte { return DataHead(n, e, nil) }

// ReadBuild reads a Build; the bytes are part of b. They begin with the recipe, and only what follows it is in the encoding.
func ReadBuild(b []byte) (p Packet, err error) {
	if p, err = ReadData(b); err == nil && (p.Pieces != nil || p.Stream.Part || p.Stream.Skip != 0) {
		return p, fmt.Errorf("%w: a recipe for pieces, or for a part", ErrProtocol)
	}
	return p, err
}
