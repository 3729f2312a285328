package flash

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/moved"
	"groundhog/cmd/internal/flash/protocol"
)

// Reader is a Source whose chunks can be read in any order once the whole image was read. Before anything is sent of such an image, it is looked
// for what the disk holds of it in other places.
type Reader interface {
	// Known returns all chunks once they are known. Whether the image is as it should be is seen where Walk ends.
	Known(ctx context.Context) ([]chunk.Chunk, error)
	// Read is a chunk's data, nil for zeros. The caller may keep it. Read waits until the chunk is known; io.EOF says that the image ends before it.
	Read(ctx context.Context, n int64) ([]byte, error)
	// Peek is a chunk's data, at most so many bytes of it, which are not compared with its sum; zeros come as bytes. It is false where something would
	// have to be decoded first.
	Peek(n int64, most int) (data []byte, ok bool)
	// KeepsAll reports whether Peek has every chunk that is known. KeepAll sees to it, which may take decoding the image once more.
	KeepsAll() bool
	KeepAll() error
}

const (
	maxMoved     = 256 << 30 / chunk.Size     // chunks of the disk that are looked through, from its beginning on
	maxHeld      = 64 << 30 / chunk.PieceSize // pieces of the disk, zeros not counted: what is known of them takes 100 MB on this side
	maxPlanned   = 16 << 30 / chunk.Size      // chunks of one plan
	roomScanned  = 128                        // bytes that the device needs for a chunk of a scan
	diskSamples  = 20                         // chunks at the disk's beginning, and twice as many spread over it, whose beginnings are looked at first
	imageSamples = 16                         // chunks of the image that are looked for in those of the disk
	maxReach     = 4                          // how many times as far as the image goes the disk may have something of it
	leastFound   = 8                          // different pieces that have to be found for the whole disk to be looked through
	probeShare   = float64(protocol.ProbeLen) / chunk.Size

	scanAhead = 128 // chunks that the device is asked for before it has answered
	scanRange = 64  // chunks that are asked for in one frame
)

// diskScan is what a connection has learned of the disk.
type diskScan struct {
	table   *moved.Table
	asked   int64
	heard   int64
	scanned map[int64]bool
}

// takeScanned takes in what the device says of one chunk of its disk.
func (a *writerLine) takeScanned(b []byte) error {
	n, sums, err := protocol.ReadScanned(b)
	if err != nil {
		return err
	}
	a.flashRun.mu.Lock()
	defer a.flashRun.mu.Unlock()
	s := a.scan
	if s == nil || s.heard == s.asked || s.scanned[n] {
		return fmt.Errorf("%w: chunk %d of a scan that was not asked for", protocol.ErrProtocol, n)
	}
	s.heard++
	s.scanned[n] = true
	if len(sums) > 0 { // else it is zeros, which nobody needs to look for
		s.table.Add(n, slices.Clone(sums))
	}
	a.flashRun.cond.Broadcast()
	return nil
}

// askScan has the device scan a range of its disk. It returns once at most so many of the chunks that were asked for are unanswered.
func (a *writerLine) askScan(r protocol.Range, left int64) error {
	a.flashRun.mu.Lock()
	a.scan.asked += r.Count
	a.flashRun.mu.Unlock()
	if err := a.w.Write(protocol.Scan, protocol.AppendRange(nil, r)); err != nil {
		return err
	}
	return a.awaitDone(func() bool { return a.scan.asked-a.scan.heard <= left })
}

// awaitDone waits until done says so, or the line is closed. done is called with mu held.
func (a *writerLine) awaitDone(done func() bool) error {
	r := a.flashRun
	r.mu.Lock()
	defer r.mu.Unlock()
	for !done() {
		if a.isClosed() || r.ctx.Err() != nil {
			return io.ErrUnexpectedEOF
		}
		r.cond.Wait()
	}
	return nil
}

