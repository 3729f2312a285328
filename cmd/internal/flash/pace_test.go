package flash

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/wire"
	"groundhog/fixtures/judge"
)

// lineAndCores is where chunks of text are sent: what each takes there.
type lineAndCores struct {
	line     float64 // bytes a second
	zstd, s2 float64 // bytes of a chunk a second, on one core
}

// send tells a pace what so many chunks take there, and returns how many of them it has compressed with S2.
func (l lineAndCores) send(p *linePace, chunks int) (fast int) {
	for range chunks {
		e := p.nextEncoding()
		speed, packed := l.zstd, chunk.Size*36/100
		if e == protocol.S2 {
			speed, packed = l.s2, chunk.Size*48/100
			fast++
		}
		p.noteCompressed(e, chunk.Size, packed, time.Duration(chunk.Size/speed*1e9))
		p.mu.Lock()
		p.line.addTime(float64(packed)/l.line, packed)
		p.mu.Unlock()
	}
	return fast
}

// A slow line gets zstd from the first chunk on, also where the kernel takes the first bytes at once; a fast one, behind a processor that does
// not keep it full, S2; and what changes is noticed.
func TestPace(t *testing.T) {
	const mbit = 1e6 / 8
	free := lineAndCores{2e9, 400e6, 1e9} // nothing waits for the line
	slow := lineAndCores{100 * mbit, 400e6, 1e9}
	fast := lineAndCores{1000 * mbit, 400e6, 1e9}      // with zstd two cores fill it
	busy := lineAndCores{1000 * mbit, 120e6, 350e6}    // with zstd they do not
	once := func(n int) int { return n/lookAgain + 1 } // chunks that are sent the other way to see what it does
	for _, c := range []struct {
		name  string
		lines []lineAndCores // one after the other; the last one counts
		first int            // chunks on each but the last
		s2    bool
		waits bool
	}{
		{"slow", []lineAndCores{slow}, 0, false, true},
		{"slow, behind buffers", []lineAndCores{free, slow}, 10, false, true},
		{"fast", []lineAndCores{slow, fast}, 40, false, false},
		{"fast, few cores", []lineAndCores{slow, busy}, 40, true, false},
		{"no line at all", []lineAndCores{slow, free}, 40, true, false},
		{"slow again", []lineAndCores{free, slow}, 100, false, true},
	} {
		p := newPace()
		for n, l := range c.lines {
			if n < len(c.lines)-1 {
				got := l.send(p, c.first)
				if n == 0 && c.first < lookAgain && got > 0 {
					t.Errorf("%s: %d of the first %d chunks went as S2", c.name, got, c.first)
				}
				continue
			}
			l.send(p, 40) // it takes some to see it
			const chunks = 320
			got := l.send(p, chunks)
			if want := map[bool]int{true: chunks}[c.s2]; got < want-once(chunks) || got > want+once(chunks) {
				t.Errorf("%s: %d of %d chunks went as S2", c.name, got, chunks)
			}
			if p.lineWaits() != c.waits {
				t.Errorf("%s: that the line is what is waited for: %t", c.name, p.lineWaits())
			}
		}
	}
}

// A line that takes all at once, because there is room for it on the way, is as slow as what arrives says. Where there is more to send that says nothing,
// and is forgotten.
func TestPaceBehindBuffers(t *testing.T) {
	p := newPace()
	lineAndCores{2e9, 400e6, 1e9}.send(p, 100)
	now, arrived := time.Now(), int64(0)
	arrive := func(full bool) {
		for range 60 {
			now, arrived = now.Add(80*time.Millisecond), arrived+1<<20 // 100 Mbit/s
			p.noteArrived(now, arrived, full)
		}
	}
	arrive(false)
	if p.lineWaits() {
		t.Error("that the senders are slow is taken for the line")
	}
	arrive(true)
	if !p.lineWaits() || p.nextEncoding() != protocol.Zstd {
		t.Errorf("the line is taken for one of %.0f Mbit/s", 8e-6/p.lineTime())
	}
	arrive(false)
	if p.lineWaits() {
		t.Error("the line is still taken for a slow one")
	}
}

// Behind chunks that do not compress neither way is taken for useless.
func TestPaceBehindNoise(t *testing.T) {
	for _, by := range []protocol.Encoding{protocol.Zstd, protocol.S2} {
		p := newPace()
		for range 50 {
			p.noteCompressed(by, chunk.Size, chunk.Size, time.Millisecond)
		}
		for range 10 {
			p.noteCompressed(protocol.S2, chunk.Size, chunk.Size/2, time.Millisecond)
		}
		if p.nextEncoding() != protocol.Zstd { // for a slow line, as it is taken for one
			t.Errorf("behind noise by %d: zstd is expected to leave %.2f", by, p.packed[protocol.Zstd].perByte())
		}
	}
}

// What a parcel says that it sends is what comes out at the other end, however it is compressed; what does not compress goes as it is.
func TestParcelEncodings(t *testing.T) {
	text := bytes.Repeat([]byte("what a device's disk has to hold\n"), chunk.Size/33)
	encoder := judge.Value(zstd.NewWriter(nil))(t)
	decoder := judge.Value(zstd.NewReader(nil))(t)
	defer decoder.Close()
	for _, c := range []struct {
		at   lineAndCores
		data []byte
		want protocol.Encoding
	}{
		{lineAndCores{1e7, 400e6, 1e9}, text, protocol.Zstd},
		{lineAndCores{2e9, 400e6, 1e9}, text, protocol.S2},
		{lineAndCores{1e7, 400e6, 1e9}, judge.Noise(1, chunk.Size), protocol.Raw},
		{lineAndCores{2e9, 400e6, 1e9}, judge.Noise(1, chunk.Size), protocol.Raw},
	} {
		var line bytes.Buffer
		p := parcel{w: wire.NewWriter(&line), encoder: encoder, run: newRun(t.Context(), Job{}), pace: newPace()}
		c.at.send(p.pace, 40)
		judge.Must(t, p.sendChunk(&ledgerItem{c: chunk.Of(3, c.data), data: c.data}))
		_, b, err := wire.NewReader(&line).Next()
		if err != nil {
			t.Fatal(err)
		}
		got, err := protocol.ReadData(b)
		if err != nil || got.N != 3 || got.Encoding != c.want {
			t.Fatalf("chunk %d as %d, not %d: %v", got.N, got.Encoding, c.want, err)
		}
		plain := got.Bytes
		switch got.Encoding {
		case protocol.S2:
			plain, err = s2.Decode(nil, got.Bytes)
		case protocol.Zstd:
			plain, err = decoder.DecodeAll(got.Bytes, nil)
		}
		if err != nil || !bytes.Equal(plain, c.data) {
			t.Errorf("encoding %d: another chunk comes out (%v)", c.want, err)
		}
	}
}

// What a line takes is measured where it is given to the line.
func TestPacedWriter(t *testing.T) {
	p := newPace()
	w := pacedWriter{io.Discard, p}
	for range 100 {
		if n, err := w.Write(make([]byte, 64<<10)); n != 64<<10 || err != nil {
			t.Fatal(n, err)
		}
	}
	if p.line.perByte() >= 80e-9 || p.lineWaits() && p.line.perByte() < 1e-9 {
		t.Errorf("nobody waits for this line, which takes %g s a byte", p.line.perByte())
	}
}
