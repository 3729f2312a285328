package flash

import (
	"cmp"
	"fmt"
	"slices"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
)

// chunkWindow is how many chunks' data is held in memory at most, until the writer has it on the disk.
const chunkWindow = 48

// chunkStage is how far a chunk is on its way to the disk.
type chunkStage int

const (
	stageUncompared chunkStage = iota // only the index is known: whether the disk has the chunk is to be found out
	stageDiffers                      // the disk has something else in its place; its data was not read from the image yet
	stageAwaited                      // as stageDiffers, and the writer of this connection knows its sum: it takes the data as soon as it is read
	stageInHand                       // its data was read; the chunk was not announced on this connection
	stageAsked                        // the chunk was announced, and the writer has not answered
	stageWanted                       // the writer has answered that it needs the data
	stageGoing                        // the data is about to be sent
	stageGiven                        // the data was sent. A first chunk of zeros is given, too: it is written at the end
	stageBuilding                     // a recipe was sent, by which the writer makes the chunk of what the disk holds
	stageCount
)

// ledgerItem is a chunk that the disk is not known to have.
type ledgerItem struct {
	c    chunk.Chunk
	at   chunkStage
	data []byte // from stageInHand on; nil for zeros and where a recipe was sent
	held []byte // sums of the pieces that the disk has in the chunk's place; nil: the chunk is sent whole
	sent int64  // how many bytes of this flash were on the line when it was

	foretold bool // it is zeros, and the walk has not come to it
}

// ledger has, over all connections of a flash, what is known of each chunk and at which stage it is. A chunk is in it from the moment
// that the index or the image names it until it is on the disk. It has no lock and does no I/O: whoever uses it does both.
type ledger struct {
	chunks  map[int64]*ledgerItem
	pending map[int64]*ledgerItem // those of chunks that are at stageInHand or a later stage
	count   [stageCount]int
	whole   bool // the image was read to its proper end: no further chunk comes

	foretold int // how many of pending were foretold

	listed []chunk.Chunk // the chunks that this connection has to compare, in order
	asked  int           // how many of listed were announced
	unsaid int           // how many announced chunks the writer has not answered yet

	settled int64 // number of chunks that are on the disk
	bytes   int64 // their length together
}

func newLedger() *ledger {
	return &ledger{chunks: map[int64]*ledgerItem{}, pending: map[int64]*ledgerItem{}}
}

// enterItem takes in a chunk that the ledger does not have.
func (l *ledger) enterItem(it *ledgerItem) {
	l.chunks[it.c.N] = it
	l.count[it.at]++
	if it.at >= stageInHand {
		l.pending[it.c.N] = it
	}
	if it.foretold {
		l.foretold++
	}
}

// takeOutItem takes a chunk out.
func (l *ledger) takeOutItem(it *ledgerItem) {
	delete(l.chunks, it.c.N)
	delete(l.pending, it.c.N)
	l.count[it.at]--
	if it.foretold {
		l.foretold--
	}
}

// moveTo brings a chunk to another stage. Before stageInHand there is no data.
func (l *ledger) moveTo(it *ledgerItem, at chunkStage) {
	l.count[it.at]--
	l.count[at]++
	if it.at = at; at >= stageInHand {
		l.pending[it.c.N] = it
		return
	}
	delete(l.pending, it.c.N)
	chunk.Free(it.data)
	it.data = nil
}

// listIndex takes in an image's index, whose chunks are to be compared. The first chunk may be made anew for the disk (a partition table of
// another size), so its sum is not known yet: it is taken for one that differs.
func (l *ledger) listIndex(index []chunk.Chunk, fitted bool) {
	for _, c := range index {
		it := &ledgerItem{c: c}
		if c.N == 0 && fitted {
			it.at = stageDiffers
		}
		l.enterItem(it)
	}
	l.relistChunks()
}

// relistChunks makes the list of chunks that the connection has to compare anew.
func (l *ledger) relistChunks() {
	l.listed, l.asked, l.unsaid = nil, 0, 0
	for _, it := range l.chunks {
		if it.at == stageUncompared {
			l.listed = append(l.listed, it.c)
		}
	}
	slices.SortFunc(l.listed, func(a, b chunk.Chunk) int { return cmp.Compare(a.N, b.N) })
}

// beginConnection begins a connection, to a writer that knows nothing of what was announced to the one before.
func (l *ledger) beginConnection() {
	for _, it := range l.chunks {
		it.held = nil
		switch {
		case it.at == stageAwaited, it.at == stageBuilding:
			l.moveTo(it, stageDiffers)
		case it.at > stageInHand:
			l.moveTo(it, stageInHand)
		}
	}
	l.relistChunks()
}

