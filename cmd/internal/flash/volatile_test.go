package flash

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/fixtures/judge"
)

// drive is a disk with a cache that a power cut empties: writes and reads see the cache, Flush brings it to the medium.
type drive struct {
	mu     sync.Mutex
	cache  []byte
	medium []byte
}

func newDrive(content []byte) *drive {
	return &drive{cache: bytes.Clone(content), medium: bytes.Clone(content)}
}

func (d *drive) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	copy(d.medium, d.cache)
}

// process is a writer's hold on a drive. It dies at the operation that is the last it has left: from there on nothing of
// it reaches the drive, and its line is cut.
type process struct {
	*drive
	mu   sync.Mutex
	left int // operations; negative: any number
	die  func()
	dead bool
}

var errDead = errors.New("killed")

// lives counts an operation.
func (p *process) lives() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead && p.left == 0 {
		p.dead = true
		p.die()
	}
	if p.dead {
		return errDead
	}
	p.left--
	return nil
}

func (p *process) BlockSize() int64 { return 512 }
func (p *process) Size() int64      { return int64(len(p.cache)) }
func (p *process) Close() error     { return nil }

func (p *process) ReadAt(b []byte, off int64) (int, error) {
	if err := p.lives(); err != nil {
		return 0, err
	}
	p.drive.mu.Lock()
	defer p.drive.mu.Unlock()
	return copy(b, p.cache[off:]), nil
}

func (p *process) WriteAt(b []byte, off int64) (int, error) {
	if err := p.lives(); err != nil {
		return 0, err
	}
	p.drive.mu.Lock()
	defer p.drive.mu.Unlock()
	return copy(p.cache[off:], b), nil
}

func (p *process) Zero(off, n int64) error {
	_, err := p.WriteAt(make([]byte, n), off)
	return err
}

func (p *process) Flush() error {
	if err := p.lives(); err != nil {
		return err
	}
	p.flush()
	return nil
}

// machine has a drive and starts writers that die when they are told to.
type machine struct {
	t     *testing.T
	drive *drive
	run   string
	lives []int // operations that each further writer has; then any number
	died  bool
	done  sync.WaitGroup
}

func (m *machine) connect(context.Context) (io.ReadWriteCloser, error) {
	m.done.Wait() // the kernel lets go of a killed process' lock when all of it is gone
	here, there := pair(m.t)
	p := &process{drive: m.drive, left: -1, die: func() { m.died = true; cutLine(here, there) }}
	if len(m.lives) > 0 {
		p.left, m.lives = m.lives[0], m.lives[1:]
	}
	m.done.Go(func() {
		writer.Serve(context.Background(), there, writer.Config{Tool: "test", Run: m.run,
			Open: func(string, bool) (writer.Target, error) { return p, nil }})
		there.Close()
	})
	return here, nil
}

func cutLine(ends ...net.Conn) {
	for _, c := range ends {
		c.Close()
	}
}

// What was said to be verified is on the medium when the power goes next, wherever a writer was killed before: the drive
// shows what it has in its cache as if it were there.
func TestVerifiedIsDurable(t *testing.T) { verifiedIsDurable(t, 9) }

// verifiedIsDurable kills a writer at one operation in some.
func verifiedIsDurable(t *testing.T, one int) {
	img := image(11, 7)
	const most = 200 // operations of a whole flash, generously
	var all sync.WaitGroup
	places := make(chan struct{}, 24)
	var survived atomic.Bool
	for n := range most {
		if n > 60 && n < most-1 { // a whole flash has some 45
			continue
		}
		for _, again := range []bool{false, true} {
			if !again && n%4 > 0 || n%one > 0 && n < most-1 {
				continue
			}
			places <- struct{}{}
			all.Go(func() {
				defer func() { <-places }()
				m := &machine{t: t, drive: newDrive(judge.Noise(12, len(img)+chunk.Size)), run: t.TempDir(), lives: []int{n}}
				m.flashTwice(img, n, again)
				if n == most-1 && again && !m.died {
					survived.Store(true)
				}
			})
		}
	}
	all.Wait()
	if !survived.Load() {
		t.Errorf("a flash has more than %d operations: the test kills too early", most)
	}
}

// flashTwice flashes while the first writer is killed at operation n: by a client that goes on, or by another one after it.
func (m *machine) flashTwice(img []byte, n int, again bool) {
	job := Job{Source: &source{b: img, index: n%2 == 0}, Disk: "/dev/test", Session: "a", Tool: "test", Connect: m.connect, Patience: time.Minute}
	if again {
		first := job
		first.Connect = func(ctx context.Context) (io.ReadWriteCloser, error) {
			if m.died {
				return nil, Permanent(errDead)
			}
			return m.connect(ctx)
		}
		Run(m.t.Context(), first)
		m.done.Wait()
		job.Session = "b"
	}
	r, err := Run(m.t.Context(), job)
	m.done.Wait()
	if err != nil || r.State != Verified {
		m.t.Errorf("killed at operation %d: %+v, %v", n, r, err)
		return
	}
	if !bytes.Equal(m.drive.medium[:len(img)], img) {
		m.t.Errorf("killed at operation %d, again %v: verified, and the power cut brings the old disk back", n, again)
	}
}
