package writer

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/direct"
	"groundhog/cmd/internal/flash/moved"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/wire"
	"groundhog/fixtures/judge"
)

// memory is a disk of two chunks and a bit.
type memory struct {
	mu sync.Mutex
	b  []byte
}

func (m *memory) BlockSize() int64 { return 512 }
func (m *memory) Size() int64      { return int64(len(m.b)) }
func (m *memory) Close() error     { return nil }
func (m *memory) Flush() error     { return nil }

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return copy(p, m.b[off:off+int64(len(p))]), nil
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return copy(m.b[off:off+int64(len(p))], p), nil
}

func (m *memory) Zero(off, n int64) error {
	_, err := m.WriteAt(make([]byte, n), off)
	return err
}

// talk makes a client's line of a fuzzer's bytes: frames of a type, two bytes of length, and that much, with sums that hold.
func talk(b []byte) []byte {
	var line bytes.Buffer
	w := wire.NewWriter(&line)
	wire.SayHello(w, "fuzz")
	for len(b) >= 3 {
		n := min(int(binary.BigEndian.Uint16(b[1:])), len(b)-3)
		w.Write(wire.Type(b[0]), b[3:3+n])
		b = b[3+n:]
	}
	return line.Bytes()
}

// say is a frame as talk takes it.
func say(t wire.Type, parts ...[]byte) []byte {
	p := bytes.Join(parts, nil)
	return append(binary.BigEndian.AppendUint16([]byte{byte(t)}, uint16(len(p))), p...)
}

// Whatever a client says: nothing panics or hangs, the disk is written only while `writing` says so, and its first
// chunk only at the end.
func FuzzServe(f *testing.F) {
	old := judge.Noise(1, 2*chunk.Size+512)
	small := bytes.Repeat([]byte("groundhog"), 50)
	open := say(protocol.Open, protocol.Marshal(protocol.Job{Disk: "/dev/x", Session: "s"}))
	var announce []byte
	for _, c := range []chunk.Chunk{{N: 0, Len: len(small), Sum: chunk.SumOf(small)}, {N: 1, Len: chunk.Size, Zero: true}, {N: 2, Len: 450, Sum: chunk.SumOf(small)}} {
		announce = protocol.AppendChunk(announce, c)
	}
	whole := bytes.Join([][]byte{open, say(protocol.Announce, announce), say(protocol.Data, protocol.DataHead(2, protocol.Raw, nil), small),
		say(protocol.Data, protocol.DataHead(0, protocol.Raw, nil), small), say(protocol.Ping)}, nil)
	f.Add(whole)
	f.Add(append(bytes.Clone(whole), say(protocol.Finish)...))
	f.Add(bytes.Join([][]byte{open, say(protocol.Announce, announce), say(protocol.Data, protocol.DataHead(2, protocol.Raw, &chunk.Pieces{1}), small)}, nil))
	stream := append(bytes.Clone(small), small[:450]...)
	encoder, _ := zstd.NewWriter(nil)
	f.Add(bytes.Join([][]byte{open, say(protocol.Announce, announce), say(protocol.Data, protocol.StreamHead(0, protocol.Stream{Begins: true}), encoder.EncodeAll(stream, nil)),
		say(protocol.Data, protocol.StreamHead(2, protocol.Stream{})), say(protocol.Finish)}, nil))
	f.Add(bytes.Join([][]byte{open, say(protocol.Announce, announce), say(protocol.Data, protocol.DataHead(0, protocol.S2, nil), s2.Encode(nil, small)), say(protocol.Finish)}, nil))
	f.Add(bytes.Join([][]byte{open, say(protocol.Announce, announce), say(protocol.Build, protocol.StreamHead(2, protocol.Stream{Begins: true}),
		moved.Recipe{Runs: []moved.Run{{Kind: moved.Sent, Count: 1}}}.Append(nil), encoder.EncodeAll(small[:450], nil))}, nil))
	f.Add(append(open, say(protocol.Extent, protocol.Number(2*chunk.Size), small[:512-64])...))
	f.Add(say(protocol.Data, protocol.DataHead(0, protocol.Zstd, nil), small))
	key := say(protocol.DirectKey, protocol.AppendDirectKey(nil, direct.Key{}, loopback))
	f.Add(bytes.Join([][]byte{open, key, say(protocol.Announce, announce), say(protocol.DirectTurn), say(protocol.Ping)}, nil))
	f.Add(bytes.Join([][]byte{open, key, key}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		disk, run := &memory{b: bytes.Clone(old)}, t.TempDir()
		var said bytes.Buffer
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Serve(context.Background(), struct {
				io.Reader
				io.Writer
			}{bytes.NewReader(talk(b)), &said}, Config{Tool: "fuzz", Run: run, Direct: true, Open: func(string, bool) (Target, error) { return disk, nil }})
		}()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("it does not end")
		}
		there := func(name string) bool { _, err := os.Stat(filepath.Join(run, name)); return err == nil }
		if !bytes.Equal(disk.b, old) && !there("writing") && !there("verified") {
			t.Error("the disk is another one, and nothing says so")
		}
		if !bytes.Equal(disk.b[:chunk.Size], old[:chunk.Size]) && !bytes.Contains(b, []byte{byte(protocol.Finish)}) {
			t.Error("the first chunk was written before the end")
		}
	})
}
