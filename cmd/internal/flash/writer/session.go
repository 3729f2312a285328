package writer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/direct"
	"groundhog/cmd/internal/flash/moved"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/wire"
	"groundhog/cmd/internal/since"
)

// Config is how a session runs.
type Config struct {
	Tool   string        // name and version, as the hello has it
	Run    string        // where the waiting initramfs keeps its state: /run/groundhog
	Silent time.Duration // after which a client that says nothing is gone; 30 s
	Ping   time.Duration // how often the writer says something; 5 s
	Direct bool          // a client may come by a line beside this one, too

	// Open opens a disk; nil: [Open]. Tests have disks that lie.
	Open func(name string, write bool) (Target, error)
}

// Target is a disk that a session works on.
type Target interface {
	Medium
	Size() int64
	Close() error
}

// clientSession is one connection of a client.
type clientSession struct {
	Config
	line io.Reader // as the client has it; what r reads may be another one
	r    *wire.Reader
	w    *wire.Writer
	job  protocol.Job
	disk Target
	own  *diskHold

	compare chan lookJob
	puts    chan put1
	free    chan []byte    // buffers, each for one chunk, to be used again
	cut     []byte         // buffer for the pieces of a chunk
	stream  chunkStream    // the zstd stream that chunks come in
	over    atomic.Bool    // the client is done or gone
	lookers sync.WaitGroup // comparers
	writing sync.WaitGroup // the putter
	failed  chan error     // the first error of a worker

	mu        sync.Mutex
	announced map[int64]wantedChunk // chunks that wait for their data, by number
	open      int64                 // how many announced chunks are neither the same, nor zeroed, nor verified yet
	settled   *sync.Cond
	first     []byte // the first chunk's data, until Finish
	firstZero bool
	extents   []Extent
	blanks    []Extent // zeros outside of the image's chunks, each at most as long as a chunk
	highest   int64    // number of the last chunk announced, -1 for none
	started   bool     // something was written, or may have been

	scanned map[int64]scannedChunk // what the disk held when it was scanned; announced chunks are compared with it
	memory  moved.Memory           // pieces that were read before their place on the disk was overwritten

	direct chan *direct.Line // by which the client may go on; nil: it has not asked for one

	account protocol.Account
	blind   *blind
	heard   since.Moment
}

// wantedChunk is a chunk that waits for its data.
type wantedChunk struct {
	chunk.Chunk
	looked bool // the client knows what the disk holds in its place
}

// put1 is a chunk on its way to the disk.
type put1 struct {
	n    int64
	data []byte        // nil: zeros
	len  int           // bytes
	only *chunk.Pieces // the pieces of data to write; nil: all
}

// Serve speaks the protocol on a line until the client is done or gone. An error that is a
// [protocol.Failure] has been told to the client. Nothing is half written when it returns: what was
// received in part is dropped, what was being written is finished.
func Serve(ctx context.Context, line io.ReadWriter, c Config) error {
	c = c.withDefaults()
	s := &clientSession{Config: c, line: line, r: wire.NewReader(line), w: wire.NewWriter(line),
		compare: make(chan lookJob, maxAnnounced/chunksAtOnce), puts: make(chan put1, maxPending),
		failed: make(chan error, 1), announced: map[int64]wantedChunk{}, highest: -1, blind: newBlind(), scanned: map[int64]scannedChunk{}}
	s.settled = sync.NewCond(&s.mu)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := s.serveClient(ctx, line)
	if s.disk != nil {
		s.stopWorkers()
		err = errors.Join(err, s.disk.Close())
	}
	if s.own != nil {
		s.own.releaseLock()
	}
	return err
}

func (c Config) withDefaults() Config {
	if c.Silent <= 0 {
		c.Silent = 30 * time.Second
	}
	if c.Ping <= 0 {
		c.Ping = 5 * time.Second
	}
	if c.Open == nil {
		c.Open = func(name string, write bool) (Target, error) { return Open(name, write) }
	}
	return c
}

// serveClient is the session; what it returns was told to the client, if the line still carries it. After an error the
// line is closed: no worker may wait for a client that is gone.
func (s *clientSession) serveClient(ctx context.Context, line io.ReadWriter) error {
	err := s.sayHello()
	if err == nil {
		stop := s.sendBeats(ctx)
		defer stop()
		err = s.serveFrames(ctx)
	}
	if c, ok := line.(io.Closer); ok && err != nil {
		late := time.AfterFunc(s.Ping, func() { c.Close() })
		defer func() { late.Stop(); c.Close() }()
	}
	if errors.Is(err, protocol.ErrProtocol) {
		err = asFailure(protocol.KindBug, err)
	}
	var f *protocol.Failure
	if errors.As(err, &f) {
		f.Writing = s.own.isWriting()
		s.w.Write(protocol.Failed, protocol.Marshal(f))
	}
	return err
}

func (s *clientSession) sayHello() error {
	if err := wire.SayHello(s.w, s.Tool); err != nil {
		return err
	}
	_, err := wire.HearHello(s.r)
	s.heard.Note()
	return err
}