// moveChunks has the device make chunks of what its disk holds elsewhere, if the disk has enough of the image. All other chunks, and the first
// one in any case, are left to leadSending.
func (a *writerLine) moveChunks(ctx context.Context) error {
	r := a.flashRun
	src, ok := r.Source.(Reader)
	r.mu.Lock()
	disk, skip := r.disk, r.Check || r.feeding || r.Still
	r.mu.Unlock()
	if !ok || skip || disk.Room < chunk.PieceSize {
		return nil
	}
	size, known := r.Source.Size()
	if !known {
		size = disk.Size
	}
	total := lookedThrough(disk, size)
	if total < 2 {
		return nil
	}
	end, err := a.sampleDisk(ctx, src, total, reachOf(disk, size))
	if err != nil || end == 0 {
		r.mu.Lock()
		r.unlike = err == nil
		r.mu.Unlock()
		return err
	}
	var all []chunk.Chunk
	loaded := make(chan error, 1)
	go func() {
		var err error
		if all, err = src.Known(ctx); err == nil { // many of them are going to be read, in any order
			err = src.KeepAll()
		}
		loaded <- err
	}()
	if err := a.scanAll(total, end); err != nil {
		return err
	}
	select {
	case err := <-loaded:
		if err != nil {
			return a.imageFailed(err)
		}
	case <-a.end:
		return io.ErrUnexpectedEOF
	}
	if err := a.compareAll(all); err != nil {
		return err
	}
	return a.rebuildChunks(ctx)
}

// lookedThrough is how many chunks of a disk can be looked through for what an image of so many bytes has.
func lookedThrough(disk protocol.Disk, image int64) int64 {
	return min((min(disk.Size, image)+chunk.Size-1)/chunk.Size, maxMoved, disk.Room/roomScanned)
}

// reachOf is how many chunks of a disk are sampled for such an image: another build may have been larger, or have had its content elsewhere. Beyond what
// [lookedThrough] allows nothing is.
func reachOf(disk protocol.Disk, image int64) int64 {
	total, all := lookedThrough(disk, image), (disk.Size+chunk.Size-1)/chunk.Size
	if total*chunk.Size < image {
		return total
	}
	return min(all, maxReach*total, maxMoved)
}

// newScan begins to learn of the disk.
func (a *writerLine) newScan() {
	a.flashRun.mu.Lock()
	defer a.flashRun.mu.Unlock()
	a.scan = &diskScan{table: moved.NewTable(), scanned: map[int64]bool{}}
}

// sampleDisk looks at a few chunks of disk and image, and returns how many chunks of the disk, at least total, are worth to be looked through; 0: the
// disk holds nothing of the image. Where the whole image is somewhere on the disk, the share of pieces that is found is the share of the disk that was
// looked at. A build that was made anew has its content near where the last one had it, so the beginnings of both are looked at first, and then
// chunks spread over both.
func (a *writerLine) sampleDisk(ctx context.Context, src Reader, total, reach int64) (end int64, err error) {
	a.newScan()
	near, far := sampledChunks(total), farChunks(total, reach)
	all := slices.Concat(near, far)
	for _, n := range all {
		if err := a.askScan(protocol.Range{First: n, Count: 1, Probe: true}, 2*diskSamples); err != nil {
			return 0, err
		}
	}
	if err := a.awaitDone(func() bool { return a.scan.heard == a.scan.asked }); err != nil {
		return 0, err
	}
	chunks := 0
	found, looked, err := a.findImage(func(i int64) (sums []byte, err error) {
		if i == chunk.FirstSamples || chunks == imageSamples {
			return nil, io.EOF
		}
		n := i + 1 // the first chunk has a table in it, and goes its own way
		if sums, err = a.Shared.sample(n, func() ([]byte, error) { return src.Read(ctx, n) }); sums != nil {
			chunks++
		}
		return sums, err
	})
	worth := isWorth(found, looked, near, total)
	if err != nil || worth && len(far) == 0 {
		return total, err
	}
	count := min(total, 1024+total/8)
	found, looked, err = a.findImage(func(i int64) ([]byte, error) {
		if i == count {
			return nil, io.EOF
		}
		n := total * i / count
		sums, err := a.Shared.sample(n, func() ([]byte, error) {
			data, ok := src.Peek(n, chunk.SampleLen(chunk.FirstSamples+1))
			if !ok {
				return nil, errors.ErrUnsupported
			}
			return data, nil
		})
		if err != nil { // it is not there, or not yet: the others tell
			return nil, nil
		}
		return sums, nil
	})
	if end = worthUpTo(far, total, reach, found, probeShare*float64(looked)/float64(total)); err != nil || !worth && !isWorth(found, looked, all, end) {
		return 0, err
	}
	return end, nil
}