// compareAgain has all chunks compared once more, so that the writer of this connection learns the sums of those that differ. The data that
// was read is dropped, so the image must be one that can be read again.
func (l *ledger) compareAgain(fitted bool) {
	for _, it := range l.chunks {
		if it.c.N == 0 && fitted {
			l.moveTo(it, stageDiffers)
		} else {
			l.moveTo(it, stageUncompared)
		}
	}
	l.relistChunks()
}

// nextToAnnounce is the next chunks to announce, at most so many.
func (l *ledger) nextToAnnounce(most int) []chunk.Chunk {
	next := l.listed[l.asked:min(l.asked+max(most, 0), len(l.listed))]
	l.asked += len(next)
	l.unsaid += len(next)
	return next
}

// readyToSend is what can go out now, in the order of the image: chunks to announce, and chunks whose data is to be sent. With ordered
// no data goes out before all earlier chunks have been answered, because the stream that it is sent in has the image's order.
func (l *ledger) readyToSend(ordered bool) (batch []chunk.Chunk, data []*ledgerItem) {
	var order []*ledgerItem
	for _, it := range l.pending {
		if it.at == stageInHand || it.at == stageAsked || it.at == stageWanted {
			order = append(order, it)
		}
	}
	slices.SortFunc(order, func(a, b *ledgerItem) int { return cmp.Compare(a.c.N, b.c.N) })
	waits := false
	for _, it := range order {
		switch {
		case it.at == stageInHand:
			l.moveTo(it, stageAsked)
			batch = append(batch, it.c)
			waits = ordered
		case it.at == stageAsked:
			waits = ordered
		case !waits:
			l.moveTo(it, stageGoing)
			data = append(data, it)
		}
	}
	if ordered && l.asked == 0 && l.chunks[0] != nil && l.chunks[0].at == stageDiffers { // all would wait for it; it is read in a moment, and answered first
		return batch, data
	}
	if l.unsaid <= announceAhead/2 && l.count[stageAwaited] < farAhead { // a few large frames, not one for each answer
		batch = append(batch, l.nextToAnnounce(announceAhead-l.unsaid)...)
	}
	return batch, data
}

// wantsData reports whether a chunk's data has to be read from the image, as far as is known now.
func (l *ledger) wantsData(n int64) (wants, known bool) {
	it := l.chunks[n]
	if it == nil {
		return false, true
	}
	return it.at == stageDiffers || it.at == stageAwaited, it.at != stageUncompared
}

// windowFull reports whether no more data is to be held.
func (l *ledger) windowFull() bool { return len(l.pending)-l.foretold >= chunkWindow }

// enterZeros takes in a chunk of zeros that the walk has not come to.
func (l *ledger) enterZeros(c chunk.Chunk) {
	l.enterItem(&ledgerItem{c: c, at: stageInHand, foretold: true})
}

// enterData takes in a chunk's data, nil for zeros, which was read from the image.
func (l *ledger) enterData(c chunk.Chunk, data []byte) {
	it := &ledgerItem{c: c, data: data, at: stageInHand}
	if old := l.chunks[c.N]; old != nil {
		if old.at == stageAwaited {
			it.at, it.held = stageWanted, old.held
		}
		l.takeOutItem(old)
	}
	l.enterItem(it)
}

// noteSent notes that a chunk's data is on the line.
func (l *ledger) noteSent(it *ledgerItem) {
	if l.chunks[it.c.N] == it && it.at == stageGoing { // it may have been answered by now
		l.moveTo(it, stageGiven)
	}
}

// noteRecipe notes that a recipe was sent for a chunk.
func (l *ledger) noteRecipe(n int64) {
	if it := l.chunks[n]; it != nil {
		it.held = nil
		l.moveTo(it, stageBuilding)
	}
}

// answerOutcome is what a chunk's answer comes to.
type answerOutcome int

const (
	onTheWay answerOutcome = iota // there is more to do
	isSame                        // the disk had it
	isZeroed                      // the disk was given zeros there
	isOther                       // the disk has something else, and only a comparison was asked for
)

