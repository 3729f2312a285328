package flash

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/writer"

	"groundhog/fixtures/judge"
)

// disk is a Target in memory. What was written is durable at the next flush; what a fault does is said where it is set.
type disk struct {
	mu     sync.Mutex
	b      []byte
	lies   int64 // writes at and beyond this offset are dropped; 0: none
	broken int64 // reads and writes at this offset fail; 0: none
	writes int64 // bytes

	torn    map[int64]bool // these offsets cannot be read until they are written
	flicker int64          // the second read of this offset has another byte there; 0: none
	reads   int            // of it
}

func (d *disk) BlockSize() int64 { return 512 }
func (d *disk) Size() int64      { return int64(len(d.b)) }
func (d *disk) Close() error     { return nil }
func (d *disk) Flush() error     { return nil }

var errIO = errors.New("input/output error")

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for at := range d.torn {
		if off <= at && at < off+int64(len(p)) {
			return 0, errIO
		}
	}
	n := copy(p, d.b[off:off+int64(len(p))])
	if at := d.flicker - off; d.flicker > 0 && at >= 0 && at < int64(n) {
		if d.reads++; d.reads == 2 {
			p[at] ^= 1
		}
	}
	return n, nil
}

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken > 0 && off <= d.broken && d.broken < off+int64(len(p)) {
		return 0, errIO
	}
	for at := range d.torn {
		if off <= at && at < off+int64(len(p)) {
			delete(d.torn, at)
		}
	}
	d.writes += int64(len(p))
	if d.lies > 0 && off >= d.lies {
		return len(p), nil
	}
	return copy(d.b[off:], p), nil
}

func (d *disk) Zero(off, n int64) error {
	_, err := d.WriteAt(make([]byte, n), off)
	return err
}

// source is an image in memory.
type source struct {
	b     []byte
	index bool // known beforehand
	once  bool // a stream
	walks int
	end   error // what the walk ends with
	liar  int64 // a chunk that is foretold to be zeros, and is none; 0: none

	hash   sync.Once
	hashed []chunk.Chunk
}

func (s *source) Size() (int64, bool) { return int64(len(s.b)), s.index }
func (s *source) Again() bool         { return !s.once }

func (s *source) chunks() []chunk.Chunk {
	s.hash.Do(func() {
		for n := 0; n*chunk.Size < len(s.b); n++ {
			p := s.b[n*chunk.Size : min(len(s.b), (n+1)*chunk.Size)]
			c := chunk.Chunk{N: int64(n), Len: len(p), Zero: chunk.IsZero(p)}
			if !c.Zero {
				c.Sum = chunk.SumOf(p)
			}
			s.hashed = append(s.hashed, c)
		}
	})
	return slices.Clone(s.hashed)
}

func (s *source) Index() []chunk.Chunk {
	if !s.index {
		return nil
	}
	return s.chunks()
}

func (s *source) Walk(ctx context.Context, want func(int64) bool, each func(chunk.Chunk, []byte) error) error {
	if s.walks++; s.once && s.walks > 1 {
		return errors.New("a stream is walked through again")
	}
	for _, c := range s.chunks() {
		if want != nil && !want(c.N) {
			continue
		}
		var data []byte
		if !c.Zero {
			data = slices.Clone(s.b[c.N*chunk.Size:][:c.Len])
		}
		if err := each(c, data); err != nil {
			return err
		}
	}
	return s.end
}

// Zeros knows all of them at once; liar is one chunk more.
func (s *source) Zeros(_ context.Context, each func(chunk.Chunk) error) error {
	for _, c := range s.chunks() {
		if !c.Zero && (s.liar == 0 || c.N != s.liar) {
			continue
		}
		if err := each(chunk.Chunk{N: c.N, Len: c.Len, Zero: true}); err != nil {
			return err
		}
	}
	return nil
}

