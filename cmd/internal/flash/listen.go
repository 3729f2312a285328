package flash

import (
	"bufio"
	"fmt"
	"io"
	"slices"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
)

func newBuffered(r io.Reader) io.Reader { return bufio.NewReaderSize(r, 64<<10) }

// listen takes what the writer says until Done.
func (a *line) listen() error {
	for {
		kind, b, err := a.next()
		if err != nil {
			return err
		}
		if kind != protocol.Ping {
			a.stall.got()
		}
		switch kind {
		case protocol.Ping:
		case protocol.Answers:
			err = a.answers(b)
		case protocol.Held:
			err = a.held(b)
		case protocol.Scanned:
			err = a.scanned(b)
		case protocol.Verified:
			err = a.verified(b)
		case protocol.Done:
			return a.account(b)
		default:
			err = fmt.Errorf("%w: a frame of type %d", protocol.ErrProtocol, kind)
		}
		if err != nil {
			return err
		}
	}
}

func (a *line) answers(b []byte) error {
	replies, err := protocol.Replies(b)
	if err != nil {
		return err
	}
	r := a.run
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range replies {
		if err := a.answer(p, nil); err != nil {
			return err
		}
	}
	r.tellLocked()
	r.cond.Broadcast()
	return nil
}

// held is that a chunk is needed, with what the disk has in its place.
func (a *line) held(b []byte) error {
	n, sums, err := protocol.ReadHeld(b)
	if err != nil {
		return err
	}
	r := a.run
	r.mu.Lock()
	defer r.mu.Unlock()
	length := r.unknown[n].Len
	if it := r.pending[n]; it != nil {
		length = it.c.Len
	}
	if n == 0 || len(sums) != chunk.PieceCount(length)*chunk.PieceSumLen {
		return fmt.Errorf("%w: %d bytes of sums for chunk %d", protocol.ErrProtocol, len(sums), n)
	}
	defer r.cond.Broadcast()
	return a.answer(protocol.Reply{N: n, Answer: protocol.Needed}, slices.Clone(sums))
}

// answer takes one reply; held is what came with it. The caller holds mu.
func (a *line) answer(p protocol.Reply, held []byte) error {
	r := a.run
	if c, ok := r.unknown[p.N]; ok {
		return a.compared(p, c, held)
	}
	it, ok := r.pending[p.N]
	if ok && it.built {
		return a.rebuilt(p, it)
	}
	if ok && it.at >= going && it.held != nil && p.Answer == protocol.Needed { // its pieces did not make it whole
		it.at, it.held = wanted, nil
		return nil
	}
	if !ok || it.at != asked {
		return fmt.Errorf("%w: an answer for chunk %d, which was not asked about", protocol.ErrProtocol, p.N)
	}
	switch {
	case p.Answer == protocol.Needed && r.Check:
		r.result.Differing = append(r.result.Differing, it.c)
		r.settle(p.N, it.c.Len)
	case p.Answer == protocol.Needed && it.c.Zero:
		return fmt.Errorf("%w: data of a chunk of zeros is wanted", protocol.ErrProtocol)
	case p.Answer == protocol.Needed:
		it.at, it.held = wanted, held
	case p.Answer == protocol.Zeroed && p.N == 0:
		it.at = given // it is zeroed at the end
	case p.Answer == protocol.Zeroed:
		r.touched = true
		r.result.Zeroed++
		r.settle(p.N, it.c.Len)
	default:
		r.result.Same++
		r.settle(p.N, it.c.Len)
	}
	return nil
}

// compared takes a reply for a chunk of the index.
func (a *line) compared(p protocol.Reply, c chunk.Chunk, held []byte) error {
	r := a.run
	if a.asked == 0 || p.N > a.all[a.asked-1].N {
		return fmt.Errorf("%w: an answer for chunk %d, which was not asked about yet", protocol.ErrProtocol, p.N)
	}
	delete(r.unknown, p.N)
	a.waiting--
	switch {
	case p.Answer == protocol.Needed && r.Check:
		r.result.Differing = append(r.result.Differing, c)
		r.settle(p.N, c.Len)
	case p.Answer == protocol.Needed:
		r.needed[p.N] = true
		r.direct[p.N] = held
	case p.Answer == protocol.Zeroed && p.N == 0:
		r.pending[0] = &item{c: c, at: given}
	case p.Answer == protocol.Zeroed:
		r.touched = true
		r.result.Zeroed++
		r.settle(p.N, c.Len)
	default:
		r.result.Same++
		r.settle(p.N, c.Len)
	}
	return nil
}

func (a *line) verified(b []byte) error {
	numbers, err := protocol.Numbers(b)
	if err != nil {
		return err
	}
	r := a.run
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range numbers {
		it, ok := r.pending[n]
		if !ok || it.at < going {
			return fmt.Errorf("%w: chunk %d is verified, and was not sent", protocol.ErrProtocol, n)
		}
		r.touched = true
		r.result.Written++
		r.settle(n, it.c.Len)
	}
	r.tellLocked()
	return nil
}

func (r *run) tellLocked() {
	size, ok := r.Source.Size()
	if !ok {
		size = 0
	}
	r.Progress(Progress{Done: r.bytes, Total: size, Wire: r.sent.Load()})
}

// account is the end of a good flash.
func (a *line) account(b []byte) error {
	var account protocol.Account
	if err := protocol.Unmarshal(b, &account); err != nil {
		return err
	}
	r := a.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if !a.ended {
		return fmt.Errorf("%w: done before the image's end", protocol.ErrProtocol)
	}
	if it, ok := r.pending[0]; ok {
		if it.c.Zero {
			r.result.Zeroed++
		} else {
			r.result.Written++
		}
		r.settle(0, it.c.Len)
	}
	if r.Check && account.Extents > 0 {
		for _, e := range slices.DeleteFunc(slices.Clone(r.extents), func(e chunk.Extent) bool { return e.Data == nil }) { // which of them does not matter: a table's backup is one thing
			r.result.Differing = append(r.result.Differing, chunk.Chunk{N: e.Off / chunk.Size, Len: len(e.Data)})
		}
	}
	r.result.Retried += account.Retried
	r.result.Moved += account.Moved
	r.result.Memory = max(r.result.Memory, account.Memory)
	r.result.Size = r.bytes
	r.finished = true
	return nil
}
