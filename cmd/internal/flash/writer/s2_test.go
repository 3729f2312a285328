package writer

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/s2"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
)

// mixed is a chunk of some length of which parts repeat, parts are zeros and parts do not compress.
func mixed(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 18))
	b := make([]byte, 1+r.IntN(chunk.Size))
	for at := 0; at < len(b); {
		part := b[at:min(at+1+r.IntN(64<<10), len(b))]
		switch r.IntN(3) {
		case 0:
			for i := range part {
				part[i] = byte(r.Uint32())
			}
		case 1:
			copy(part, b[r.IntN(at+1):])
		}
		at += len(part)
	}
	return b
}

// What S2 made of a chunk decodes to it, in the room for a chunk and without any; cut anywhere it is an error or another chunk, and
// never more than a chunk, however much it says to be.
func TestS2(t *testing.T) {
	room := alignedBuffer(chunk.Size)
	for seed := range uint64(30) {
		data := mixed(seed)
		packed := s2.Encode(nil, data)
		for _, room := range [][]byte{room, nil} {
			p := protocol.Packet{Encoding: protocol.S2, Bytes: packed}
			out, err := decodedBytes(p, room)
			if err != nil || !bytes.Equal(out, data) {
				t.Fatalf("%d bytes became %d: %v", len(data), len(out), err)
			}
			if room != nil && &out[0] != &room[0] {
				t.Error("room for a chunk is not used")
			}
		}
		for range 20 {
			n := rand.New(rand.NewPCG(seed, 1)).IntN(len(packed))
			if out, err := decodedBytes(protocol.Packet{Encoding: protocol.S2, Bytes: packed[:n]}, room); err == nil && bytes.Equal(out, data) {
				t.Errorf("%d of %d bytes are all of it", n, len(packed))
			} else if err != nil && !isData(err) {
				t.Errorf("cut: %v", err)
			}
		}
	}
	for _, claim := range []uint64{chunk.Size + 1, 1<<32 - 1, 1 << 40} {
		b := append(binary.AppendUvarint(nil, claim), s2.Encode(nil, []byte("groundhog"))[1:]...)
		allocated := testing.AllocsPerRun(1, func() {
			if _, err := decodedBytes(protocol.Packet{Encoding: protocol.S2, Bytes: b}, nil); !isData(err) {
				t.Errorf("a chunk of %d bytes: %v", claim, err)
			}
		})
		if allocated > 20 {
			t.Errorf("%f allocations for a chunk that cannot be", allocated)
		}
	}
}

// Whatever comes as S2 is an error or a chunk at most; what is a chunk survives being encoded again.
func FuzzS2(f *testing.F) {
	f.Add([]byte{})
	f.Add(s2.Encode(nil, mixed(1)))
	f.Add(s2.Encode(nil, bytes.Repeat([]byte("groundhog"), 1000)))
	f.Add(binary.AppendUvarint(nil, 1<<32-1))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := decodedBytes(protocol.Packet{Encoding: protocol.S2, Bytes: b}, nil)
		if err != nil {
			if !isData(err) {
				t.Error(err)
			}
			return
		}
		if len(out) > chunk.Size {
			t.Fatalf("%d bytes", len(out))
		}
		again, err := decodedBytes(protocol.Packet{Encoding: protocol.S2, Bytes: s2.Encode(nil, out)}, nil)
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("%d bytes became %d: %v", len(out), len(again), err)
		}
	})
}