// image has chunks of noise, of text and of zeros, and a tail that fills none.
func image(seed uint64, chunks int) []byte {
	b := judge.Noise(seed, chunks*chunk.Size+12345)
	clear(b[2*chunk.Size : 4*chunk.Size])
	copy(b[5*chunk.Size:], bytes.Repeat([]byte("groundhog "), chunk.Size/10))
	return b
}

// cut is a connection that dies after so many bytes in one direction.
type cut struct {
	net.Conn
	mu   sync.Mutex
	left int64
}

func (c *cut) Write(p []byte) (int, error) {
	c.mu.Lock()
	n := min(int64(len(p)), c.left)
	c.left -= n
	c.mu.Unlock()
	if n < int64(len(p)) {
		c.Conn.Write(p[:n])
		c.Conn.Close()
		return int(n), net.ErrClosed
	}
	return c.Conn.Write(p)
}

// bench is a device with a writer for each connection.
type bench struct {
	t      *testing.T
	disk   *disk
	run    string
	cuts   []int64 // bytes after which the next connections die, towards the device; then none
	back   bool    // they die on the way back
	direct bool    // the writer lets a client come by another line
	conns  int
	done   sync.WaitGroup

	here, there net.Conn // the ends of the newest connection
}

func (b *bench) connect(ctx context.Context) (io.ReadWriteCloser, error) {
	here, there := pair(b.t)
	b.here, b.there = here, there
	var a, z net.Conn = here, there
	if b.conns < len(b.cuts) {
		if b.back {
			z = &cut{Conn: there, left: b.cuts[b.conns]}
		} else {
			a = &cut{Conn: here, left: b.cuts[b.conns]}
		}
	}
	b.conns++
	b.done.Go(func() {
		writer.Serve(context.Background(), z, writer.Config{Tool: "test", Run: b.run, Silent: 10 * time.Second, Ping: time.Second, Direct: b.direct,
			Open: func(string, bool) (writer.Target, error) { return b.disk, nil }})
		z.Close()
	})
	return a, nil
}

// pair is a connection on loopback: like SSH's it takes some bytes that nobody has read yet.
func pair(t *testing.T) (net.Conn, net.Conn) {
	l := judge.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	here := judge.Value(net.Dial("tcp", l.Addr().String()))(t)
	there := judge.Value(l.Accept())(t)
	return here, there
}

func newBench(t *testing.T, content []byte) *bench {
	b := &bench{t: t, disk: &disk{b: content}, run: t.TempDir()}
	t.Cleanup(b.done.Wait)
	return b
}

func (b *bench) flash(s *source, change ...func(*Job)) (Result, error) {
	return b.flashOf(s, s.b, change...)
}

func (b *bench) flashFrom(s *packedSource) (Result, error) { return b.flashOf(s, s.b) }

// flashOf flashes a source of this image.
func (b *bench) flashOf(s Source, img []byte, change ...func(*Job)) (Result, error) {
	j := Job{Source: s, Disk: "/dev/test", Who: "a test", Session: "s1", Tool: "test", Connect: b.connect, Patience: 20 * time.Second, Silent: 10 * time.Second}
	for _, c := range change {
		c(&j)
	}
	r, err := Run(b.t.Context(), j)
	b.done.Wait()
	equal := bytes.Equal(b.disk.b[:min(len(b.disk.b), len(img))], img)
	if (r.State == Verified) && !equal {
		b.t.Errorf("it says verified, and the disk is not the image (%v)", err)
	}
	if (err == nil) != (r.State == Verified) && !j.Check {
		b.t.Errorf("state %s with error %v", r.State, err)
	}
	return r, err
}

