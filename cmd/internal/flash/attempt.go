package flash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/wire"
	"groundhog/cmd/internal/since"
)

// errAnew says that what this run knows of the disk does not hold any more: all chunks have to be compared again.
var errAnew = errors.New("the device has lost what was known of this flash")

// attemptOnce connects once and goes on with the flash; nil when it is done.
func (r *flashRun) attemptOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(r.Patience, cancel)
	raw, err := r.Connect(ctx)
	if !late.Stop() && err != nil {
		err = fmt.Errorf("connecting takes longer than %s: %w", r.Patience, context.DeadlineExceeded)
	}
	if err != nil {
		return err
	}
	a := &writerLine{flashRun: r, raw: raw, end: make(chan struct{}), pace: newPace()}
	a.heard.Note()
	a.stall.noteProgress()
	a.w = wire.NewWriter(a.countedLine(raw))
	defer a.endLine(nil)
	stop := context.AfterFunc(ctx, func() { a.endLine(ctx.Err()) })
	defer stop()
	go a.guardPanic(a.keepBeating)
	if err := a.openDisk(); err != nil {
		return a.closeCause(err)
	}
	err = a.closeCause(a.talkToWriter())
	a.noteDirectLost(err)
	return err
}

// writerLine is a connection to a writer.
type writerLine struct {
	*flashRun
	raw   io.ReadWriteCloser
	w     *wire.Writer
	r     *wire.Reader
	heard since.Moment
	stall deviceStall
	pace  *linePace

	once   sync.Once
	end    chan struct{} // closed with the line
	why    error
	cutOff atomic.Bool // nothing can be sent any more
	ended  bool        // Finish was sent, or is about to be
	scan   *diskScan   // what the disk holds; nil: it was not looked through

	stream packedStream
	direct directWay
}

// countedLine is a line whose bytes count.
func (a *writerLine) countedLine(w io.Writer) io.Writer {
	return pieceWriter{pacedWriter{countWriter{lineOut{w, a}, &a.flashRun.sent}, a.pace}, &a.stall.out}
}

// lineOut notes when a line takes nothing any more.
type lineOut struct {
	io.Writer
	a *writerLine
}

func (o lineOut) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil && o.a.cutOff.CompareAndSwap(false, true) {
		time.AfterFunc(lastWords, func() { o.a.endLine(err) })
	}
	return n, err
}

// lastWords is how long a device is listened to that takes nothing any more. It may have said why before, and where there is a direct line the end of
// that one comes by another connection than the reason. A line that is lost ends for who listens, too, and does not take that long.
const lastWords = 10 * time.Second

// endLine ends the line; the first reason is kept.
func (a *writerLine) endLine(why error) {
	a.once.Do(func() {
		a.flashRun.mu.Lock()
		a.why = why
		done := a.flashRun.finished
		a.flashRun.mu.Unlock()
		close(a.end)
		if r, ok := a.raw.(Releaser); done && ok {
			r.Release()
		} else {
			a.raw.Close()
		}
		a.flashRun.mu.Lock()
		a.flashRun.cond.Broadcast()
		a.flashRun.mu.Unlock()
	})
}

// closeCause is err, or why the line was closed from our side.
func (a *writerLine) closeCause(err error) error {
	a.flashRun.mu.Lock()
	defer a.flashRun.mu.Unlock()
	if err == nil || a.why == nil {
		return err
	}
	var f *protocol.Failure
	if errors.As(err, &f) {
		return err
	}
	return a.why
}

// keepBeating sends a ping now and then, and closes the line to a writer that has said nothing for too long.
func (a *writerLine) keepBeating() {
	tick, ticks := time.NewTicker(a.Ping), since.NewTicks(a.Ping)
	defer tick.Stop()
	a.heard.Note() // the time since the line was made does not count: this process may have been stopped in it
	for {
		select {
		case <-a.end:
			return
		case <-tick.C:
		}
		if ticks.WereMissed() {
			a.heard.Note() // this process was stopped, and the writer may have answered and got on meanwhile
			a.stall.noteProgress()
		}
		if quiet := a.heard.Ago(); quiet > a.Silent {
			a.endLine(fmt.Errorf("the device has said nothing for %s", quiet.Round(time.Second)))
			return
		}
		if err := a.whyStalled(); err != nil {
			a.endLine(err)
			return
		}
		a.stall.pings.Add(1)
		go a.w.Write(protocol.Ping) // a ping may wait behind data, and this loop must not
	}
}

