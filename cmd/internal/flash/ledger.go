package flash

import (
	"cmp"
	"fmt"
	"slices"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
)

// window is how many chunks' data is held in memory at most, until the writer has it on the disk.
const window = 48

// stage is how far a chunk is on its way to the disk.
type stage int

const (
	uncompared stage = iota // only the index is known: whether the disk has the chunk is to be found out
	differs                 // the disk has something else in its place; its data was not read from the image yet
	awaited                 // as differs, and the writer of this connection knows its sum: it takes the data as soon as it is read
	inHand                  // its data was read; the chunk was not announced on this connection
	asked                   // the chunk was announced, and the writer has not answered
	wanted                  // the writer has answered that it needs the data
	going                   // the data is about to be sent
	given                   // the data was sent. A first chunk of zeros is given, too: it is written at the end
	building                // a recipe was sent, by which the writer makes the chunk of what the disk holds
	stages
)

// item is a chunk that the disk is not known to have.
type item struct {
	c    chunk.Chunk
	at   stage
	data []byte // from the stage inHand on; nil for zeros and where a recipe was sent
	held []byte // sums of the pieces that the disk has in the chunk's place; nil: the chunk is sent whole
}

// ledger has, over all connections of a flash, what is known of each chunk and at which stage it is. A chunk is in it from the moment
// that the index or the image names it until it is on the disk. It has no lock and does no I/O: whoever uses it does both.
type ledger struct {
	chunks  map[int64]*item
	pending map[int64]*item // those of chunks that are at inHand or a later stage
	count   [stages]int
	whole   bool // the image was read to its proper end: no further chunk comes

	listed []chunk.Chunk // the chunks that this connection has to compare, in order
	asked  int           // how many of listed were announced
	unsaid int           // how many announced chunks the writer has not answered yet

	settled int64 // number of chunks that are on the disk
	bytes   int64 // their length together
}

func newLedger() *ledger {
	return &ledger{chunks: map[int64]*item{}, pending: map[int64]*item{}}
}

// enter takes in a chunk that the ledger does not have.
func (l *ledger) enter(it *item) {
	l.chunks[it.c.N] = it
	l.count[it.at]++
	if it.at >= inHand {
		l.pending[it.c.N] = it
	}
}

// take takes a chunk out.
func (l *ledger) take(it *item) {
	delete(l.chunks, it.c.N)
	delete(l.pending, it.c.N)
	l.count[it.at]--
}

// moveTo brings a chunk to another stage. Before inHand there is no data.
func (l *ledger) moveTo(it *item, at stage) {
	l.count[it.at]--
	l.count[at]++
	if it.at = at; at >= inHand {
		l.pending[it.c.N] = it
		return
	}
	delete(l.pending, it.c.N)
	chunk.Free(it.data)
	it.data = nil
}

// list takes in an image's index, whose chunks are to be compared. The first chunk may be made anew for the disk (a partition table of
// another size), so its sum is not known yet: it is taken for one that differs.
func (l *ledger) list(index []chunk.Chunk, fitted bool) {
	for _, c := range index {
		it := &item{c: c}
		if c.N == 0 && fitted {
			it.at = differs
		}
		l.enter(it)
	}
	l.relist()
}

// relist makes the list of chunks that the connection has to compare anew.
func (l *ledger) relist() {
	l.listed, l.asked, l.unsaid = nil, 0, 0
	for _, it := range l.chunks {
		if it.at == uncompared {
			l.listed = append(l.listed, it.c)
		}
	}
	slices.SortFunc(l.listed, func(a, b chunk.Chunk) int { return cmp.Compare(a.N, b.N) })
}

// connect begins a connection, to a writer that knows nothing of what was announced to the one before.
func (l *ledger) connect() {
	for _, it := range l.chunks {
		it.held = nil
		switch {
		case it.at == awaited, it.at == building:
			l.moveTo(it, differs)
		case it.at > inHand:
			l.moveTo(it, inHand)
		}
	}
	l.relist()
}

// again has all chunks compared once more, so that the writer of this connection learns the sums of those that differ. The data that
// was read is dropped, so the image must be one that can be read again.
func (l *ledger) again(fitted bool) {
	for _, it := range l.chunks {
		if it.c.N == 0 && fitted {
			l.moveTo(it, differs)
		} else {
			l.moveTo(it, uncompared)
		}
	}
	l.relist()
}

// ask is the next chunks to announce, at most so many.
func (l *ledger) ask(most int) []chunk.Chunk {
	next := l.listed[l.asked:min(l.asked+max(most, 0), len(l.listed))]
	l.asked += len(next)
	l.unsaid += len(next)
	return next
}

// ready is what can go out now, in the order of the image: chunks to announce, and chunks whose data is to be sent. With ordered
// no data goes out before all earlier chunks have been answered, because the stream that it is sent in has the image's order.
func (l *ledger) ready(ordered bool) (batch []chunk.Chunk, data []*item) {
	var order []*item
	for _, it := range l.pending {
		if it.at == inHand || it.at == asked || it.at == wanted {
			order = append(order, it)
		}
	}
	slices.SortFunc(order, func(a, b *item) int { return cmp.Compare(a.c.N, b.c.N) })
	waits := false
	for _, it := range order {
		switch {
		case it.at == inHand:
			l.moveTo(it, asked)
			batch = append(batch, it.c)
			waits = ordered
		case it.at == asked:
			waits = ordered
		case !waits:
			l.moveTo(it, going)
			data = append(data, it)
		}
	}
	if l.unsaid <= ahead/2 && l.count[awaited] < farAhead { // a few large frames, not one for each answer
		batch = append(batch, l.ask(ahead-l.unsaid)...)
	}
	return batch, data
}