func TestFlash(t *testing.T) {
	img := image(1, 40)
	for name, s := range map[string]*source{"index": {b: img, index: true}, "file": {b: img}, "stream": {b: img, once: true}} {
		t.Run(name, func(t *testing.T) {
			old := judge.Noise(9, len(img)+3*chunk.Size)
			b := newBench(t, bytes.Clone(old))
			r, err := b.flash(s)
			if err != nil || r.State != Verified || r.Written != 39 || r.Zeroed != 2 || r.Size != int64(len(img)) {
				t.Fatalf("%+v, %v", r, err)
			}
			if !bytes.Equal(b.disk.b[len(img):], old[len(img):]) {
				t.Error("something behind the image was written")
			}
			// again: nothing but the comparison crosses the line
			s.walks = 0
			written := b.disk.writes
			r, err = b.flash(s)
			if err != nil || r.Same != 41 || r.Sent > 100*41+1000 || b.disk.writes != written {
				t.Errorf("again: %+v, %v; %d bytes written", r, err, b.disk.writes-written)
			}
			// a chunk changed
			s.walks = 0
			b.disk.b[7*chunk.Size+5] ^= 1
			r, err = b.flash(s)
			if err != nil || r.Same != 40 || r.Written != 1 || r.Sent > chunk.Size+10000 {
				t.Errorf("one changed: %+v, %v", r, err)
			}
		})
	}
}

// What a drive was writing when its power failed cannot be read until it is written again: it is written, whatever the image has there, and a check
// that cannot read it does not end well.
func TestUnreadable(t *testing.T) {
	old, next := builds(7)
	old = append(old, make([]byte, 4*chunk.Size)...)
	same := append(slices.Clone(next), old[len(next):]...)
	for what, c := range map[string]struct{ disk, img []byte }{"nothing of the image": {image(5, 23), next}, "the build before": {old, next}, "the image": {same, next}} {
		for _, n := range []int64{0, 1, 6, 20} { // the first chunk, data, zeros on either side, the tail
			for _, s := range []Source{&source{b: c.img}, file{&source{b: c.img, index: true}}} {
				b := newBench(t, bytes.Clone(c.disk))
				torn := func() { b.disk.torn = map[int64]bool{n*chunk.Size + 5000: true} }
				torn()
				r, err := b.flashOf(s, c.img)
				if err != nil || r.Retried > 1 || len(b.disk.torn) > 0 {
					t.Errorf("%s, chunk %d: %v, %d retried, %d left", what, n, err, r.Retried, len(b.disk.torn))
				}
				torn()
				if r, err := b.flashOf(s, c.img, func(j *Job) { j.Check = true }); err == nil || errors.Is(err, ErrDiffers) || r.State != Untouched {
					t.Errorf("%s, chunk %d, a check: %v, %v", what, n, r.State, err)
				}
			}
		}
	}
}

// The first chunk goes last: whatever happens before, the partition table is the old one.
func TestFirstLast(t *testing.T) {
	img := image(1, 20)
	for name, s := range map[string]*source{
		"checksum": {b: img, end: errors.New("another checksum")},
		"stream":   {b: img, end: io.ErrUnexpectedEOF, once: true},
	} {
		old := judge.Noise(9, len(img))
		b := newBench(t, bytes.Clone(old))
		r, err := b.flash(s)
		if !errors.Is(err, ErrImage) || r.State == Verified || r.State == Untouched && !bytes.Equal(b.disk.b, old) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if !bytes.Equal(b.disk.b[:chunk.Size], old[:chunk.Size]) {
			t.Errorf("%s: the first chunk was written", name)
		}
	}
}

// The line is cut at many places, in either direction: it goes on and ends verified.
func TestCuts(t *testing.T) { cuts(t, 4) }

func cuts(t *testing.T, times int) {
	img := image(3, 24)
	for seed := range uint64(times) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := &source{b: img, index: seed%3 == 0, once: seed%3 == 1}
		b := newBench(t, judge.Noise(seed+100, len(img)+chunk.Size))
		b.back = seed%2 == 0
		most := int64(len(img))
		if b.back {
			most = 1200
		}
		for range 1 + rng.IntN(4) {
			b.cuts = append(b.cuts, rng.Int64N(most))
		}
		if r, err := b.flash(s); err != nil || r.State != Verified {
			t.Errorf("seed %d, cuts %v: %+v, %v", seed, b.cuts, r, err)
		}
	}
}