func (a *writerLine) nextFrame() (wire.Type, []byte, error) {
	kind, b, err := a.r.Next()
	a.heard.Note()
	if err == nil && kind == protocol.Failed {
		f := new(protocol.Failure)
		if err := protocol.Unmarshal(b, f); err != nil {
			return 0, nil, err
		}
		return 0, nil, f
	}
	return kind, b, err
}

// openDisk says hello and opens the disk. Where the line takes nothing, what is heard tells why.
func (a *writerLine) openDisk() error {
	a.r = wire.NewReader(newBuffered(a.raw))
	if err := wire.SayHello(a.w, a.Tool); err != nil && !a.cutOff.Load() {
		return err
	}
	if _, err := wire.HearHello(a.r); err != nil {
		return err
	}
	job := protocol.Job{Disk: a.Disk, Who: a.Who, Session: a.Session, Check: a.Check}
	job.Size, _ = a.Source.Size()
	if err := a.w.Write(protocol.Open, protocol.Marshal(job)); err != nil && !a.cutOff.Load() {
		return err
	}
	for {
		kind, b, err := a.nextFrame()
		if err != nil {
			return err
		}
		if kind == protocol.Ping {
			continue
		}
		if kind != protocol.Opened {
			return fmt.Errorf("%w: a frame of type %d for Opened", protocol.ErrProtocol, kind)
		}
		d, err := protocol.ReadDisk(b)
		if err != nil {
			return err
		}
		a.stall.noteProgress()
		a.stall.opened.Store(true)
		return a.takeDisk(d)
	}
}

// takeDisk takes in what the writer says of the disk, and readies the ledger for this connection.
func (a *writerLine) takeDisk(d protocol.Disk) error {
	r := a.flashRun
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.disk.Size != 0 && !d.Resumed && d.Last != "" && d.Last != r.disk.Last {
		return fmt.Errorf("%w: %q", ErrReplaced, d.Last)
	}
	if r.touched && !d.Resumed || r.disk.Size != 0 && (r.disk.Size != d.Size || !d.Resumed && r.disk.Last != d.Last) {
		return errAnew
	}
	r.disk, r.result.Disk = d, d
	a.stream.usePack(r.packFor(d))
	r.chunks.beginConnection()
	if all := r.Source.Index(); all != nil && !r.indexed && !r.feeding {
		r.takeIndex(all)
	}
	return nil
}

// talkToWriter runs the connection until Done.
func (a *writerLine) talkToWriter() error {
	err := a.askDirect()
	failed := make(chan error, 1)
	go func() {
		err := io.ErrUnexpectedEOF
		a.guardPanic(func() { err = a.listenUntilDone() })
		failed <- err
		a.endLine(nil)
	}()
	send := make(chan *ledgerItem, chunkWindow)
	var sending sync.WaitGroup
	for range senderCount {
		sending.Go(func() {
			a.guardPanic(func() { a.sendItems(send) })
			for range send { // sendItems has panicked: what fills the channel must not wait for it
			}
		})
	}
	if err == nil {
		err = a.moveChunks(a.flashRun.ctx)
	}
	if err == nil {
		err = a.leadSending(send)
	}
	close(send)
	sending.Wait()
	if err == nil || a.cutOff.Load() {
		err = <-failed
	} else {
		a.endLine(nil)
		select {
		case heard := <-failed: // what the device said is the better reason
			if heard != nil {
				err = heard
			}
		case <-time.After(time.Second):
		}
	}
	return err
}

// senderCount is how many compress and send at once.
const senderCount = 2

