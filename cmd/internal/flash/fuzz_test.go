package flash

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/direct"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/wire"
)

// scripted is a device that says what it says, whatever it hears.
type scripted struct {
	io.Reader
	io.Writer
}

func (scripted) Close() error { return nil }

func (scripted) DirectTo() (direct.Address, bool) { return direct.Address{}, true }

func (s scripted) DialDirect(context.Context, uint16) (io.WriteCloser, error) { return s, nil }

// Whatever a device says: nothing panics or hangs, and "verified" needs its word for each chunk and for the end.
func FuzzRun(f *testing.F) {
	say := func(t wire.Type, parts ...[]byte) []byte {
		p := bytes.Join(parts, nil)
		return append(binary.BigEndian.AppendUint16([]byte{byte(t)}, uint16(len(p))), p...)
	}
	img := image(1, 5)
	opened := say(protocol.Opened, protocol.Marshal(protocol.Disk{Size: 64 << 20, Block: 512}))
	var same, needed []byte
	for n := range int64(6) {
		same = protocol.AppendReply(same, protocol.Reply{N: n, Answer: protocol.Same})
		needed = protocol.AppendReply(needed, protocol.Reply{N: n, Answer: protocol.Needed})
	}
	done := say(protocol.Done, protocol.Marshal(protocol.Account{}))
	f.Add(bytes.Join([][]byte{opened, say(protocol.Answers, same), done}, nil), true)
	f.Add(bytes.Join([][]byte{opened, say(protocol.Answers, needed), say(protocol.Verified, protocol.Number(1), protocol.Number(4)), done}, nil), false)
	held := say(protocol.Held, protocol.AppendHeld(nil, 1, make([]byte, chunk.PieceCount(chunk.Size)*chunk.PieceSumLen)))
	f.Add(bytes.Join([][]byte{opened, held, say(protocol.Answers, needed), done}, nil), true)
	f.Add(bytes.Join([][]byte{opened, done}, nil), true)
	f.Add(say(protocol.Failed, protocol.Marshal(protocol.Failure{Kind: protocol.KindDisk, Text: "x", Writing: true})), false)
	port, up := say(protocol.DirectPort, protocol.AppendPort(nil, 4000)), say(protocol.DirectUp)
	f.Add(bytes.Join([][]byte{opened, port, up, say(protocol.Answers, same), done}, nil), true)
	f.Add(bytes.Join([][]byte{opened, port, up, port, up, say(protocol.Answers, needed), done}, nil), false)
	f.Fuzz(func(t *testing.T, b []byte, index bool) {
		var line bytes.Buffer
		w := wire.NewWriter(&line)
		wire.SayHello(w, "fuzz")
		for rest := b; len(rest) >= 3; {
			n := min(int(binary.BigEndian.Uint16(rest[1:])), len(rest)-3)
			w.Write(wire.Type(rest[0]), rest[3:3+n])
			rest = rest[3+n:]
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		r, err := Run(ctx, Job{Source: &source{b: img, index: index}, Tool: "fuzz", Patience: time.Nanosecond,
			Connect: func(context.Context) (io.ReadWriteCloser, error) {
				return scripted{bytes.NewReader(line.Bytes()), io.Discard}, nil
			}})
		if ctx.Err() != nil {
			t.Fatalf("it does not end: %v", err)
		}
		if (err == nil) != (r.State == Verified) {
			t.Errorf("state %s, %v", r.State, err)
		}
		if chunks := (len(img) + chunk.Size - 1) / chunk.Size; r.State == Verified && r.Same+r.Written+r.Zeroed != int64(chunks) {
			t.Errorf("verified with %+v of %d chunks", r, chunks)
		}
	})
}
