package flash

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/fixtures/judge"
)

// trial is a flash without lines, disks and images: a ledger, a writer that is a few sets, and chance.
type trial struct {
	*rand.Rand
	l       *ledger
	image   []chunk.Chunk
	indexed bool
	fitted  bool
	moves   bool // recipes may be sent before the image is walked through
	check   bool

	next    int // of the image's walk; nothing was read before the first step of it
	walking bool

	// of the writer
	has       []bool // what the disk has
	announced map[int64]bool
	inbox     []func() error // what it has not done yet, in any order
	outbox    []*ledgerItem  // what the senders have
	connects  int
	new       bool // nothing was done on this connection
}

func newTrial(seed uint64) *trial {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &trial{Rand: r, l: newLedger(), indexed: r.IntN(3) > 0, fitted: r.IntN(4) == 0, check: r.IntN(6) == 0}
	s.moves = s.indexed && !s.check && r.IntN(2) == 0
	s.has = make([]bool, 1+r.IntN(3*chunkWindow))
	alike := r.Float64()
	for n := range s.has {
		s.has[n] = r.Float64() < alike
		s.image = append(s.image, chunk.Chunk{N: int64(n), Len: 1 + r.IntN(chunk.Size), Zero: r.IntN(4) == 0})
	}
	if s.fitted { // it is made for this disk
		s.has[0], s.image[0].Zero = false, false
	}
	return s
}

// connect is a connection to a new writer; what was on its way to the old one is lost, and what that one wrote is on the disk.
func (s *trial) connect() {
	s.announced, s.inbox, s.outbox = map[int64]bool{}, nil, nil
	s.connects++
	s.new = true
	s.l.beginConnection()
	if s.indexed && s.connects == 1 {
		s.l.listIndex(s.image, s.fitted)
	}
}

func (s *trial) announce(batch []chunk.Chunk) error {
	for _, c := range batch {
		if s.announced[c.N] {
			return fmt.Errorf("chunk %d is announced twice to one writer", c.N)
		}
		s.announced[c.N] = true
		s.inbox = append(s.inbox, func() error { return s.compare(c) })
	}
	return nil
}

// compare is the writer's answer to what was announced.
func (s *trial) compare(c chunk.Chunk) error {
	reply := protocol.Reply{N: c.N, Answer: protocol.Needed}
	var held []byte
	switch {
	case s.has[c.N]:
		reply.Answer = protocol.Same
	case s.check:
	case c.Zero:
		reply.Answer = protocol.Zeroed
		s.has[c.N] = c.N != 0
	case s.IntN(2) == 0 && c.N != 0:
		held = []byte{1}
	}
	_, _, err := s.l.takeAnswer(reply, held, s.check)
	return err
}

// write is the writer's answer to data; what was cut into pieces may not come out whole.
func (s *trial) write(it *ledgerItem, pieces bool) error {
	switch n := it.c.N; {
	case !s.announced[n]:
		return fmt.Errorf("data of chunk %d, which this writer does not know", n)
	case n == 0: // at the end
		return nil
	case pieces && s.IntN(3) == 0:
		_, _, err := s.l.takeAnswer(protocol.Reply{N: n, Answer: protocol.Needed}, nil, false)
		return err
	default:
		s.has[n] = true
		_, err := s.l.takeVerified(n)
		return err
	}
}

// rebuild is the writer's answer to a recipe.
func (s *trial) rebuild(c chunk.Chunk) error {
	switch {
	case c.Zero:
		s.has[c.N] = true
		_, _, err := s.l.takeAnswer(protocol.Reply{N: c.N, Answer: protocol.Zeroed}, nil, false)
		return err
	case s.IntN(3) == 0:
		_, _, err := s.l.takeAnswer(protocol.Reply{N: c.N, Answer: protocol.Needed}, nil, false)
		return err
	default:
		s.has[c.N] = true
		_, err := s.l.takeVerified(c.N)
		return err
	}
}

// move has all compared and sends recipes for what differs, as far as this connection lasts.
func (s *trial) move(cut func() bool) error {
	s.l.compareAgain(s.fitted)
	for more := s.l.nextToAnnounce(announceAhead); len(more) > 0; more = s.l.nextToAnnounce(announceAhead) {
		if err := s.announce(more); err != nil {
			return err
		}
	}
	for len(s.inbox) > 0 && !cut() {
		if err := s.deliver(); err != nil {
			return err
		}
	}
	for _, c := range s.image {
		if wants, known := s.l.wantsData(c.N); wants && known && c.N != 0 && s.announced[c.N] && !cut() {
			s.l.noteRecipe(c.N)
			s.inbox = append(s.inbox, func() error { return s.rebuild(c) })
		}
	}
	for len(s.inbox) > 0 && !cut() {
		if err := s.deliver(); err != nil {
			return err
		}
	}
	return nil
}

