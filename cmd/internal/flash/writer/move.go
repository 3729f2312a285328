package writer

import (
	"errors"
	"fmt"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/moved"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/meminfo"
)

// maxRoom bounds the memory for pieces that move, in bytes. A next build in which 650 MB have moved needs 3 MB at once.
const maxRoom = 32 << 20

// roomForPieces is an eighth of the memory that is free, at most maxRoom, in bytes; the other buffers take some 30 MB.
func roomForPieces() int64 {
	free, err := meminfo.Available("")
	if err != nil {
		free = freeMemory()
	}
	return min(maxRoom, free/8)
}

// scannedChunk is what the disk holds at a chunk, as of the scan.
type scannedChunk struct {
	sum  chunk.Sum
	len  int
	zero bool
}

// scanRange hands a range of the disk to the comparers.
func (s *clientSession) scanRange(payload []byte) error {
	r, err := protocol.ReadRange(payload)
	if err != nil {
		return err
	}
	for n := r.First; n < r.First+r.Count && chunkOffset(n) < s.disk.Size(); n++ {
		c := chunk.Chunk{N: n, Len: int(min(chunk.Size, s.disk.Size()-chunkOffset(n)))}
		if r.Probe {
			c.Len = min(c.Len, protocol.ProbeLen)
		}
		s.compare <- lookJob{chunks: []chunk.Chunk{c}, scan: true, keep: r.Keep}
	}
	return nil
}

// scanChunk tells the client what the disk holds at a chunk, and remembers it if announced chunks will be compared with it.
func (s *clientSession) scanChunk(c chunk.Chunk, keep bool, buf []byte) {
	b := buf[:c.Len]
	have, sums := scannedChunk{len: c.Len}, make([]byte, moved.SumLen) // of one that cannot be read: the sum of no chunk, and of no piece
	if _, err := s.disk.ReadAt(b, chunkOffset(c.N)); err != nil {
		if keep {
			s.noteUnread()
		}
	} else if have.zero = chunk.IsZero(b); have.zero {
		sums = nil
	} else {
		sums = moved.AppendSums(nil, b)
		if keep {
			have.sum = chunk.SumOf(b)
		}
	}
	if keep {
		s.mu.Lock()
		s.scanned[c.N] = have
		s.mu.Unlock()
	}
	s.w.Write(protocol.Scanned, protocol.AppendScanned(nil, c.N, sums))
}

// knownFromScan reports whether the disk holds an announced chunk, from the scan alone; it knows only where nothing was written since.
func (s *clientSession) knownFromScan(c chunk.Chunk) (same, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, ok := s.scanned[c.N]
	if !ok || have.len != c.Len {
		return false, false
	}
	return have.zero == c.Zero && (c.Zero || have.sum == c.Sum), true
}

// buildChunk makes a chunk of a recipe. The disk is read before anything that comes later is taken.
func (s *clientSession) buildChunk(payload []byte) error {
	p, err := protocol.ReadBuild(payload)
	if err != nil {
		return err
	}
	c, ok := s.takeAnnounced(p.N)
	if !ok || s.job.Check || c.N == 0 {
		return fmt.Errorf("%w: a recipe for chunk %d, which was not asked for", protocol.ErrProtocol, p.N)
	}
	recipe, sent, err := moved.ReadRecipe(p.Bytes, c.N, chunk.PieceCount(c.Len))
	if err != nil {
		return fmt.Errorf("%w: %w", protocol.ErrProtocol, err)
	}
	if p.Bytes = sent; len(sent) > 0 {
		if s.cut, err = s.sentPieces(p, recipe.Sends(c.Len)); err != nil {
			return err
		}
		sent = s.cut
	}
	out := s.takeBuffer()[:c.Len]
	differing, err := s.memory.Take(c.N, recipe, out, sent, func(b []byte, off int64) error {
		_, err := s.disk.ReadAt(b, off)
		return err
	})
	switch {
	case errors.Is(err, moved.ErrRecipe):
		return fmt.Errorf("%w: chunk %d: %w", protocol.ErrProtocol, c.N, err)
	case err != nil:
		return asFailure(protocol.KindDisk, fmt.Errorf("reading %s for chunk %d: %w", s.job.Disk, c.N, err))
	}
	return s.handBuilt(c.Chunk, out, differing, recipe)
}

// sentPieces is the pieces, of so many bytes, that came with a recipe. It uses the buffer for pieces.
func (s *clientSession) sentPieces(p protocol.Packet, n int) ([]byte, error) {
	if p.Encoding != protocol.Streamed {
		return decodedBytes(p, s.cut)
	}
	if cap(s.cut) < n {
		s.cut = make([]byte, n)
	}
	s.cut = s.cut[:n]
	return s.cut, s.stream.decodeNext(p, s.cut)
}

// handBuilt hands on a chunk that a recipe made, if it is the one that was announced. If not (sums of pieces are short), the chunk is asked for
// whole.
func (s *clientSession) handBuilt(c chunk.Chunk, out []byte, differing *chunk.Pieces, r moved.Recipe) error {
	if same := c.Zero && chunk.IsZero(out) || !c.Zero && chunk.SumOf(out) == c.Sum; !same {
		s.returnBuffer(out)
		if c.Zero {
			return asFailure(protocol.KindData, fmt.Errorf("chunk %d at byte %d is not zeros, as announced", c.N, chunkOffset(c.N)))
		}
		s.askWhole(c)
		return nil
	}
	s.mu.Lock()
	delete(s.scanned, c.N)
	s.account.Moved += int64(r.Count(moved.Copy)+r.Count(moved.Kept)+r.Count(moved.Last)) * chunk.PieceSize
	s.mu.Unlock()
	if c.Zero {
		s.returnBuffer(out)
		s.puts <- put1{n: c.N, len: c.Len}
		return nil
	}
	s.puts <- put1{c.N, out, c.Len, differing}
	return nil
}
