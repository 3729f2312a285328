package protocol

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/wire"
)

func TestThereAndBack(t *testing.T) {
	chunks := []chunk.Chunk{{Len: chunk.Size, Sum: chunk.SumOf([]byte("a"))}, {N: maxNumber - 1, Len: 1, Zero: true}}
	var b []byte
	for _, c := range chunks {
		b = AppendChunk(b, c)
	}
	got, err := Chunks(b)
	if d := cmp.Diff(chunks, got); d != "" || err != nil {
		t.Error(d, err)
	}
	replies := []Reply{{7, Same}, {8, Zeroed}, {9, Needed}}
	b = nil
	for _, r := range replies {
		b = AppendReply(b, r)
	}
	back, err := Replies(b)
	if d := cmp.Diff(replies, back); d != "" || err != nil {
		t.Error(d, err)
	}
	numbers, err := Numbers(append(Number(3), Number(4)...))
	if d := cmp.Diff([]int64{3, 4}, numbers); d != "" || err != nil {
		t.Error(d, err)
	}
	some := &chunk.Pieces{1: 0x80, 31: 3}
	for _, want := range []Packet{
		{N: 5, Encoding: Zstd, Bytes: []byte("xyz")}, {N: 6, Encoding: Raw, Bytes: []byte("x")}, {N: 5, Encoding: S2, Bytes: []byte("xyz")},
		{N: 7, Encoding: S2, Pieces: some, Bytes: []byte("xyz")},
		{N: 7, Encoding: Zstd, Pieces: some, Bytes: []byte("xyz")}, {N: 8, Encoding: Raw, Pieces: some, Bytes: []byte("x")},
		{N: 9, Encoding: Streamed, Stream: Stream{Begins: true, Skip: 3 * chunk.Size}, Bytes: []byte("xyz")}, {N: 10, Encoding: Streamed, Stream: Stream{Part: true}, Bytes: []byte{}},
	} {
		got, err := ReadData(append(headOf(want), want.Bytes...))
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Error(d, err)
		}
	}
	n, sums, err := ReadHeld(AppendHeld(nil, 9, []byte("12345678")))
	if n != 9 || string(sums) != "12345678" || err != nil {
		t.Error(n, sums, err)
	}
	off, data, err := ReadExtent(append(Number(512), "xyz"...))
	if off != 512 || string(data) != "xyz" || err != nil {
		t.Error(off, data, err)
	}
}

// headOf begins the payload that a packet was read from.
func headOf(p Packet) []byte {
	if p.Encoding == Streamed {
		return StreamHead(p.N, p.Stream)
	}
	return DataHead(p.N, p.Encoding, p.Pieces)
}

// The largest batch, and a chunk that does not compress, fit a frame.
func TestFits(t *testing.T) {
	if n := MaxBatch * chunkLen; n > wire.MaxPayload {
		t.Errorf("%d bytes announced", n)
	}
	if n := len(DataHead(0, Raw, &chunk.Pieces{})) + chunk.Size; n > wire.MaxPayload {
		t.Errorf("%d bytes of data", n)
	}
}

func TestRefuses(t *testing.T) {
	long := AppendChunk(nil, chunk.Chunk{N: 1, Len: chunk.Size + 1})
	far := AppendChunk(nil, chunk.Chunk{N: maxNumber, Len: 1})
	for name, err := range map[string]error{
		"nothing announced": second(Chunks(nil)), "a piece": second(Chunks(make([]byte, 44))), "too long": second(Chunks(long)),
		"too far": second(Chunks(far)), "empty chunk": second(Chunks(make([]byte, 45))), "too many": second(Chunks(make([]byte, 45*(MaxBatch+1)))),
		"no answers": second(Replies(nil)), "an answer of its own": second(Replies(AppendReply(nil, Reply{1, 9}))),
		"no numbers": second(Numbers(nil)), "a piece of one": second(Numbers(make([]byte, 7))),
		"no data": second(ReadData(DataHead(1, Raw, nil))), "an encoding": second(ReadData(append(DataHead(1, 7, nil), 1))), "pieces of a stream": second(ReadData(append(DataHead(1, Streamed, &chunk.Pieces{}), 1))),
		"no pieces": second(ReadData(DataHead(1, Zstd, &chunk.Pieces{}))), "half a stream's head": second(ReadData(StreamHead(1, Stream{Begins: true})[:17])), "a stream that skips back": second(ReadData(StreamHead(1, Stream{Skip: -1}))),
		"a stream that skips too much": second(ReadData(StreamHead(1, Stream{Skip: MaxSkip + 1}))),
		"some of which pieces":         second(ReadData(DataHead(1, Zstd, &chunk.Pieces{})[:20])),
		"no sums":                      third(ReadHeld(AppendHeld(nil, 1, nil))), "a sum of 7": third(ReadHeld(make([]byte, 15))), "257 sums": third(ReadHeld(make([]byte, 8+8*257))),
		"held before the disk": third(ReadHeld(AppendHeld(nil, -1, make([]byte, 8)))),
		"an empty extent":      third(ReadExtent(Number(1))), "before the disk": third(ReadExtent(append(Number(-1), 1))),
		"less than nothing moved": second(ReadAccount([]byte(`{"moved":-1}`))), "more written than there is": second(ReadAccount([]byte(`{"written":1152921504606846977}`))),
		"no JSON": Unmarshal([]byte("{"), &Job{}), "much JSON": Unmarshal(bytes.Repeat([]byte(" "), maxJSON+1), &Job{}),
	} {
		if !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

func FuzzDecode(f *testing.F) {
	f.Add(AppendChunk(nil, chunk.Chunk{N: 1, Len: 2, Zero: true}))
	f.Add(AppendReply(nil, Reply{1, Same}))
	f.Add(append(DataHead(1, Zstd, nil), 0))
	f.Add(append(DataHead(1, Zstd, &chunk.Pieces{3}), 0))
	f.Add(append(DataHead(1, S2, nil), 0))
	f.Add(append(StreamHead(1, Stream{Begins: true, Skip: 2 * chunk.Size}), 0))
	f.Add(AppendHeld(nil, 1, make([]byte, 16)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if all, err := Chunks(b); err == nil {
			var again []byte
			for _, c := range all {
				again = AppendChunk(again, c)
			}
			if !bytes.Equal(again, b) {
				t.Errorf("%x became %x", b, again)
			}
		}
		if all, err := Replies(b); err == nil && len(all) != len(b)/replyLen {
			t.Error(all)
		}
		Numbers(b)
		if p, err := ReadData(b); err == nil && !bytes.Equal(append(headOf(p), p.Bytes...), b) {
			t.Errorf("%x became %+v", b, p)
		} else if err == nil && len(p.Bytes) == 0 && p.Encoding != Streamed { // all of it may have come with the chunk before
			t.Error("data without a byte")
		}
		if n, sums, err := ReadHeld(b); err == nil && !bytes.Equal(AppendHeld(nil, n, sums), b) {
			t.Errorf("%x became %d, %x", b, n, sums)
		}
		ReadExtent(b)
		Unmarshal(b, &Failure{})
	})
}