// sampledChunks is the numbers of the disk's chunks to look at as far as the image goes: some at its beginning, and more spread over it.
func sampledChunks(total int64) (all []int64) {
	spread := 2*diskSamples + total/256
	for i := range spread {
		all = append(all, i*total/spread)
	}
	for i := range min(diskSamples, total) {
		all = append(all, i)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// farChunks is those behind where the image ends.
func farChunks(total, reach int64) (all []int64) {
	count := min(reach-total, max(8, min(32, total/64)))
	for i := range count {
		all = append(all, total+(reach-total)*(2*i+1)/(2*count))
	}
	return all
}

// worthUpTo is how many chunks of the disk, at least total, to look through, by what was found in those far behind the image's end. A chunk that is found
// there saves about as much time as it takes to read four. each is how many pieces a probe there would have of those that were looked for, if the whole image were there.
func worthUpTo(far []int64, total, reach int64, found map[int64]int, each float64) int64 {
	end, value, best := total, 0.0, 0.0
	for i, n := range far {
		if value += 4*min(1, float64(found[n])/max(1, each)) - 1; value <= best {
			continue
		}
		if best, end = value, reach; i+1 < len(far) { // up to the next one, which has too little
			end = far[i+1]
		}
	}
	return end
}

// isWorth reports whether what was found of the pieces that were looked for in some chunks of the disk makes it worth to look through all of them up to end.
func isWorth(found map[int64]int, looked int, chunks []int64, end int64) bool {
	pieces, sampled := 0, 0
	for _, n := range chunks {
		if n < end {
			pieces, sampled = pieces+found[n], sampled+1
		}
	}
	return pieces >= leastFound && float64(pieces) >= probeShare*float64(sampled)/float64(end)*float64(looked)/10
}

// findImage looks for pieces of the image in what is known of the disk, and returns how many are in which chunk; next gives their sums, of one chunk after the
// other.
func (a *writerLine) findImage(next func(i int64) ([]byte, error)) (found map[int64]int, looked int, err error) {
	found = map[int64]int{}
	for i := int64(0); ; i++ {
		sums, err := next(i)
		if err == io.EOF {
			return found, looked, nil
		}
		if err != nil {
			return nil, 0, a.imageFailed(err)
		}
		looked += a.scan.table.Find(sums, found)
	}
}

// scanAll has the device scan the disk up to a chunk, or as far as there is memory for what it holds. It remembers what it has where the image goes, up to total.
func (a *writerLine) scanAll(total, end int64) error {
	a.newScan()
	for n := int64(0); n < end && !a.holdsEnough(); {
		ask := protocol.Range{First: n, Count: min(scanRange, end-n), Keep: n < total}
		if ask.Keep {
			ask.Count = min(scanRange, total-n)
		}
		if err := a.askScan(ask, scanAhead); err != nil {
			return err
		}
		n += ask.Count
	}
	r := a.flashRun
	err := a.awaitDone(func() bool { return a.scan.heard == a.scan.asked })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Looked, r.result.Every = min(a.scan.heard*chunk.Size, r.disk.Size), a.scan.table.Every()
	return err
}

// holdsEnough reports whether no more of the disk is to be scanned.
func (a *writerLine) holdsEnough() bool {
	a.flashRun.mu.Lock()
	defer a.flashRun.mu.Unlock()
	return a.scan.table.Pieces() >= maxHeld
}

// compareAll announces every chunk that is not known to be on the disk, and waits for all answers.
func (a *writerLine) compareAll(all []chunk.Chunk) error {
	r := a.flashRun
	r.mu.Lock()
	if !r.indexed {
		r.takeIndex(all)
	} else { // what differed on earlier connections is announced again: this writer does not know it
		r.chunks.compareAgain(r.Fit != nil)
	}
	r.mu.Unlock()
	for {
		r.mu.Lock()
		more := r.chunks.nextToAnnounce(announceAhead)
		r.announced = r.announced || len(more) > 0
		r.mu.Unlock()
		if err := a.announceChunks(more); err != nil {
			return err
		}
		if err := a.awaitDone(func() bool { return r.chunks.unsaid <= announceAhead/2 }); err != nil || len(more) == 0 {
			break
		}
	}
	return a.awaitDone(func() bool { return r.chunks.count[stageUncompared] == 0 })
}

// rebuildChunks sends a recipe for each chunk that differs, in the order of a plan, or of several one behind the other: a plan of all of a large disk
// would take too much memory. It returns when each is on the disk, or the device wants it whole; leadSending sends those.
func (a *writerLine) rebuildChunks(ctx context.Context) error {
	news, err := newRecipePacker(a.flashRun.disk.Window)
	if err != nil {
		return err
	}
	defer news.Close()
	for {
		plan, chunks, err := a.planMoves(ctx)
		if err != nil || plan == nil {
			return err
		}
		for _, step := range plan.Steps {
			if err := a.awaitDone(func() bool { return a.flashRun.chunks.count[stageBuilding] < chunkWindow }); err != nil {
				return err
			}
			if err := a.sendRecipe(ctx, chunks[step.N], step, news); err != nil {
				return err
			}
		}
		if err := a.awaitDone(func() bool { return a.flashRun.chunks.count[stageBuilding] == 0 }); err != nil {
			return err
		}
		for n := range chunks {
			a.scan.table.Forget(n)
			delete(a.scan.scanned, n)
		}
	}
}

// planMoves is how to make chunks that differ of what the scan found: as many as one plan takes, from the beginning of the image on, without its first chunk.
func (a *writerLine) planMoves(ctx context.Context) (*moved.Plan, map[int64]chunk.Chunk, error) {
	r, most := a.flashRun, cmp.Or(a.planned, maxPlanned)
	r.mu.Lock()
	chunks := map[int64]chunk.Chunk{}
	for _, c := range r.known {
		if wants, _ := r.chunks.wantsData(c.N); wants && c.N != 0 && a.scan.scanned[c.N] && len(chunks) < most {
			chunks[c.N] = c
		}
	}
	room := r.disk.Room
	r.mu.Unlock()
	numbers := slices.Sorted(maps.Keys(chunks))
	want := make([]moved.Wanted, len(numbers))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, n := range numbers {
		c := chunks[n]
		if c.Zero {
			want[i] = moved.ZerosOf(n, c.Len)
			continue
		}
		group.Go(func() error {
			err := io.ErrUnexpectedEOF // after a panic
			r.guardPanic(func() {
				var sums []byte
				if sums, err = r.pieceSums(ctx, c, nil); err == nil {
					want[i] = moved.WantedOf(n, sums, c.Len)
				}
			})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	if len(want) == 0 {
		return nil, nil, nil
	}
	return moved.New(a.scan.table, want, int(room/chunk.PieceSize)), chunks, nil
}

// sendRecipe sends one chunk's recipe, with the pieces that the disk has nowhere.
func (a *writerLine) sendRecipe(ctx context.Context, c chunk.Chunk, step moved.Step, news *recipePacker) error {
	var sent []byte
	if step.Recipe.Count(moved.Sent) > 0 {
		b, err := a.glimpseChunk(ctx, c) // the device holds the chunk that comes of it against its sum
		if err != nil {
			return a.imageFailed(err)
		}
		if b == nil {
			b = make([]byte, c.Len)
		}
		sent = step.Recipe.Cut(b)
		chunk.Free(b)
	}
	head, packed, err := news.packRecipe(c.N, sent)
	if err != nil {
		return err
	}
	r := a.flashRun
	r.mu.Lock()
	r.chunks.noteRecipe(c.N)
	r.mu.Unlock()
	return a.w.Write(protocol.Build, head, step.Recipe.Append(nil), packed)
}

// recipePacker packs the pieces that are sent with recipes. In a next build these are inodes, directories and parts of files, a few in each chunk:
// packed in one stream they take a fifth less than the pieces of each recipe by themselves.
type recipePacker struct {
	*zstd.Encoder
	stream bool         // else the device has no memory for a window
	begun  bool         // something was sent in the stream
	out    bytes.Buffer // of the stream, not sent yet
}

// newRecipePacker packs for a device with memory for a window of so many bytes.
func newRecipePacker(window int64) (n *recipePacker, err error) {
	n = &recipePacker{stream: window >= protocol.MaxWindow}
	n.Encoder, err = zstd.NewWriter(&n.out, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(protocol.MaxWindow))
	return n, err
}

// packRecipe is how the payload of chunk n's Build begins, and how it ends; what it returns is good until the next call.
func (n *recipePacker) packRecipe(number int64, sent []byte) (head, packed []byte, err error) {
	if len(sent) == 0 || !n.stream {
		if p := n.EncodeAll(sent, nil); len(sent) > 0 && float64(len(p)) <= poorRatio*float64(len(sent)) {
			return protocol.BuildHead(number, protocol.Zstd), p, nil
		}
		return protocol.BuildHead(number, protocol.Raw), sent, nil
	}
	n.out.Reset()
	if _, err = n.Write(sent); err == nil {
		err = n.Flush()
	}
	head = protocol.StreamHead(number, protocol.Stream{Begins: !n.begun})
	n.begun = true
	return head, n.out.Bytes(), err
}