// serveFrames takes frames until Finish.
func (s *clientSession) serveFrames(ctx context.Context) error {
	frames := make(chan clientFrame)
	free := make(chan struct{})
	go s.readFrames(ctx, frames, free)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-s.failed:
			return err
		case <-time.After(s.Silent):
			return fmt.Errorf("the client has said nothing for %s", s.Silent)
		case f := <-frames:
			if f.err != nil {
				return f.err
			}
			done, err := s.takeFrame(ctx, f)
			if done || err != nil {
				return err
			}
			select {
			case free <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

type clientFrame struct {
	kind    wire.Type
	payload []byte
	err     error
}

// readFrames reads frames, one at a time: the next one is read once free says that the payload of the last one is not needed any
// more.
func (s *clientSession) readFrames(ctx context.Context, frames chan<- clientFrame, free <-chan struct{}) {
	for {
		kind, payload, err := s.r.Next()
		s.heard.Note()
		select {
		case frames <- clientFrame{kind, payload, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		select {
		case <-free:
		case <-ctx.Done():
			return
		}
	}
}

// takeFrame acts on a frame.
func (s *clientSession) takeFrame(ctx context.Context, f clientFrame) (done bool, err error) {
	if s.disk == nil && f.kind != protocol.Open && f.kind != protocol.Ping {
		return false, fmt.Errorf("%w: a frame of type %d before Open", protocol.ErrProtocol, f.kind)
	}
	switch f.kind {
	case protocol.Open:
		return false, s.openDisk(f.payload)
	case protocol.Announce:
		return false, s.announceChunks(f.payload)
	case protocol.Data:
		return false, s.takeData(f.payload)
	case protocol.Scan:
		return false, s.scanRange(f.payload)
	case protocol.Build:
		return false, s.buildChunk(f.payload)
	case protocol.Extent:
		return false, s.keepExtent(f.payload)
	case protocol.Blank:
		return false, s.keepBlank(f.payload)
	case protocol.DirectKey:
		return false, s.offerDirect(ctx, f.payload)
	case protocol.DirectTurn:
		return false, s.turnDirect()
	case protocol.Finish:
		return true, s.finishDisk()
	case protocol.Ping:
		return false, nil
	}
	return false, fmt.Errorf("%w: a frame of type %d", protocol.ErrProtocol, f.kind)
}

// openDisk takes the device for this session.
func (s *clientSession) openDisk(payload []byte) error {
	if s.disk != nil {
		return fmt.Errorf("%w: a second Open", protocol.ErrProtocol)
	}
	if err := protocol.Unmarshal(payload, &s.job); err != nil {
		return err
	}
	if strings.ContainsAny(s.job.Disk+s.job.Session, " \n") {
		return fmt.Errorf("%w: disk %q, session %q", protocol.ErrProtocol, s.job.Disk, s.job.Session)
	}
	own, err := holdDisk(s.Run, s.job.Disk, s.job.Who)
	if err != nil {
		return asFailure(protocol.KindBusy, err)
	}
	s.own = own
	d, err := s.Open(s.job.Disk, !s.job.Check)
	if err != nil {
		return asFailure(protocol.KindRefused, fmt.Errorf("opening %s: %w", s.job.Disk, err))
	}
	if s.job.Size > d.Size() {
		d.Close()
		return asFailure(protocol.KindRefused, fmt.Errorf("the image has %d bytes, %s %d", s.job.Size, s.job.Disk, d.Size()))
	}
	// What a writer that was killed has left in the drive's cache would be found there, and lost with the power.
	if err := d.Flush(); err != nil {
		d.Close()
		return asFailure(protocol.KindDisk, fmt.Errorf("flushing %s: %w", s.job.Disk, err))
	}
	s.disk = d
	s.free = make(chan []byte, maxPending+flushBatch)
	for range runtime.NumCPU() {
		s.lookers.Add(1)
		go s.compareChunks()
	}
	s.writing.Add(1)
	go s.putChunks()
	room := roomForPieces()
	s.memory.Most = int(room / chunk.PieceSize)
	s.stream.window = windowOf(room)
	last := own.lastRun()
	return s.w.Write(protocol.Opened, protocol.Marshal(protocol.Disk{
		Size: d.Size(), Block: d.BlockSize(), Resumed: s.job.Session != "" && last == "flash "+s.job.Session, Last: last, Room: room, Window: s.stream.window}))
}

// stopWorkers ends the workers. What is on its way to the disk gets there. Announced chunks that were not compared yet are
// forgotten: a client that comes back announces them again.
func (s *clientSession) stopWorkers() {
	s.over.Store(true)
	close(s.compare)
	s.lookers.Wait()
	close(s.puts)
	s.writing.Wait()
}

// keepError keeps a worker's first error.
func (s *clientSession) keepError(err error) {
	select {
	case s.failed <- err:
	default:
	}
	s.mu.Lock()
	s.settled.Broadcast()
	s.mu.Unlock()
}

func asFailure(kind protocol.Kind, err error) error {
	var f *protocol.Failure
	if errors.As(err, &f) {
		return err
	}
	return &protocol.Failure{Kind: kind, Text: err.Error()}
}

// sendBeats sends a ping now and then, and keeps the device's lease fresh as long as the client is heard.
func (s *clientSession) sendBeats(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(s.Ping)
		defer tick.Stop()
		for {
			if s.heard.Ago() < s.Silent {
				touchLease(s.Run)
			}
			select {
			case <-tick.C:
				if s.w.Write(protocol.Ping) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// chunkOffset is where a chunk lies.
func chunkOffset(n int64) int64 { return n * chunk.Size }

// peakMemory is the most memory that this process has had, in bytes.
func peakMemory() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	return procField(b, "VmHWM:") * 1024
}
