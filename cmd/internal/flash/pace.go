package flash

import (
	"io"
	"sync"
	"time"

	"groundhog/cmd/internal/flash/protocol"
)

// linePace is how fast chunks are compressed and the line takes bytes, as far as was seen on this connection: it decides how a chunk is
// compressed that goes by itself. Where the line is what is waited for, zstd saves a quarter of S2's bytes; where it is our processor, S2
// takes less than half of zstd's time. A device that is slow holds the line up, which looks like a slow line from here, and is taken for
// one: a Compute Module 3 decodes S2 with 4 instructions a byte in place of 13, but one of its cores has to decrypt all that comes
// (fixtures/bench/cm3). Its methods may be called by all senders at once.
type linePace struct {
	mu      sync.Mutex
	line    byteRate                  // seconds for a byte on it, as long as it does not take more at once
	arrival byteRate                  // the same by what has arrived, while all was sent that may be
	arrived int64                     // bytes, at since
	since   time.Time                 // zero: there was more to send
	packing [protocol.S2 + 1]byteRate // seconds for a byte of a chunk, by what it is compressed with
	packed  [protocol.S2 + 1]byteRate // bytes that come of it
	chunks  int                       // that were compressed
}

// byteRate is what a byte takes, of the last ones for the most part.
type byteRate struct{ took, bytes float64 }

// rateOf is what bytes are taken for until more is known.
func rateOf(each, bytes float64) byteRate { return byteRate{each * bytes, bytes} }

// rateHorizon is how many bytes a rate remembers.
const rateHorizon = 4 << 20

func (r *byteRate) addTime(took float64, bytes int) {
	left := max(0, 1-float64(bytes)/rateHorizon)
	r.took, r.bytes = left*r.took+took, left*r.bytes+float64(bytes)
}

func (r byteRate) perByte() float64 { return r.took / r.bytes }

// lookAgain is after how many chunks the other way is tried once, so that what is known of it does not get old.
const lookAgain = 32

// newPace is that of a line that nothing was sent on yet. It is taken for one of 100 Mbit/s until some was sent: that the kernel takes the
// first bytes at once says nothing.
func newPace() *linePace {
	p := &linePace{line: rateOf(80e-9, 1<<20), arrival: rateOf(0, 1)}
	p.packing[protocol.Zstd], p.packed[protocol.Zstd] = rateOf(3e-9, 1), rateOf(0.4, 1)
	p.packing[protocol.S2], p.packed[protocol.S2] = rateOf(1.2e-9, 1), rateOf(0.5, 1)
	return p
}

// nextEncoding is how the next chunk is to be compressed.
func (p *linePace) nextEncoding() protocol.Encoding {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chunks++
	best, other := protocol.Zstd, protocol.S2
	if p.secondsPerByte(other) < p.secondsPerByte(best) {
		best, other = other, best
	}
	if p.chunks%lookAgain == 0 {
		return other
	}
	return best
}

// secondsPerByte is what a byte of a chunk takes that is compressed so, in seconds: as long as the line is at it, or as the senders are who
// compress it and give it to the line.
func (p *linePace) secondsPerByte(e protocol.Encoding) float64 {
	line := p.packed[e].perByte() * p.lineTime()
	return max(line, (p.packing[e].perByte()+line)/senderCount)
}

// lineTime is what a byte takes on the line, in seconds. Buffers on the way may take all that may be sent at once, so that no write ever waits: then it is what
// the device says to have that tells.
func (p *linePace) lineTime() float64 { return max(p.line.perByte(), p.arrival.perByte()) }

// arrivalStep is how many bytes have to arrive to tell something, and by how many the pace is forgotten where there is more to send.
const arrivalStep = 1 << 20

// noteArrived notes how many of the bytes that were sent the device has on its disk now; full is whether all was sent that may be.
func (p *linePace) noteArrived(now time.Time, bytes int64, full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !full:
		p.since = time.Time{}
		p.arrival.addTime(0, arrivalStep/4)
	case p.since.IsZero():
		p.since, p.arrived = now, bytes
	case bytes-p.arrived >= arrivalStep:
		p.arrival.addTime(now.Sub(p.since).Seconds(), int(bytes-p.arrived))
		p.since, p.arrived = now, bytes
	}
}

// zstdToS2 is what zstd makes of a chunk to what S2 does, roughly. What one has made of the last chunks tells of the other, too: behind an
// initramfs, which does not compress, it would be taken for useless until it was tried again.
const zstdToS2 = 0.75

// noteCompressed notes that bytes were compressed.
func (p *linePace) noteCompressed(e protocol.Encoding, plain, packed int, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.packing[e].addTime(took.Seconds(), plain)
	p.packed[e].addTime(float64(packed), plain)
	other, otherwise := protocol.S2, min(float64(packed)/zstdToS2, float64(plain))
	if e == protocol.S2 {
		other, otherwise = protocol.Zstd, float64(packed)*zstdToS2
	}
	p.packed[other].addTime(otherwise, plain)
}

// lineWaits reports whether the line is so slow that there is time to compress better than zstd does in a hurry.
func (p *linePace) lineWaits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.packed[protocol.Zstd].perByte()*p.lineTime() > 2*p.packing[protocol.Zstd].perByte()
}

// pacedWriter tells a pace what the line takes.
type pacedWriter struct {
	io.Writer
	pace *linePace
}

func (w pacedWriter) Write(b []byte) (int, error) {
	began := time.Now()
	n, err := w.Writer.Write(b)
	took := time.Since(began).Seconds()
	w.pace.mu.Lock()
	defer w.pace.mu.Unlock()
	w.pace.line.addTime(took, n)
	return n, err
}