// leadSending announces, hands data to the senders and finishes.
func (a *writerLine) leadSending(send chan<- *ledgerItem) error {
	r := a.flashRun
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.indexed && r.Check && r.Fit == nil:
		r.chunks.whole = true
	case !r.feeding:
		r.feeding = true
		var want func(int64) bool
		if r.indexed {
			want = func(n int64) bool { return r.wantsData(n) && !r.sendLater(r.known[n]) }
		} else if src, ok := r.Source.(Foreteller); ok {
			go r.guardPanic(func() { r.feedZeros(src) })
		}
		go r.guardPanic(func() { r.feedImage(want) })
	}
	for {
		if r.feedErr != nil {
			return r.feedErr
		}
		if a.isClosed() {
			return io.ErrUnexpectedEOF
		}
		batch, data := r.chunks.readyToSend(a.stream.isOrdered())
		r.announced = r.announced || len(batch) > 0
		if len(batch) > 0 || len(data) > 0 {
			r.mu.Unlock()
			err := a.announceChunks(batch)
			for _, it := range data {
				send <- it
			}
			r.mu.Lock()
			if err != nil {
				return err
			}
			continue
		}
		if r.chunks.endedShort() {
			return fmt.Errorf("%w: it ended before all was read that differs", ErrImage)
		}
		if r.chunks.allOnDisk() {
			extents := outsideImage(r.extents, r.end, r.disk.Block)
			if r.Check { // what the system has written behind its image since then is its own
				extents = slices.DeleteFunc(extents, func(e chunk.Extent) bool { return e.Data == nil })
			}
			a.ended = true
			r.mu.Unlock()
			err := a.finishDisk(extents)
			r.mu.Lock()
			return err
		}
		r.cond.Wait()
	}
}

// announceAhead is how many chunks of an index are announced before the first of them is answered, so that the writer's cores have work while an
// answer is on its way. More would keep data waiting behind announcements.
const announceAhead = 256

// farAhead is how many chunks may be known to differ before their data was read from the image. With the sums of their pieces they take
// 4 MiB at most.
const farAhead = 2048

func (a *writerLine) isClosed() bool {
	select {
	case <-a.end:
		return true
	default:
		return false
	}
}

func (a *writerLine) announceChunks(batch []chunk.Chunk) error {
	for len(batch) > 0 {
		n := min(len(batch), protocol.MaxBatch)
		var b []byte
		for _, c := range batch[:n] {
			b = protocol.AppendChunk(b, c)
		}
		if err := a.w.Write(protocol.Announce, b); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// outsideImage is the extents without those zeros that lie inside an image of this length. The length of an image that comes as a stream was
// not known when the extents were chosen.
func outsideImage(extents []chunk.Extent, end, block int64) (all []chunk.Extent) {
	block = max(block, 512)
	end = (end + block - 1) / block * block
	for _, e := range extents {
		if by := end - e.Off; e.Data == nil && by > 0 {
			e.Off, e.Len = e.Off+by, e.Len-by
		}
		if e.Data != nil || e.Len > 0 {
			all = append(all, e)
		}
	}
	return all
}

func (a *writerLine) finishDisk(extents []chunk.Extent) error {
	for _, e := range extents {
		var err error
		if e.Data == nil {
			err = a.w.Write(protocol.Blank, protocol.AppendBlank(nil, e.Off, e.Len))
		} else {
			err = a.w.Write(protocol.Extent, protocol.Number(e.Off), e.Data)
		}
		if err != nil {
			return err
		}
	}
	return a.w.Write(protocol.Finish)
}

// poorRatio is the largest share of its length that a chunk may have compressed, to be sent compressed.
const poorRatio = 0.95

// chunkEncoder compresses chunks for all flashes: one encoder for each processor, which take megabytes each, and not for each sender of each device.
var chunkEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false)) // frame and chunk have sums of their own
})

// sendItems compresses and sends chunks.
func (a *writerLine) sendItems(items <-chan *ledgerItem) {
	encoder, err := chunkEncoder()
	if err != nil {
		a.endLine(err)
		return
	}
	p := parcel{w: a.w, encoder: encoder, run: a.flashRun, pace: a.pace}
	for {
		a.stream.turn.Lock()
		it, ok := <-items
		done, err := false, error(nil)
		if ok && !a.isClosed() && !a.cutOff.Load() {
			done, err = a.sendStreamed(it)
		}
		a.stream.turn.Unlock()
		switch {
		case !ok:
			return
		case a.isClosed() || a.cutOff.Load():
			continue
		case !done && err == nil:
			err = p.sendChunk(it)
		}
		if err == nil {
			a.stream.noteSent(a.flashRun.ctx, it, done, &p)
		}
		if err != nil {
			if !a.cutOff.Load() {
				a.endLine(err)
			}
			continue
		}
		a.flashRun.mu.Lock()
		it.sent = a.flashRun.sent.Load()
		a.flashRun.chunks.noteSent(it) // before the next chunk: Finish may follow
		a.flashRun.cond.Broadcast()
		a.flashRun.mu.Unlock()
	}
}