// takeAnswer takes in the writer's answer on a chunk. held is the sums of the pieces that the disk has in its place, if they came with the
// answer. With check nothing is to be sent: the question was only whether chunk and disk are the same.
func (l *ledger) takeAnswer(p protocol.Reply, held []byte, check bool) (answerOutcome, chunk.Chunk, error) {
	it := l.chunks[p.N]
	needed := p.Answer == protocol.Needed
	switch {
	case it == nil:
		return 0, chunk.Chunk{}, unaskedError(p.N)
	case it.at == stageBuilding:
		return l.takeBuilt(p, it)
	case needed && it.at >= stageGoing && it.held != nil: // its pieces did not make it whole
		it.held = nil
		l.moveTo(it, stageWanted)
		return onTheWay, it.c, nil
	case it.at == stageUncompared && l.wasAnnounced(p.N):
		l.unsaid--
	case it.at != stageAsked:
		return 0, it.c, unaskedError(p.N)
	}
	switch {
	case needed && check:
		return l.endItem(it, isOther)
	case needed && it.at == stageUncompared:
		it.held = held
		l.moveTo(it, stageAwaited)
	case needed && it.c.Zero:
		return 0, it.c, fmt.Errorf("%w: data of a chunk of zeros is wanted", protocol.ErrProtocol)
	case needed:
		it.held = held
		l.moveTo(it, stageWanted)
	case p.Answer == protocol.Zeroed && !it.c.Zero:
		return 0, it.c, fmt.Errorf("%w: zeros in the place of chunk %d", protocol.ErrProtocol, p.N)
	case p.Answer == protocol.Zeroed && p.N == 0:
		l.moveTo(it, stageGiven)
	case p.Answer == protocol.Zeroed:
		return l.endItem(it, isZeroed)
	default:
		return l.endItem(it, isSame)
	}
	return onTheWay, it.c, nil
}

// takeBuilt takes in the writer's answer on a chunk that was sent as a recipe: either it is zeros, which are on the disk, or the recipe has
// not made the right chunk, and it is wanted whole.
func (l *ledger) takeBuilt(p protocol.Reply, it *ledgerItem) (answerOutcome, chunk.Chunk, error) {
	switch {
	case p.Answer == protocol.Zeroed && it.c.Zero:
		return l.endItem(it, isZeroed)
	case p.Answer == protocol.Needed && !it.c.Zero:
		l.moveTo(it, stageAwaited)
		return onTheWay, it.c, nil
	}
	return 0, it.c, fmt.Errorf("%w: answer %d for a recipe of chunk %d", protocol.ErrProtocol, p.Answer, p.N)
}

func unaskedError(n int64) error {
	return fmt.Errorf("%w: an answer for chunk %d, which was not asked about", protocol.ErrProtocol, n)
}

// wasAnnounced reports whether a listed chunk was announced on this connection.
func (l *ledger) wasAnnounced(n int64) bool { return l.asked > 0 && n <= l.listed[l.asked-1].N }

// takeVerified takes in the writer's answer that a chunk was written and read back.
func (l *ledger) takeVerified(n int64) (*ledgerItem, error) {
	it := l.chunks[n]
	if it == nil || it.at < stageGoing {
		return nil, fmt.Errorf("%w: chunk %d is verified, and was not sent", protocol.ErrProtocol, n)
	}
	l.settleItem(it)
	return it, nil
}

// devicesTurn reports whether there is nothing to send, though the data of next to as many chunks is held as may be: what is waited for is the line, or the
// device.
func (l *ledger) devicesTurn() bool {
	return l.count[stageWanted] == 0 && l.count[stageGoing] <= senderCount && len(l.pending)-l.foretold >= chunkWindow*3/4
}

func (l *ledger) endItem(it *ledgerItem, what answerOutcome) (answerOutcome, chunk.Chunk, error) {
	l.settleItem(it)
	return what, it.c, nil
}

// settleItem notes that a chunk is on the disk, and needs nothing more.
func (l *ledger) settleItem(it *ledgerItem) {
	l.takeOutItem(it)
	chunk.Free(it.data)
	it.data = nil
	l.settled++
	l.bytes += int64(it.c.Len)
}

// chunkLength is a chunk's length, 0 of one that is not known.
func (l *ledger) chunkLength(n int64) int {
	if it := l.chunks[n]; it != nil {
		return it.c.Len
	}
	return 0
}

// allOnDisk reports whether all is on the disk, but for the first chunk, which comes last.
func (l *ledger) allOnDisk() bool {
	first := l.chunks[0]
	return l.whole && (len(l.chunks) == 0 || len(l.chunks) == 1 && first != nil && first.at == stageGiven)
}

// endedShort reports whether the image ended before the data of a chunk that differs was read.
func (l *ledger) endedShort() bool {
	return l.whole && l.count[stageUncompared] == 0 && len(l.pending) == 0 && len(l.chunks) > 0
}
