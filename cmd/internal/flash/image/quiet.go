package image

import (
	"fmt"
	"io"
	"time"
)

// defaultQuiet is how long a server, or whoever feeds standard input, may send nothing before it is given up.
const defaultQuiet = time.Minute

// Quiet sets how long a server, or whoever feeds standard input, may send nothing. Only time spent waiting for it counts.
func Quiet(d time.Duration) Option {
	return func(i *Image) {
		if d > 0 {
			i.quiet = d
		}
	}
}

// leastPerSecond is how many bytes of an image have to come in a second, on average over the time that silence is allowed: a sender of next to
// nothing would hold a device for years.
const leastPerSecond = 64

// readPace measures how fast an image comes, over the time spent waiting for it. It is for one goroutine at a time.
type readPace struct {
	quiet time.Duration
	over  time.Duration
	bytes int64
}

// noteBytes notes that n bytes came and how long that took; it is an error if next to nothing has come for too long.
func (p *readPace) noteBytes(who string, n int, took time.Duration) error {
	p.over, p.bytes = p.over+took, p.bytes+int64(n)
	if p.over < p.quiet {
		return nil
	}
	if float64(p.bytes) < leastPerSecond*p.over.Seconds() {
		return fmt.Errorf("%s has said next to nothing: %d bytes in %s", who, p.bytes, p.over.Round(time.Second))
	}
	p.over, p.bytes = 0, 0
	return nil
}

// fedInput is standard input. A read that waits cannot be ended: it is abandoned then, and what it reads later is lost.
type fedInput struct {
	from  io.Reader
	quiet time.Duration
	reads chan []byte // what a read brought; closed with the input
	end   error       // of the input, once reads is closed
	over  chan struct{}
	pace  readPace
	left  []byte // of the last read
	err   error
}

// feedFrom listens to a stream.
func feedFrom(from io.Reader, quiet time.Duration) *fedInput {
	f := &fedInput{from: from, quiet: quiet, pace: readPace{quiet: quiet}, reads: make(chan []byte), over: make(chan struct{})}
	go func() {
		defer close(f.reads)
		rooms := [2][]byte{make([]byte, 256<<10), make([]byte, 256<<10)} // one is read while the other is filled
		for n := 0; ; n++ {
			k, err := f.from.Read(rooms[n%2])
			if k > 0 {
				select {
				case f.reads <- rooms[n%2][:k]:
				case <-f.over:
					return
				}
			}
			if err != nil {
				f.end = err
				return
			}
		}
	}()
	return f
}

func (f *fedInput) Read(p []byte) (int, error) {
	if len(f.left) == 0 && f.err == nil {
		late, began := time.NewTimer(f.quiet), time.Now()
		defer late.Stop()
		select {
		case b, ok := <-f.reads:
			if f.left = b; !ok {
				f.err = f.end
			} else {
				f.err = f.pace.noteBytes("standard input", len(b), time.Since(began))
			}
		case <-late.C:
			f.err = fmt.Errorf("standard input has said nothing for %s", f.quiet)
		case <-f.over:
			f.err = io.ErrClosedPipe
		}
	}
	if len(f.left) == 0 {
		return 0, f.err
	}
	n := copy(p, f.left)
	f.left = f.left[n:]
	return n, nil
}

// Close ends a read that waits. It may be called once.
func (f *fedInput) Close() error {
	close(f.over)
	return nil
}