// parcel sends chunks one by one.
type parcel struct {
	w           *wire.Writer
	encoder     *zstd.Encoder
	run         *flashRun
	pace        *linePace
	packed, cut []byte // buffers for a compressed chunk, and for the pieces of one
	read        []byte // the data of the chunk, if it was read to be sent; then its memory is used again

	whole bool // the last chunk was sent whole
}

// dataOf is a chunk's data until the chunk was sent. An image that cannot be read ends the flash.
func (p *parcel) dataOf(it *ledgerItem) (data []byte, err error) {
	switch {
	case it.data != nil || it.c.Zero:
		return it.data, nil
	case p.read == nil:
		if p.read, err = p.run.Source.(Reader).Read(p.run.ctx, it.c.N); err != nil {
			return nil, p.run.imageFailed(err)
		}
	}
	return p.read, nil
}

// sendChunk sends a chunk, or those of its pieces that differ from what the device holds.
func (p *parcel) sendChunk(it *ledgerItem) error {
	defer func() {
		chunk.Free(p.read)
		p.read = nil
	}()
	plain, pieces, err := p.plainPieces(it)
	if err != nil {
		return err
	}
	encoding, b := protocol.Zstd, []byte(nil)
	if pieces == nil {
		if encoding, b, plain, err = p.compressedChunk(it); err != nil {
			return err
		}
	} else {
		p.packed = p.encoder.EncodeAll(plain, p.packed[:0])
		b = p.packed
	}
	if b == nil || pieces != nil && float64(len(b)) > poorRatio*float64(len(plain)) {
		encoding, b = protocol.Raw, plain
	}
	p.whole = pieces == nil
	return p.w.Write(protocol.Data, protocol.DataHead(it.c.N, encoding, pieces), b)
}

// plainPieces is those pieces of a chunk that differ from what the device holds, and which they are; nil where the chunk is to be sent whole.
func (p *parcel) plainPieces(it *ledgerItem) ([]byte, *chunk.Pieces, error) {
	if it.held == nil {
		return nil, nil, nil
	}
	data := it.data
	if p.run.Shared.pieceSums(it.c) == nil { // nobody has compressed it, and its data is needed whatever differs
		var err error
		if data, err = p.dataOf(it); err != nil {
			return nil, nil, err
		}
	}
	pieces, err := p.run.differingPieces(it, data)
	if err != nil || *pieces == (chunk.Pieces{}) || pieces.All(it.c.Len) { // none seems to differ where two pieces have the same short sum
		return nil, nil, err
	}
	if data, err = p.dataOf(it); err != nil {
		return nil, nil, err
	}
	p.cut = pieces.Cut(p.cut[:0], data)
	return p.cut, pieces, nil
}

// compressedChunk is the whole chunk, compressed by us or by another flash, and with what; b is nil where it does not compress, and then plain is its data.
func (p *parcel) compressedChunk(it *ledgerItem) (e protocol.Encoding, b, plain []byte, err error) {
	e, b = p.run.Shared.compressOnce(it.c, func() (protocol.Encoding, []byte) {
		if plain, err = p.dataOf(it); err != nil {
			return protocol.Raw, nil
		}
		e := p.pace.nextEncoding()
		began := time.Now()
		if e == protocol.S2 {
			p.packed = s2.Encode(p.packed[:cap(p.packed)], plain)
		} else {
			p.packed = p.encoder.EncodeAll(plain, p.packed[:0])
		}
		p.pace.noteCompressed(e, len(plain), len(p.packed), time.Since(began))
		if float64(len(p.packed)) > poorRatio*float64(len(plain)) {
			return protocol.Raw, nil
		}
		return e, p.packed
	})
	if b == nil && err == nil {
		plain, err = p.dataOf(it)
	}
	return e, b, plain, err
}

type countWriter struct {
	io.Writer
	n *atomic.Int64
}

func (c countWriter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n.Add(int64(n))
	return n, err
}