func TestFaults(t *testing.T) {
	img := image(4, 20)
	for name, c := range map[string]struct {
		change func(*bench)
		kind   protocol.Kind
		state  State
	}{
		"a disk that lies":       {func(b *bench) { b.disk.lies = 10 * chunk.Size }, protocol.KindDisk, Waiting},
		"an I/O error":           {func(b *bench) { b.disk.broken = 10*chunk.Size + 77 }, protocol.KindDisk, Waiting},
		"a disk that is smaller": {func(b *bench) { b.disk.b = b.disk.b[:15*chunk.Size] }, protocol.KindRefused, Untouched},
	} {
		for _, index := range []bool{true, false} {
			b := newBench(t, judge.Noise(8, len(img)))
			c.change(b)
			r, err := b.flash(&source{b: img, index: index})
			var f *protocol.Failure
			if !errors.As(err, &f) || f.Kind != c.kind || index && r.State != c.state || r.State == Verified {
				t.Errorf("%s, index %v: %+v, %v", name, index, r, err)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	img := image(5, 12)
	for _, index := range []bool{true, false} {
		b := newBench(t, bytes.Clone(img))
		check := func(j *Job) { j.Check = true }
		s := &source{b: img, index: index}
		if r, err := b.flash(s, check); err != nil || r.State != Untouched || r.Same != 13 {
			t.Errorf("equal: %+v, %v", r, err)
		}
		b.disk.b[3*chunk.Size] = 7 // of a chunk of zeros
		b.disk.b[9*chunk.Size] ^= 7
		r, err := b.flash(s, check)
		if !errors.Is(err, ErrDiffers) || len(r.Differing) != 2 || b.disk.writes != 0 {
			t.Errorf("%+v, %v, %d bytes written", r, err, b.disk.writes)
		}
	}
}

// The first chunk is changed for the disk, and something is put behind the image.
func TestFit(t *testing.T) {
	img := image(6, 10)
	for _, index := range []bool{true, false} {
		b := newBench(t, judge.Noise(7, len(img)/512*512+4*chunk.Size))
		tail := judge.Noise(3, 33*512)
		at := int64(len(b.disk.b) - len(tail))
		fit := func(j *Job) {
			j.Fit = func(d protocol.Disk, _ int64, first []byte) ([]byte, []chunk.Extent, error) {
				first[513] ^= 0xff
				return first, []chunk.Extent{{Off: at, Data: tail}}, nil
			}
		}
		s := &source{b: bytes.Clone(img), index: index}
		want := bytes.Clone(img)
		want[513] ^= 0xff
		for range 2 {
			r, _ := Run(t.Context(), func() Job {
				j := Job{Source: s, Session: "x", Tool: "test", Connect: b.connect}
				fit(&j)
				return j
			}())
			b.done.Wait()
			if r.State != Verified || !bytes.Equal(b.disk.b[:len(img)], want) || !bytes.Equal(b.disk.b[at:], tail) {
				t.Errorf("index %v: %+v", index, r)
			}
		}
		check := func(j *Job) { fit(j); j.Check = true }
		if r, err := b.flash(s, check); err != nil || len(r.Differing) != 0 {
			t.Errorf("checked, index %v: %+v, %v", index, r, err)
		}
		for _, off := range []int64{at + 1000, 513} {
			b.disk.b[off] ^= 1
			if r, err := b.flash(s, check); !errors.Is(err, ErrDiffers) || len(r.Differing) != 1 {
				t.Errorf("changed at %d, index %v: %+v, %v", off, index, r, err)
			}
			b.disk.b[off] ^= 1
		}
	}
}

// A device that cannot note the end of a flash, since its /run has got full, says so at once: no other connection mends that.
func TestEndNotNoted(t *testing.T) {
	img := image(6, 10)
	for about, old := range map[string][]byte{"written": judge.Noise(7, len(img)), "all there": bytes.Clone(img)} {
		b := newBench(t, old)
		judge.Must(t, os.Mkdir(filepath.Join(b.run, "verified.new"), 0o700))
		r, err := b.flash(&source{b: img})
		var f *protocol.Failure
		want := map[string]State{"written": Waiting, "all there": Untouched}[about]
		if !errors.As(err, &f) || !strings.Contains(f.Text, "noting that") || r.State != want || r.Lost != 0 {
			t.Errorf("%s: %+v, %v", about, r, err)
		}
	}
}

// Where the wait is over and the old system is being booted, nothing is written.
func TestLeaving(t *testing.T) {
	img := image(6, 10)
	old := judge.Noise(7, len(img))
	b := newBench(t, bytes.Clone(old))
	judge.WriteFile(t, filepath.Join(b.run, "leaving"), "")
	r, err := b.flash(&source{b: img})
	var f *protocol.Failure
	if !errors.As(err, &f) || f.Kind != protocol.KindRefused || r.State != Untouched || !bytes.Equal(b.disk.b, old) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(filepath.Join(b.run, "writing")); err == nil {
		t.Error("`writing` is left behind: the old system would never boot")
	}
}

// A second flash is refused and told who is at work.
func TestBusy(t *testing.T) {
	img := image(6, 10)
	b := newBench(t, judge.Noise(7, len(img)))
	block := make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := Run(t.Context(), Job{Source: &source{b: img}, Who: "alice", Session: "x", Tool: "test", Connect: b.connect,
			Progress: func(Progress) { <-block }})
		first <- err
	}()
	judge.Until(t, "the first has begun", func() bool {
		b, err := os.ReadFile(filepath.Join(b.run, "flash.lock"))
		return err == nil && string(b) == "alice\n"
	})
	_, err := Run(t.Context(), Job{Source: &source{b: img}, Who: "bob", Session: "y", Tool: "test", Connect: b.connect})
	var f *protocol.Failure
	if !errors.As(err, &f) || f.Kind != protocol.KindBusy || !strings.Contains(f.Text, "alice") {
		t.Errorf("the second: %v", err)
	}
	close(block)
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
}

// A device that was written to and has lost what it knew of that is not untouched, though it says itself that nobody has written.
func TestForgetsAndRefuses(t *testing.T) {
	img := image(6, 24)
	b := newBench(t, judge.Noise(7, len(img)))
	conns, wrote := 0, sync.OnceFunc(func() { b.here.Close() })
	r, err := b.flash(&source{b: img}, func(j *Job) {
		j.Progress = func(p Progress) {
			if p.Done > 0 {
				wrote()
			}
		}
		j.Connect = func(ctx context.Context) (io.ReadWriteCloser, error) {
			b.done.Wait()
			switch conns++; conns {
			case 2:
				judge.Must(t, os.Remove(filepath.Join(b.run, "writing")))
			case 3:
				b.disk.b = b.disk.b[:chunk.Size]
			}
			return b.connect(ctx)
		}
	})
	var f *protocol.Failure
	if !errors.As(err, &f) || f.Kind != protocol.KindRefused || f.Writing || conns != 3 || r.State != Waiting {
		t.Errorf("connection %d: %+v, %v", conns, r, err)
	}
}

// No device is believed that says of other chunks that it has made zeros of them.
func TestZeroedOther(t *testing.T) {
	for _, c := range []chunk.Chunk{{N: 3, Len: chunk.Size}, {Len: chunk.Size}} {
		l := newLedger()
		l.enterData(c, make([]byte, c.Len))
		l.readyToSend(false)
		if what, _, err := l.takeAnswer(protocol.Reply{N: c.N, Answer: protocol.Zeroed}, nil, false); !errors.Is(err, protocol.ErrProtocol) {
			t.Errorf("chunk %d: outcome %d, %v", c.N, what, err)
		}
	}
}
