package flash

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"time"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
)

func newBuffered(r io.Reader) io.Reader { return bufio.NewReaderSize(r, 64<<10) }

// listenUntilDone takes what the writer says until Done.
func (a *writerLine) listenUntilDone() error {
	for {
		kind, b, err := a.nextFrame()
		if err != nil {
			return err
		}
		if kind != protocol.Ping {
			a.stall.noteProgress()
		}
		switch kind {
		case protocol.Ping:
		case protocol.Answers:
			err = a.takeAnswers(b)
		case protocol.Held:
			err = a.takeHeld(b)
		case protocol.Scanned:
			err = a.takeScanned(b)
		case protocol.Verified:
			err = a.takeVerified(b)
		case protocol.DirectPort:
			err = a.takePort(b)
		case protocol.DirectUp:
			err = a.takeUp()
		case protocol.Done:
			return a.takeAccount(b)
		default:
			err = fmt.Errorf("%w: a frame of type %d", protocol.ErrProtocol, kind)
		}
		if err != nil {
			return err
		}
	}
}

func (a *writerLine) takeAnswers(b []byte) error {
	replies, err := protocol.Replies(b)
	if err != nil {
		return err
	}
	r := a.flashRun
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range replies {
		if err := a.takeReply(p, nil); err != nil {
			return err
		}
	}
	r.tellLocked()
	r.cond.Broadcast()
	return nil
}

// takeHeld is that a chunk is needed, with what the disk has in its place.
func (a *writerLine) takeHeld(b []byte) error {
	n, sums, err := protocol.ReadHeld(b)
	if err != nil {
		return err
	}
	r := a.flashRun
	r.mu.Lock()
	defer r.mu.Unlock()
	if n == 0 || len(sums) != chunk.PieceCount(r.chunks.chunkLength(n))*chunk.PieceSumLen {
		return fmt.Errorf("%w: %d bytes of sums for chunk %d", protocol.ErrProtocol, len(sums), n)
	}
	defer r.cond.Broadcast()
	held := slices.Clone(sums)
	if src, ok := r.Source.(Reader); ok && r.unlike && !src.KeepsAll() { // what would be found is not worth decoding the image once more
		held = nil
	}
	return a.takeReply(protocol.Reply{N: n, Answer: protocol.Needed}, held)
}

// takeReply takes one reply; held is what came with it. The caller holds mu.
func (a *writerLine) takeReply(p protocol.Reply, held []byte) error {
	r := a.flashRun
	what, c, err := r.chunks.takeAnswer(p, held, r.Check)
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

func (a *writerLine) takeVerified(b []byte) error {
	numbers, err := protocol.Numbers(b)
	if err != nil {
		return err
	}
	r := a.flashRun
	r.mu.Lock()
	defer r.mu.Unlock()
	full, arrived := r.chunks.devicesTurn(), int64(0)
	for _, n := range numbers {
		it, err := r.chunks.takeVerified(n)
		if err != nil {
			return err
		}
		arrived = max(arrived, it.sent)
		r.touched = true
		r.result.Written++
	}
	a.pace.noteArrived(time.Now(), arrived, full)
	r.tellLocked()
	r.cond.Broadcast()
	return nil
}

func (r *flashRun) tellLocked() {
	size, ok := r.Source.Size()
	if !ok {
		size = 0
	}
	r.Progress(Progress{Done: r.chunks.bytes, Total: size, Wire: r.sent.Load()})
}

// takeAccount is the end of a good flash.
func (a *writerLine) takeAccount(b []byte) error {
	account, err := protocol.ReadAccount(b)
	if err != nil {
		return err
	}
	r := a.flashRun
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
		r.chunks.settleItem(it)
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
