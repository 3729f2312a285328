package flash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/direct"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/fixtures/judge"
)

// besideSSH is a line beside which the device can be connected to.
type besideSSH struct {
	net.Conn
	dial func(port uint16) (io.WriteCloser, error)
}

func (l *besideSSH) DirectTo() (direct.Address, bool) { return direct.Address(net.IPv6loopback), true }

func (l *besideSSH) DialDirect(_ context.Context, port uint16) (io.WriteCloser, error) {
	return l.dial(port)
}

func dialLoopback(port uint16) (io.WriteCloser, error) {
	return net.Dial("tcp", fmt.Sprintf("[::1]:%d", port))
}

// flashBeside flashes over lines beside which the device can be connected to. The image's tenth chunk waits until the direct line carries
// something, if there is to be one.
func flashBeside(t *testing.T, b *bench, img []byte, dial func(port uint16) (io.WriteCloser, error), waits bool) (Result, error) {
	carries := make(chan struct{})
	now := sync.OnceFunc(func() { close(carries) })
	if !waits {
		now()
	}
	counted := func(port uint16) (io.WriteCloser, error) {
		c, err := dial(port)
		if err != nil {
			return nil, err
		}
		return &carrying{WriteCloser: c, carries: now}, nil
	}
	return b.flashOf(&pausedSource{&source{b: img, index: true}, carries}, img, func(j *Job) {
		j.Ping = 20 * time.Millisecond
		j.Connect = func(ctx context.Context) (io.ReadWriteCloser, error) {
			line, err := b.connect(ctx)
			if err != nil {
				return nil, err
			}
			return &besideSSH{line.(net.Conn), counted}, nil
		}
	})
}

// pausedSource gives its tenth chunk when it may.
type pausedSource struct {
	*source
	may <-chan struct{}
}

func (s *pausedSource) Walk(ctx context.Context, want func(int64) bool, each func(chunk.Chunk, []byte) error) error {
	return s.source.Walk(ctx, want, func(c chunk.Chunk, data []byte) error {
		if c.N == 10 {
			select {
			case <-s.may:
			case <-ctx.Done():
			}
		}
		return each(c, data)
	})
}

// carrying is a direct connection that tells when it is written to once more: what is first shows the key, all else comes behind the turn.
type carrying struct {
	io.WriteCloser
	writes  atomic.Int64
	carries func()
}

func (c *carrying) Write(p []byte) (int, error) {
	if c.writes.Add(1) > 1 {
		c.carries()
	}
	return c.WriteCloser.Write(p)
}

func TestDirect(t *testing.T) {
	img := image(1, 40)
	b := newBench(t, make([]byte, len(img)))
	b.direct = true
	r, err := flashBeside(t, b, img, dialLoopback, true)
	if err != nil || r.Lost != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Direct < 25*chunk.Size || r.Direct > r.Sent {
		t.Errorf("%d of %d bytes went by the direct line", r.Direct, r.Sent)
	}
}

