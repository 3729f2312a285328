package protocol

import (
	"errors"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
)

// What a device says of its memory is bounded like what it says of its disk: a plan keeps that many pieces.
func TestRoomHasARange(t *testing.T) {
	for room, ok := range map[int64]bool{0: true, 32 << 20: true, -1: false, 1 << 62: false} {
		_, err := ReadDisk(Marshal(Disk{Size: 1 << 30, Block: 512, Room: room}))
		if ok != (err == nil) || err != nil && !errors.Is(err, ErrProtocol) {
			t.Errorf("%d bytes of room: %v", room, err)
		}
	}
}

// A scan's frames come back as they were, and what is none is refused: a device's and a client's words are anybody's.
func TestScanFrames(t *testing.T) {
	r := Range{First: 7, Count: 64, Keep: true}
	probe := Range{First: 7, Count: 1, Probe: true}
	if got, err := ReadRange(AppendRange(nil, probe)); err != nil || got != probe {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ReadRange(AppendRange(nil, r)); err != nil || got != r {
		t.Errorf("%+v, %v", got, err)
	}
	sums := []byte("123456abcdef")
	n, got, err := ReadScanned(AppendScanned(nil, 9, sums))
	if err != nil || n != 9 || string(got) != string(sums) {
		t.Errorf("chunk %d: %q, %v", n, got, err)
	}
	for what, b := range map[string][]byte{
		"a count of none":   AppendRange(nil, Range{First: 1}),
		"a negative first":  AppendRange(nil, Range{First: -1, Count: 1}),
		"a range cut short": AppendRange(nil, r)[:16],
		"a kind of three":   append(AppendRange(nil, r)[:16], 3),
	} {
		if _, err := ReadRange(b); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, b := range map[string][]byte{
		"half a sum":     AppendScanned(nil, 1, sums[:9]),
		"too many sums":  AppendScanned(nil, 1, make([]byte, 257*6)),
		"a number below": AppendScanned(nil, -1, sums),
		"a number cut":   AppendScanned(nil, 1, nil)[:5],
	} {
		if _, _, err := ReadScanned(b); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A recipe's pieces come whole: neither as pieces of a chunk, nor in parts, nor with something to skip.
func TestBuildFrames(t *testing.T) {
	if p, err := ReadBuild(append(StreamHead(7, Stream{Begins: true}), "recipe"...)); err != nil || p.N != 7 || p.Encoding != Streamed || !p.Stream.Begins || string(p.Bytes) != "recipe" {
		t.Errorf("%+v, %v", p, err)
	}
	for what, b := range map[string][]byte{
		"a part":            StreamHead(7, Stream{Part: true}),
		"something to skip": StreamHead(7, Stream{Skip: 1}),
		"pieces":            append(DataHead(7, Raw, &chunk.Pieces{1}), "recipe"...),
		"a head cut short":  StreamHead(7, Stream{})[:17],
	} {
		if _, err := ReadBuild(b); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