// wants reports whether a chunk's data has to be read from the image, as far as is known now.
func (l *ledger) wants(n int64) (wants, known bool) {
	it := l.chunks[n]
	if it == nil {
		return false, true
	}
	return it.at == differs || it.at == awaited, it.at != uncompared
}

// full reports whether no more data is to be held.
func (l *ledger) full() bool { return len(l.pending) >= window }

// read takes in a chunk's data, nil for zeros, which was read from the image.
func (l *ledger) read(c chunk.Chunk, data []byte) {
	it := &item{c: c, data: data, at: inHand}
	if old := l.chunks[c.N]; old != nil {
		if old.at == awaited {
			it.at, it.held = wanted, old.held
		}
		l.take(old)
	}
	l.enter(it)
}

// sent notes that a chunk's data is on the line.
func (l *ledger) sent(it *item) {
	if l.chunks[it.c.N] == it && it.at == going { // it may have been answered by now
		l.moveTo(it, given)
	}
}

// build notes that a recipe was sent for a chunk.
func (l *ledger) build(n int64) {
	if it := l.chunks[n]; it != nil {
		it.held = nil
		l.moveTo(it, building)
	}
}

// outcome is what a chunk's answer comes to.
type outcome int

const (
	onTheWay outcome = iota // there is more to do
	isSame                  // the disk had it
	isZeroed                // the disk was given zeros there
	isOther                 // the disk has something else, and only a comparison was asked for
)

// answer takes in the writer's answer on a chunk. held is the sums of the pieces that the disk has in its place, if they came with the
// answer. With check nothing is to be sent: the question was only whether chunk and disk are the same.
func (l *ledger) answer(p protocol.Reply, held []byte, check bool) (outcome, chunk.Chunk, error) {
	it := l.chunks[p.N]
	needed := p.Answer == protocol.Needed
	switch {
	case it == nil:
		return 0, chunk.Chunk{}, unasked(p.N)
	case it.at == building:
		return l.built(p, it)
	case needed && it.at >= going && it.held != nil: // its pieces did not make it whole
		it.held = nil
		l.moveTo(it, wanted)
		return onTheWay, it.c, nil
	case it.at == uncompared && l.announced(p.N):
		l.unsaid--
	case it.at != asked:
		return 0, it.c, unasked(p.N)
	}
	switch {
	case needed && check:
		return l.end(it, isOther)
	case needed && it.at == uncompared:
		it.held = held
		l.moveTo(it, awaited)
	case needed && it.c.Zero:
		return 0, it.c, fmt.Errorf("%w: data of a chunk of zeros is wanted", protocol.ErrProtocol)
	case needed:
		it.held = held
		l.moveTo(it, wanted)
	case p.Answer == protocol.Zeroed && p.N == 0:
		l.moveTo(it, given)
	case p.Answer == protocol.Zeroed:
		return l.end(it, isZeroed)
	default:
		return l.end(it, isSame)
	}
	return onTheWay, it.c, nil
}

// built takes in the writer's answer on a chunk that was sent as a recipe: either it is zeros, which are on the disk, or the recipe has
// not made the right chunk, and it is wanted whole.
func (l *ledger) built(p protocol.Reply, it *item) (outcome, chunk.Chunk, error) {
	switch {
	case p.Answer == protocol.Zeroed && it.c.Zero:
		return l.end(it, isZeroed)
	case p.Answer == protocol.Needed && !it.c.Zero:
		l.moveTo(it, awaited)
		return onTheWay, it.c, nil
	}
	return 0, it.c, fmt.Errorf("%w: answer %d for a recipe of chunk %d", protocol.ErrProtocol, p.Answer, p.N)
}

func unasked(n int64) error {
	return fmt.Errorf("%w: an answer for chunk %d, which was not asked about", protocol.ErrProtocol, n)
}

// announced reports whether a listed chunk was announced on this connection.
func (l *ledger) announced(n int64) bool { return l.asked > 0 && n <= l.listed[l.asked-1].N }

// verified takes in the writer's answer that a chunk was written and read back.
func (l *ledger) verified(n int64) error {
	it := l.chunks[n]
	if it == nil || it.at < going {
		return fmt.Errorf("%w: chunk %d is verified, and was not sent", protocol.ErrProtocol, n)
	}
	l.settle(it)
	return nil
}

func (l *ledger) end(it *item, what outcome) (outcome, chunk.Chunk, error) {
	l.settle(it)
	return what, it.c, nil
}

// settle notes that a chunk is on the disk, and needs nothing more.
func (l *ledger) settle(it *item) {
	l.take(it)
	chunk.Free(it.data)
	it.data = nil
	l.settled++
	l.bytes += int64(it.c.Len)
}

// length is a chunk's length, 0 of one that is not known.
func (l *ledger) length(n int64) int {
	if it := l.chunks[n]; it != nil {
		return it.c.Len
	}
	return 0
}

// over reports whether all is on the disk, but for the first chunk, which comes last.
func (l *ledger) over() bool {
	first := l.chunks[0]
	return l.whole && (len(l.chunks) == 0 || len(l.chunks) == 1 && first != nil && first.at == given)
}

// short reports whether the image ended before the data of a chunk that differs was read.
func (l *ledger) short() bool {
	return l.whole && l.count[uncompared] == 0 && len(l.pending) == 0 && len(l.chunks) > 0
}
