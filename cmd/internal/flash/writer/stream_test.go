package writer

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"groundhog/cmd/internal/flash/protocol"
	"groundhog/fixtures/judge"
)

// A client that was told that there is no memory for a stream, and sends one, gets none; what one takes beside a window is bounded, whatever
// comes: its packed bytes, and what is decoded.
func TestStreamBounds(t *testing.T) {
	encoder := judge.Value(zstd.NewWriter(nil, zstd.WithWindowSize(2*protocol.MaxWindow), zstd.WithSingleSegment(false)))(t)
	small := bytes.Repeat([]byte("groundhog"), 100)
	large := encoder.EncodeAll(bytes.Repeat(small, 40000), nil)
	begins := func(b []byte) protocol.Packet {
		return protocol.Packet{Encoding: protocol.Streamed, Stream: protocol.Stream{Begins: true}, Bytes: b}
	}
	out := make([]byte, len(small))
	var none chunkStream
	if err := none.decodeNext(begins(encoder.EncodeAll(small, nil)), out); !errors.Is(err, protocol.ErrProtocol) || none.decoder != nil {
		t.Errorf("a stream without memory for it: %v", err)
	}
	s := chunkStream{window: protocol.MaxWindow}
	if err := s.decodeNext(begins(large), out); !isData(err) || !strings.Contains(err.Error(), zstd.ErrWindowSizeExceeded.Error()) {
		t.Errorf("a window of 16 MiB: %v", err)
	}
	part := begins(make([]byte, protocol.MaxStreamed))
	for n, err := 0, error(nil); err == nil; n++ {
		if n > 2 {
			t.Fatalf("%d bytes of a stream are kept", len(s.bytes.left))
		}
		err = s.takePacket(part)
		part.Stream.Begins = false
	}
	s = chunkStream{window: protocol.MaxWindow}
	if err := s.decodeNext(begins(encoder.EncodeAll(small, nil)), out); err != nil || !bytes.Equal(out, small) {
		t.Errorf("%q, %v", out, err)
	}
}

// isData reports whether it is the data that is blamed.
func isData(err error) bool {
	var f *protocol.Failure
	return errors.As(err, &f) && f.Kind == protocol.KindData
}
