package writer

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
)

// maxPending is how many chunks wait for the disk at most, and flushBatch is how many are flushed together. Chunks have 1 MiB, so both bound the
// writer's memory: the pending chunks, one batch, and one chunk for each core that compares.
const (
	maxPending = 12
	flushBatch = 8
)

// maxAnnounced is how many announced chunks wait to be compared; no more frames are read while there are as many. chunksAtOnce is how many of them
// a core takes at once: few, so that all cores have work and answers come early.
const (
	maxAnnounced = 1024
	chunksAtOnce = 4
)

// announceChunks hands chunks to the comparers.
func (s *clientSession) announceChunks(payload []byte) error {
	all, err := protocol.Chunks(payload)
	if err != nil {
		return err
	}
	for _, c := range all {
		if chunkOffset(c.N)+int64(c.Len) > s.disk.Size() {
			return asFailure(protocol.KindRefused, fmt.Errorf("the image is larger than the disk: a chunk ends at %d of %d bytes", chunkOffset(c.N)+int64(c.Len), s.disk.Size()))
		}
	}
	s.mu.Lock()
	s.open += int64(len(all))
	for _, c := range all {
		s.highest = max(s.highest, c.N)
	}
	s.mu.Unlock()
	for len(all) > 0 {
		n := min(len(all), chunksAtOnce)
		s.compare <- lookJob{chunks: all[:n:n]}
		all = all[n:]
	}
	return nil
}

// lookJob is work for a comparer: announced chunks to compare with the disk, or a range of the disk to scan.
type lookJob struct {
	chunks     []chunk.Chunk
	scan, keep bool
}

// compareChunks holds announced chunks against the disk. The disk is read from the medium.
func (s *clientSession) compareChunks() {
	defer s.lookers.Done()
	buf := alignedBuffer(chunk.Size + bufferAlign)
	var replies, sums []byte
	flush := func() {
		if len(replies) > 0 {
			s.w.Write(protocol.Answers, replies)
			replies = replies[:0]
		}
	}
	for todo := range s.compare {
		if s.over.Load() {
			continue
		}
		for _, c := range todo.chunks {
			if todo.scan {
				s.scanChunk(c, todo.keep, buf)
				continue
			}
			if s.blind.mayWait() {
				flush()
			}
			a, looked, err := s.lookAtChunk(c, buf)
			if err != nil {
				s.keepError(asFailure(protocol.KindDisk, fmt.Errorf("reading %s at %d: %w", s.job.Disk, chunkOffset(c.N), err)))
				for range s.compare { // who fills the channel must not wait for this comparer
				}
				return
			}
			if a == 0 {
				continue // the chunk is being zeroed, and answered then
			}
			if a == protocol.Needed && looked && c.N != 0 && !s.job.Check {
				sums = protocol.AppendHeld(sums[:0], c.N, nil)
				s.w.Write(protocol.Held, chunk.AppendPieceSums(sums, buf[:c.Len]))
				continue
			}
			replies = protocol.AppendReply(replies, protocol.Reply{N: c.N, Answer: a})
		}
		flush()
	}
}

// lookAtChunk compares one chunk with the disk; 0 is no answer yet. If the disk was read for that, buf has what it holds.
func (s *clientSession) lookAtChunk(c chunk.Chunk, buf []byte) (_ protocol.Answer, looked bool, _ error) {
	same := false
	known, ok := s.knownFromScan(c)
	if ok {
		same = known
	} else if looked = c.Zero || s.job.Check || !s.blind.skipLook(); looked {
		b := buf[:c.Len]
		if _, err := s.disk.ReadAt(b, chunkOffset(c.N)); err != nil {
			if s.job.Check {
				return 0, true, err
			}
			s.noteUnread()
			looked = false
		} else if c.Zero {
			same = chunk.IsZero(b)
		} else {
			same = chunk.SumOf(b) == c.Sum
			s.blind.noteLook(same)
		}
	}
	if !same && c.Zero && c.N != 0 && !s.job.Check && !ok {
		s.puts <- put1{n: c.N, len: c.Len}
		return 0, true, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case same:
		s.account.Same++
		s.settleChunks(1)
		return protocol.Same, looked, nil
	case s.job.Check:
		s.settleChunks(1)
		return protocol.Needed, looked, nil
	}
	s.announced[c.N] = wantedChunk{c, looked}
	if c.Zero && c.N == 0 { // the first chunk is written at the end, zeros as well
		s.firstZero = true
		s.settled.Broadcast()
		return protocol.Zeroed, looked, nil
	}
	return protocol.Needed, looked, nil
}

// noteUnread notes that a chunk of the disk cannot be read: what a drive was writing when its power failed is unreadable until it is written again. It is
// taken for one that differs, and what counts is what is read back then.
func (s *clientSession) noteUnread() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account.Retried++
}