// Where there is no direct line, or somebody else is at its end, all goes as if there were none to be had.
func TestDirectNever(t *testing.T) {
	stranger := judge.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer stranger.Close()
	go func() {
		for {
			c, err := stranger.Accept()
			if err != nil {
				return
			}
			go io.Copy(c, c)
		}
	}()
	img := image(1, 20)
	for name, dial := range map[string]func(uint16) (io.WriteCloser, error){
		"refused":  func(uint16) (io.WriteCloser, error) { return nil, syscall.ECONNREFUSED },
		"stranger": func(uint16) (io.WriteCloser, error) { return net.Dial("tcp", stranger.Addr().String()) },
		"never":    func(uint16) (io.WriteCloser, error) { <-t.Context().Done(); return nil, t.Context().Err() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, make([]byte, len(img)))
			b.direct = true
			if r, err := flashBeside(t, b, img, dial, false); err != nil || r.Lost != 0 || r.Direct != 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	t.Run("not listening", func(t *testing.T) {
		b := newBench(t, make([]byte, len(img)))
		r, err := flashBeside(t, b, img, func(port uint16) (io.WriteCloser, error) {
			t.Errorf("port %d is dialed", port)
			return nil, syscall.ECONNREFUSED
		}, false)
		if err != nil || r.Direct != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// spoiled is a direct connection to which something happens after so many bytes: it is cut, or a bit is turned.
type spoiled struct {
	io.WriteCloser
	left int64
	flip bool
}

func (c *spoiled) Write(p []byte) (int, error) {
	n := int64(len(p))
	if c.left < 0 || c.left >= n {
		c.left -= n
		return c.WriteCloser.Write(p)
	}
	at := c.left
	c.left = -1
	if c.flip {
		p = bytes.Clone(p)
		p[at] ^= 1
		return c.WriteCloser.Write(p)
	}
	c.WriteCloser.Write(p[:at])
	c.WriteCloser.Close()
	return int(at), net.ErrClosed
}

// A direct line that is lost, or on which a byte is another than was sent, is a lost connection. The next one does without: whatever it was, SSH is what works.
func TestDirectSpoiled(t *testing.T) {
	img := image(1, 30)
	for _, flip := range []bool{false, true} {
		for _, after := range []int64{20, 21, 30, 36, 100, 3 << 20, 10 << 20} { // the empty record, which shows the key, has 20 bytes
			t.Run(fmt.Sprintf("flip %t, %d", flip, after), func(t *testing.T) {
				b := newBench(t, make([]byte, len(img)))
				b.direct = true
				dialed := 0
				r, err := flashBeside(t, b, img, func(port uint16) (io.WriteCloser, error) {
					dialed++
					c, err := dialLoopback(port)
					return &spoiled{c, after, flip}, err
				}, true)
				if err != nil || r.Lost < 1 || dialed != 1 || !flip && r.Direct > after {
					t.Errorf("dialed %d times; %+v, %v", dialed, r, err)
				}
			})
		}
	}
}

// With the line to which it was made a direct line ends, at whichever end that is lost.
func TestDirectEndsWithLine(t *testing.T) {
	img := image(1, 30)
	for _, atDevice := range []bool{false, true} {
		t.Run(fmt.Sprintf("at the device %t", atDevice), func(t *testing.T) {
			b := newBench(t, make([]byte, len(img)))
			b.direct = true
			dialed := 0
			r, err := flashBeside(t, b, img, func(port uint16) (io.WriteCloser, error) {
				dialed++
				lost := b.here
				if atDevice {
					lost = b.there
				}
				c, err := dialLoopback(port)
				return &carrying{WriteCloser: c, carries: func() { lost.Close() }}, err
			}, true)
			if err != nil || r.Lost < 1 || dialed != 1 {
				t.Errorf("dialed %d times; %+v, %v", dialed, r, err)
			}
		})
	}
}

// heardLate is a line on which all that comes once the direct one carries something is heard when it is closed, and then it is lost, or a while later.
type heardLate struct {
	*besideSSH
	late   atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func (l *heardLate) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if !l.late.Load() {
		return n, err
	}
	select {
	case <-l.closed:
		return 0, net.ErrClosed
	case <-time.After(100 * time.Millisecond):
		return n, err
	}
}

func (l *heardLate) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Conn.Close()
}

// A device that fails ends the direct line. That is seen before the reason is heard, which comes by the other one, and the reason counts: the next
// connection may find a disk that works again.
func TestDirectEndsBeforeReason(t *testing.T) {
	img := image(1, 40)
	b := newBench(t, make([]byte, len(img)))
	b.direct = true
	b.disk.broken = 15*chunk.Size + 1
	ended := false
	r, err := b.flashOf(&source{b: img, index: true}, img, func(j *Job) {
		carries := make(chan struct{})
		now := sync.OnceFunc(func() { close(carries) })
		j.Source = &pausedSource{&source{b: img, index: true}, carries}
		j.Ping = 20 * time.Millisecond
		j.Connect = func(ctx context.Context) (io.ReadWriteCloser, error) {
			line, err := b.connect(ctx)
			if err != nil {
				return nil, err
			}
			l := &heardLate{closed: make(chan struct{})}
			l.besideSSH = &besideSSH{line.(net.Conn), func(port uint16) (io.WriteCloser, error) {
				c, err := dialLoopback(port)
				return &ending{&carrying{WriteCloser: c, carries: func() { l.late.Store(true); now() }}, func() { ended = true }}, err
			}}
			return l, nil
		}
	})
	var f *protocol.Failure
	if !errors.As(err, &f) || f.Kind != protocol.KindDisk || r.State != Waiting || r.Lost != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if !ended {
		t.Error("the direct line took all")
	}
}

// ending is a connection that tells when it takes nothing any more.
type ending struct {
	io.WriteCloser
	ends func()
}

func (c *ending) Write(p []byte) (int, error) {
	n, err := c.WriteCloser.Write(p)
	if err != nil {
		c.ends()
	}
	return n, err
}
