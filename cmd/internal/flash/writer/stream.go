package writer

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/wire"
)

// windowOf is the largest window of a stream that there is memory for, where so much is there for pieces: a stream's
// decoder takes as much as the window and what a block of it decodes to.
func windowOf(room int64) int64 {
	if room < 2*protocol.MaxWindow {
		return 0
	}
	return protocol.MaxWindow
}

// stream is the zstd stream of a connection. Its zero value has not begun.
type stream struct {
	decoder *zstd.Decoder
	bytes   payload
}

// payload is what has come of a stream, and was not decoded yet. Its end is not the stream's: who reads on has not been
// sent what he was promised.
type payload struct{ left []byte }

func (p *payload) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	return n, nil
}

// next fills out with what the packet's bytes decode to, behind what is to be skipped. The decoder reads no further than the
// block that it decodes. What is left of a packet's bytes then is another chunk's.
func (s *stream) next(p protocol.Packet, out []byte) error {
	if p.Begins {
		s.bytes.left = nil
	}
	if len(s.bytes.left) > wire.MaxPayload {
		return fmt.Errorf("%w: much more of a stream than the chunks take", protocol.ErrProtocol)
	}
	if len(s.bytes.left) == 0 {
		s.bytes.left = p.Bytes
	} else {
		s.bytes.left = append(s.bytes.left, p.Bytes...)
	}
	defer func() { s.bytes.left = bytes.Clone(s.bytes.left) }() // the packet's memory is used again
	var err error
	switch {
	case p.Begins && s.decoder == nil:
		s.decoder, err = zstd.NewReader(&s.bytes, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(protocol.MaxWindow))
	case p.Begins:
		err = s.decoder.Reset(&s.bytes)
	case s.decoder == nil:
		return fmt.Errorf("%w: a stream that has not begun", protocol.ErrProtocol)
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, s.decoder, p.Skip)
	}
	if err == nil {
		_, err = io.ReadFull(s.decoder, out)
	}
	if err != nil {
		return failure(protocol.KindData, fmt.Errorf("chunk %d at byte %d does not decompress: %w", p.N, offset(p.N), err))
	}
	return nil
}