// settleChunks counts chunks that need nothing more. The caller holds mu.
func (s *clientSession) settleChunks(n int64) {
	s.open -= n
	s.settled.Broadcast()
}

var packetDecoder = func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*chunk.Size), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err) // the options are constant
	}
	return d
}()

// takeData takes a chunk's bytes, which must make it what was announced.
func (s *clientSession) takeData(payload []byte) error {
	p, err := protocol.ReadData(payload)
	if err != nil {
		return err
	}
	if p.Stream.Part {
		return s.stream.takePacket(p)
	}
	c, ok := s.takeAnnounced(p.N)
	if c.looked {
		s.blind.noteSent(p.Pieces == nil)
	}
	if !ok || s.job.Check || c.Zero {
		return fmt.Errorf("%w: data of chunk %d, which was not asked for", protocol.ErrProtocol, p.N)
	}
	out, err := s.unpackPacket(p, c.Chunk)
	if err != nil {
		return err
	}
	switch whole := len(out) == c.Len && chunk.SumOf(out) == c.Sum; {
	case !whole && p.Pieces != nil: // the wrong pieces came: the sums of pieces are short, and may be the same for two
		s.returnBuffer(out)
		s.askWhole(c.Chunk)
	case !whole:
		return asFailure(protocol.KindData, fmt.Errorf("chunk %d at byte %d is not what was announced", p.N, chunkOffset(p.N)))
	case p.N == 0:
		s.mu.Lock()
		s.first = out
		s.settled.Broadcast()
		s.mu.Unlock()
	default:
		s.puts <- put1{p.N, out, len(out), p.Pieces}
	}
	return nil
}

// takeAnnounced is the announced chunk of that number, which waits no more; false where none does.
func (s *clientSession) takeAnnounced(n int64) (wantedChunk, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.announced[n]
	delete(s.announced, n)
	return c, ok
}

// askWhole asks for all of a chunk whose pieces did not make it.
func (s *clientSession) askWhole(c chunk.Chunk) {
	s.mu.Lock()
	s.announced[c.N] = wantedChunk{c, false}
	s.mu.Unlock()
	go s.w.Write(protocol.Answers, protocol.AppendReply(nil, protocol.Reply{N: c.N, Answer: protocol.Needed})) // what is heard must not wait for it
}

// unpackPacket is the chunk that a packet has. Where it has pieces alone, the others are read from the disk.
func (s *clientSession) unpackPacket(p protocol.Packet, c chunk.Chunk) ([]byte, error) {
	out := s.takeBuffer()
	if p.Encoding == protocol.Streamed {
		out = out[:c.Len]
		return out, s.stream.decodeNext(p, out)
	}
	if p.Pieces == nil {
		return decodedBytes(p, out)
	}
	var err error
	if s.cut, err = decodedBytes(p, s.cut); err != nil {
		return nil, err
	}
	out = out[:c.Len]
	if _, err := s.disk.ReadAt(out, chunkOffset(p.N)); err != nil { // what comes of it is not the chunk, which is asked for whole then
		s.noteUnread()
	}
	if err := p.Pieces.Paste(out, s.cut); err != nil {
		return nil, asFailure(protocol.KindData, fmt.Errorf("chunk %d at byte %d: %w", p.N, chunkOffset(p.N), err))
	}
	return out, nil
}

// decodedBytes is what a packet's bytes decode to. It uses room if that is large enough.
func decodedBytes(p protocol.Packet, room []byte) ([]byte, error) {
	var out []byte
	var err error
	switch p.Encoding {
	case protocol.Raw:
		return append(room[:0], p.Bytes...), nil
	case protocol.Zstd:
		out, err = packetDecoder.DecodeAll(p.Bytes, room[:0])
	case protocol.S2:
		out, err = decodedS2(p.Bytes, room)
	default:
		return nil, fmt.Errorf("%w: encoding %d here", protocol.ErrProtocol, p.Encoding)
	}
	if err != nil {
		return nil, asFailure(protocol.KindData, fmt.Errorf("chunk %d at byte %d does not decompress: %w", p.N, chunkOffset(p.N), err))
	}
	return out, nil
}

// decodedS2 is what a block of S2 decodes to, in room where that is large enough. The block says itself how long that is; more
// than a chunk is not believed.
func decodedS2(b, room []byte) ([]byte, error) {
	n, err := s2.DecodedLen(b)
	if err == nil && n > chunk.Size {
		err = fmt.Errorf("it says to have %d bytes", n)
	}
	if err != nil {
		return nil, err
	}
	if n > cap(room) {
		room = make([]byte, n)
	}
	return s2.Decode(room[:n], b)
}