// deliver has the writer do one thing of what it has.
func (s *trial) deliver() error {
	i := s.IntN(len(s.inbox))
	do := s.inbox[i]
	s.inbox = slices.Delete(s.inbox, i, i+1)
	return do()
}

// walk is a step of the image's walk, if there is room and it is known whether it is needed.
func (s *trial) walk() {
	if s.l.windowFull() || s.l.whole {
		return
	}
	s.walking = true
	if s.next == len(s.image) {
		s.l.whole = true
		return
	}
	c := s.image[s.next]
	if s.indexed {
		wants, known := s.l.wantsData(c.N)
		if !known {
			return
		}
		if s.next++; !wants {
			return
		}
	} else {
		s.next++
	}
	var data []byte
	if !c.Zero {
		data = make([]byte, c.Len)
	}
	s.l.enterData(c, data)
}

// step is something that happens.
func (s *trial) step() error {
	switch s.IntN(4) {
	case 0:
		s.walk()
	case 1:
		batch, data := s.l.readyToSend(s.IntN(2) == 0)
		s.outbox = append(s.outbox, data...)
		return s.announce(batch)
	case 2:
		if len(s.outbox) > 0 {
			i := s.IntN(len(s.outbox))
			it, pieces := s.outbox[i], s.outbox[i].held != nil
			s.outbox = slices.Delete(s.outbox, i, i+1)
			if it.data == nil {
				return fmt.Errorf("chunk %d is sent, and nobody has its data", it.c.N)
			}
			s.inbox = append(s.inbox, func() error { return s.write(it, pieces) })
			if s.IntN(2) == 0 { // the answer may be here before we have noted that it is sent
				s.inbox = append(s.inbox, func() error { s.l.noteSent(it); return nil })
			} else {
				s.l.noteSent(it)
			}
		}
	default:
		if len(s.inbox) > 0 {
			return s.deliver()
		}
	}
	return nil
}

// sound reports what cannot be.
func (s *trial) sound() error {
	var count [stageCount]int
	for n, it := range s.l.chunks {
		count[it.at]++
		if _, ok := s.l.pending[n]; ok != (it.at >= stageInHand) || it.at < stageInHand && it.data != nil {
			return fmt.Errorf("chunk %d, at stage %d, is pending: %v, with data: %v", n, it.at, ok, it.data != nil)
		}
		if s.has[n] && it.at > stageUncompared && it.at < stageInHand && s.connects == 1 {
			return fmt.Errorf("chunk %d is on the disk, and at stage %d", n, it.at)
		}
	}
	if count != s.l.count {
		return fmt.Errorf("stages %v, counted as %v", count, s.l.count)
	}
	if len(s.l.pending) > chunkWindow && s.walking {
		return fmt.Errorf("%d chunks in hand", len(s.l.pending))
	}
	settled := int64(len(s.image) - len(s.l.chunks))
	if !s.indexed {
		settled = int64(s.next - len(s.l.chunks))
	}
	if s.l.settled != settled {
		return fmt.Errorf("%d chunks settled, %d counted", settled, s.l.settled)
	}
	if s.l.endedShort() {
		return fmt.Errorf("the image's end came, and there is %v", s.l.count)
	}
	return nil
}

func (s *trial) run() error {
	s.connect()
	for steps := 0; ; steps++ {
		if steps > 100_000 {
			return fmt.Errorf("no end; stages %v", s.l.count)
		}
		if s.new && s.moves && !s.walking && s.IntN(3) > 0 {
			if err := s.move(func() bool { return s.IntN(200) == 0 }); err != nil {
				return err
			}
			if len(s.inbox) > 0 { // the connection was lost in it
				s.connect()
				continue
			}
		}
		s.new = false
		if s.IntN(2000) == 0 {
			s.connect()
			continue
		}
		if err := s.step(); err != nil {
			return err
		}
		if err := s.sound(); err != nil {
			return err
		}
		if s.l.allOnDisk() && len(s.outbox) == 0 {
			return nil
		}
	}
}

// Whatever the order of what happens, the writer of each connection is told of a chunk once and sent no data that it did not ask
// for; what counts as settled is on the disk; and all is settled at the end, but for the first chunk, which comes last.
func TestLedger(t *testing.T) {
	for seed := range uint64(judge.Times(200, 3000)) {
		s := newTrial(seed)
		if err := s.run(); err != nil {
			t.Fatalf("seed %d, %d chunks, indexed %v, fitted %v, moves %v, check %v, connection %d: %v",
				seed, len(s.image), s.indexed, s.fitted, s.moves, s.check, s.connects, err)
		}
		for n, has := range s.has {
			if first := s.l.chunks[0]; n == 0 && first != nil && first.at == stageGiven {
				continue
			}
			if !has && !s.check {
				t.Fatalf("seed %d: chunk %d is settled, and not on the disk", seed, n)
			}
		}
	}
}
