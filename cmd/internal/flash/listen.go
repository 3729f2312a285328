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
	if n == 0 || len(sums) != chunk.PieceCount(r.chunks.length(n))*chunk.PieceSumLen {
		return fmt.Errorf("%w: %d bytes of sums for chunk %d", protocol.ErrProtocol, len(sums), n)
	}
	defer r.cond.Broadcast()
	return a.answer(protocol.Reply{N: n, Answer: protocol.Needed}, slices.Clone(sums))
}

// answer takes one reply; held is what came with it. The caller holds mu.
func (a *line) answer(p protocol.Reply, held []byte) error {
	r := a.run
	what, c, err := r.chunks.answer(p, held, r.Check)
	switch what {
	case isSame:
		r.result.Same++
	case isZeroed:
		r.touched = true
		r.result.Zeroed++
	case isOther:
		r.result.Differing = append(r.result.Differing, c)
	}
	return err
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
		if err := r.chunks.verified(n); err != nil {
			return err
		}
		r.touched = true
		r.result.Written++
	}
	r.tellLocked()
	r.cond.Broadcast()
	return nil
}

func (r *run) tellLocked() {
	size, ok := r.Source.Size()
	if !ok {
		size = 0
	}
	r.Progress(Progress{Done: r.chunks.bytes, Total: size, Wire: r.sent.Load()})
}

// account is the end of a good flash.
func (a *line) account(b []byte) error {
	account, err := protocol.ReadAccount(b)
	if err != nil {
		return err
	}
	r := a.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if !a.ended {
		return fmt.Errorf("%w: done before the image's end", protocol.ErrProtocol)
	}
	if it := r.chunks.chunks[0]; it != nil {
		if it.c.Zero {
			r.result.Zeroed++
		} else {
			r.result.Written++
		}
		r.chunks.settle(it)
	}
	if r.Check && account.Extents > 0 {
		for _, e := range slices.DeleteFunc(slices.Clone(r.extents), func(e chunk.Extent) bool { return e.Data == nil }) { // which of them does not matter: a table's backup is one thing
			r.result.Differing = append(r.result.Differing, chunk.Chunk{N: e.Off / chunk.Size, Len: len(e.Data)})
		}
	}
	r.result.Retried += account.Retried
	r.result.Moved += account.Moved
	r.result.Memory = max(r.result.Memory, account.Memory)
	r.result.Size = r.chunks.bytes
	r.finished = true
	return nil
}