// takeBuffer is a buffer for one chunk. Buffers are used again: to clear new ones would cost as much as to write them.
func (s *clientSession) takeBuffer() []byte {
	select {
	case b := <-s.free:
		return b
	default:
		return alignedBuffer(chunk.Size)
	}
}

// returnBuffer takes a buffer back.
func (s *clientSession) returnBuffer(b []byte) {
	if cap(b) != chunk.Size { // it grew, and is not aligned any more
		return
	}
	select {
	case s.free <- b[:chunk.Size]:
	default:
	}
}

// keepExtent keeps bytes that belong outside of the image's chunks: they are written at the end.
func (s *clientSession) keepExtent(payload []byte) error {
	off, b, err := protocol.ReadExtent(payload)
	if err != nil {
		return err
	}
	block := s.disk.BlockSize()
	if off%block != 0 || off > s.disk.Size() || int64(len(b)) > s.disk.Size()-off || len(s.extents) >= 8 || off < s.highest*chunk.Size {
		return fmt.Errorf("%w: an extent of %d bytes at %d", protocol.ErrProtocol, len(b), off)
	}
	s.extents = append(s.extents, Extent{Off: off, Data: append(alignedBuffer(len(b))[:0], b...)})
	return nil
}

// maxBlanks bounds how many blanks, each a chunk at most, wait for the end.
const maxBlanks = 256

// keepBlank keeps a place outside of the image's chunks that has to be zero: it is written at the end.
func (s *clientSession) keepBlank(payload []byte) error {
	off, n, err := protocol.ReadBlank(payload)
	if err != nil {
		return err
	}
	block := s.disk.BlockSize()
	if off%block != 0 || n%block != 0 || off > s.disk.Size() || n > s.disk.Size()-off || off < s.highest*chunk.Size {
		return fmt.Errorf("%w: %d bytes to be blank at %d", protocol.ErrProtocol, n, off)
	}
	for n > 0 {
		part := min(n, chunk.Size)
		if s.blanks = append(s.blanks, Extent{Off: off, Len: int(part)}); len(s.blanks) > maxBlanks {
			return fmt.Errorf("%w: too much to be blank", protocol.ErrProtocol)
		}
		off, n = off+part, n-part
	}
	return nil
}

// putChunks writes the chunks that come, flushes several together, reads them back and tells the client.
func (s *clientSession) putChunks() {
	defer s.writing.Done()
	scratch := alignedBuffer(chunk.Size + bufferAlign)
	for first := range s.puts {
		all := []put1{first}
	more:
		for len(all) < flushBatch {
			select {
			case p, ok := <-s.puts:
				if !ok {
					break more
				}
				all = append(all, p)
			default:
				break more
			}
		}
		if err := s.putBatch(all, scratch); err != nil {
			s.keepError(err)
			for range s.puts { // who fills the channel must not wait for this goroutine
			}
			return
		}
	}
}

// beginWriting marks the disk as being written, once.
func (s *clientSession) beginWriting() error {
	if s.started {
		return nil
	}
	if err := s.own.beginWriting(s.job.Session); err != nil {
		return asFailure(protocol.KindRefused, err)
	}
	s.started = true
	return nil
}

// putBatch writes a batch, reads it back and tells.
func (s *clientSession) putBatch(all []put1, scratch []byte) error {
	if err := s.beginWriting(); err != nil {
		return err
	}
	var extents []Extent
	for _, p := range all {
		extents = append(extents, Extent{Off: chunkOffset(p.n), Data: p.data, Len: p.len, Only: p.only})
	}
	retried, err := putExtents(s.disk, extents, scratch)
	if err != nil {
		return asFailure(protocol.KindDisk, fmt.Errorf("%s: %w", s.job.Disk, err))
	}
	var numbers, replies []byte
	s.mu.Lock()
	s.account.Retried += int64(retried)
	for _, p := range all {
		s.account.Bytes += int64(p.len)
		s.returnBuffer(p.data)
		if p.data == nil {
			s.account.Zeroed++
			replies = protocol.AppendReply(replies, protocol.Reply{N: p.n, Answer: protocol.Zeroed})
		} else {
			s.account.Written++
			numbers = append(numbers, protocol.Number(p.n)...)
		}
	}
	s.settleChunks(int64(len(all)))
	s.mu.Unlock()
	if len(numbers) > 0 {
		s.w.Write(protocol.Verified, numbers)
	}
	if len(replies) > 0 {
		s.w.Write(protocol.Answers, replies)
	}
	return nil
}

// procField is the number behind a name in a file of /proc.
func procField(b []byte, name string) int64 {
	_, rest, ok := bytes.Cut(b, []byte(name))
	if !ok {
		return 0
	}
	words := bytes.Fields(rest)
	if len(words) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(words[0]), 10, 64)
	return n
}
