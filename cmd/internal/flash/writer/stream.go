package writer

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"groundhog/cmd/internal/flash/protocol"
)

// windowOf is the largest window that a stream may have, in bytes, where so much memory is set aside for pieces: a decoder takes the
// window, and what one block decodes to.
func windowOf(room int64) int64 {
	if room < 2*protocol.MaxWindow {
		return 0
	}
	return protocol.MaxWindow
}

// chunkStream is the zstd stream that chunks come in on a connection. Its zero value accepts no stream.
type chunkStream struct {
	window  int64 // the largest window that the client was told it may use, in bytes; 0: no stream
	decoder *zstd.Decoder
	bytes   streamBytes
	begins  bool // anew, with the bytes that came
}

// streamBytes is the bytes of a stream that came and were not decoded yet. Its end is not the end of the stream: a decoder that reads on there
// was not sent what was announced.
type streamBytes struct{ left []byte }

func (p *streamBytes) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	return n, nil
}

// takePacket keeps a packet's bytes.
func (s *chunkStream) takePacket(p protocol.Packet) error {
	if s.window == 0 {
		return fmt.Errorf("%w: a stream, for which there is no memory", protocol.ErrProtocol)
	}
	if p.Stream.Begins {
		s.bytes.left = s.bytes.left[:0]
	}
	if len(s.bytes.left)+len(p.Bytes) > 2*protocol.MaxStreamed {
		return fmt.Errorf("%w: more of a stream than the chunks take", protocol.ErrProtocol)
	}
	s.bytes.left = append(s.bytes.left, p.Bytes...)
	s.begins = s.begins || p.Stream.Begins
	return nil
}

// decodeNext decodes: it drops what is to be skipped, and fills out with what follows. The decoder reads no further than the block that it
// decodes; the bytes that are left then belong to a later chunk.
func (s *chunkStream) decodeNext(p protocol.Packet, out []byte) error {
	if err := s.takePacket(p); err != nil {
		return err
	}
	all := s.bytes.left
	defer func() { s.begins, s.bytes.left = false, append(all[:0], s.bytes.left...) }()
	var err error
	switch {
	case s.begins && s.decoder == nil:
		s.decoder, err = zstd.NewReader(&s.bytes, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(s.window)))
	case s.begins:
		err = s.decoder.Reset(&s.bytes)
	case s.decoder == nil:
		return fmt.Errorf("%w: a stream that has not begun", protocol.ErrProtocol)
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, s.decoder, p.Stream.Skip)
	}
	if err == nil {
		_, err = io.ReadFull(s.decoder, out)
	}
	if err != nil {
		return asFailure(protocol.KindData, fmt.Errorf("chunk %d at byte %d does not decompress: %w", p.N, chunkOffset(p.N), err))
	}
	return nil
}
