package writer

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"groundhog/cmd/internal/flash/protocol"
)

// Whatever comes of a stream, in whatever parts: what a chunk is given is what the bytes decode to in its place, and no more is kept than was promised.
func FuzzStream(f *testing.F) {
	encoder, err := zstd.NewWriter(nil, zstd.WithWindowSize(1<<10))
	if err != nil {
		f.Fatal(err)
	}
	text := bytes.Repeat([]byte("groundhog sees its shadow; "), 300)
	packed := encoder.EncodeAll(text, nil)
	f.Add(packed, []byte{1, 0, 255, 100})
	f.Add(packed, []byte{3, 0, 20, 0, 0, 5, 255, 100, 0, 1, 0, 7})
	f.Add(append(bytes.Clone(packed), packed...), []byte{1, 2, 255, 255, 1, 0, 255, 9})
	f.Fuzz(func(t *testing.T, b, parts []byte) {
		s := chunkStream{window: protocol.MaxWindow}
		defer func() {
			if s.decoder != nil {
				s.decoder.Close()
			}
		}()
		var given []byte
		at := 0
		for ; len(parts) >= 4; parts = parts[4:] {
			n := min(int(parts[2])*8, len(b))
			p := protocol.Packet{Encoding: protocol.Streamed, Stream: protocol.Stream{Begins: parts[0]&1 != 0, Part: parts[0]&2 != 0, Skip: int64(parts[1])}, Bytes: b[:n]}
			b = b[n:]
			if p.Stream.Begins {
				given, at = nil, 0
			}
			given = append(given, p.Bytes...)
			if p.Stream.Part {
				err = s.takePacket(p)
			} else {
				out := make([]byte, parts[3])
				if err = s.decodeNext(p, out); err == nil {
					if want := decodedPart(t, given, at+int(p.Stream.Skip), len(out)); !bytes.Equal(out, want) {
						t.Fatalf("at byte %d: %q, and it is %q", at, out, want)
					}
					at += int(p.Stream.Skip) + len(out)
				}
			}
			if len(s.bytes.left) > 2*protocol.MaxStreamed {
				t.Fatalf("%d bytes are kept", len(s.bytes.left))
			}
			if err != nil { // which ends the session
				return
			}
		}
	})
}

// decodedPart is n bytes from one on of what a stream decodes to, as far as it does.
func decodedPart(t *testing.T, b []byte, from, n int) []byte {
	d, err := zstd.NewReader(struct{ io.Reader }{bytes.NewReader(b)}, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(protocol.MaxWindow))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out := make([]byte, from+n)
	k, _ := io.ReadFull(d, out)
	return out[min(from, k):k]
}
