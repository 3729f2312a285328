package flash

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/wire"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/fixtures/judge"
)

// stuck is a disk on which one kind of operation never returns, until the test is over.
type stuck struct {
	*disk
	read, write, flush bool
	over               chan struct{}
}

func (d stuck) ReadAt(p []byte, off int64) (int, error) {
	if d.read {
		<-d.over
	}
	return d.disk.ReadAt(p, off)
}

func (d stuck) WriteAt(p []byte, off int64) (int, error) {
	if d.write {
		<-d.over
	}
	return d.disk.WriteAt(p, off)
}

func (d stuck) Flush() error {
	if d.flush {
		<-d.over
	}
	return d.disk.Flush()
}

// impatient is a job with short bounds.
func impatient(j *Job) {
	j.Ping, j.Stalled, j.Patience = 50*time.Millisecond, time.Second, 6*time.Second
}

// A disk operation that never returns ends the flash within its bound, and what was being done is said.
func TestStuckDisk(t *testing.T) {
	img := image(1, 10)
	for what, d := range map[string]stuck{"opening its disk": {flush: true}, "comparing": {read: true}, "writing": {write: true}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, judge.Noise(2, len(img)))
			d.disk, d.over = b.disk, make(chan struct{})
			var said strings.Builder
			j := Job{Source: &source{b: img, index: true}, Disk: "/dev/test", Session: "s", Tool: "test", Say: func(s string) { said.WriteString(s + "\n") }}
			impatient(&j)
			j.Connect = func(context.Context) (io.ReadWriteCloser, error) {
				here, there := pair(t)
				b.done.Go(func() {
					writer.Serve(context.Background(), there, writer.Config{Tool: "test", Run: b.run, Ping: 50 * time.Millisecond,
						Open: func(string, bool) (writer.Target, error) { return d, nil }})
					there.Close()
				})
				return here, nil
			}
			r, err := Run(t.Context(), j)
			close(d.over)
			b.done.Wait()
			if err == nil || r.State == Verified || !strings.Contains(err.Error(), "no progress within 6s") {
				t.Errorf("%+v, %v", r, err)
			}
			if !strings.Contains(said.String(), "has not got on with "+what) {
				t.Errorf("it says: %s", said.String())
			}
		})
	}
}

// pinging is a device that says hello, opens its disk if it is told to, and no more than that it is there.
func pinging(t *testing.T, opens bool) func(context.Context) (io.ReadWriteCloser, error) {
	return func(context.Context) (io.ReadWriteCloser, error) {
		here, there := pair(t)
		go func() {
			defer there.Close()
			w, r := wire.NewWriter(there), wire.NewReader(there)
			if wire.SayHello(w, "test") != nil {
				return
			}
			if _, err := wire.HearHello(r); err != nil {
				return
			}
			if opens && w.Write(protocol.Opened, protocol.Marshal(protocol.Disk{Size: 64 << 20, Block: 512})) != nil {
				return
			}
			go io.Copy(io.Discard, there)
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				if w.Write(protocol.Ping) != nil {
					return
				}
			}
		}()
		return here, nil
	}
}

// A writer that only says that it is there is no progress.
func TestOnlyPings(t *testing.T) {
	for _, opens := range []bool{false, true} {
		t.Run(fmt.Sprintf("opens %t", opens), func(t *testing.T) {
			t.Parallel()
			j := Job{Source: &source{b: image(1, 5), index: true}, Session: "s", Tool: "test", Connect: pinging(t, opens)}
			impatient(&j)
			r, err := Run(t.Context(), j)
			if err == nil || r.State == Verified || !strings.Contains(err.Error(), "no progress within 6s") || r.Lost == 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// A stream that pauses is no fault of the device's.
func TestSourceThatPauses(t *testing.T) {
	t.Parallel()
	img := image(1, 8)
	b := newBench(t, judge.Noise(2, len(img)))
	s := &pausing{source: &source{b: img, once: true}, pause: 6 * time.Second}
	j := Job{Source: s, Disk: "/dev/test", Session: "s", Tool: "test", Connect: b.connect}
	impatient(&j)
	j.Stalled = 4 * time.Second
	r, err := Run(t.Context(), j)
	b.done.Wait()
	if err != nil || r.State != Verified || r.Lost != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// pausing is a source that stands still before its fifth chunk.
type pausing struct {
	*source
	pause time.Duration
}

func (s *pausing) Walk(ctx context.Context, want func(int64) bool, each func(c chunk.Chunk, data []byte) error) error {
	return s.source.Walk(ctx, want, func(c chunk.Chunk, data []byte) error {
		if c.N == 5 {
			select {
			case <-time.After(s.pause):
			case <-ctx.Done():
			}
		}
		return each(c, data)
	})
}

// lossy drops one frame of what is written through it.
type lossy struct {
	io.ReadWriteCloser
	mu   sync.Mutex
	buf  bytes.Buffer
	skip int // frames before the one that is lost; the preamble is none
	head bool
}

func (l *lossy) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p)
	for {
		b := l.buf.Bytes()
		n := len("groundhog flash\n")
		if l.head {
			if len(b) < 8 {
				return len(p), nil
			}
			if n = int(binary.BigEndian.Uint32(b) & 0xffffff); n > 0 {
				n += 4
			}
			n += 8
		}
		if len(b) < n {
			return len(p), nil
		}
		frame := l.buf.Next(n)
		if l.head && wire.Type(frame[0]) != protocol.Ping {
			if l.skip--; l.skip == -1 {
				continue
			}
		}
		l.head = true
		if _, err := l.ReadWriteCloser.Write(frame); err != nil {
			return 0, err
		}
	}
}

// One frame that is lost on the way, in either direction, is made good by another connection.
func TestLostFrame(t *testing.T) { lostFrame(t, 4) }

// lostFrame loses one frame in some, another one in each direction.
func lostFrame(t *testing.T, one int) {
	tried := 0
	img := image(4, 12)
	for _, back := range []bool{false, true} {
		for n := 1; n < 14; n++ { // the first is the hello
			if tried++; tried%one != 0 {
				continue
			}
			t.Run(fmt.Sprintf("%d/%v", n, back), func(t *testing.T) {
				t.Parallel()
				b := newBench(t, judge.Noise(5, len(img)))
				j := Job{Source: &source{b: img, index: true}, Disk: "/dev/test", Session: "s", Tool: "test"}
				impatient(&j)
				j.Patience = 30 * time.Second
				j.Connect = func(context.Context) (io.ReadWriteCloser, error) {
					b.done.Wait()
					here, there := pair(t)
					var a, z io.ReadWriteCloser = here, there
					if b.conns++; b.conns == 1 && back {
						z = &lossy{ReadWriteCloser: there, skip: n}
					} else if b.conns == 1 {
						a = &lossy{ReadWriteCloser: here, skip: n}
					}
					b.done.Go(func() {
						writer.Serve(context.Background(), z, writer.Config{Tool: "test", Run: b.run, Ping: 50 * time.Millisecond, Silent: 5 * time.Second,
							Open: func(string, bool) (writer.Target, error) { return b.disk, nil }})
						there.Close()
					})
					return a, nil
				}
				r, err := Run(t.Context(), j)
				b.done.Wait()
				if err != nil || r.State != Verified || !bytes.Equal(b.disk.b, img) {
					t.Errorf("frame %d lost, on the way back %v: %+v, %v; the disk is the image: %v", n, back, r, err, bytes.Equal(b.disk.b, img))
				}
			})
		}
	}
}
