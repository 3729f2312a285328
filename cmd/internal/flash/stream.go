package flash

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/pack"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/wire"
)

// Packer is a Source that may have been packed beforehand. Pack is nil where it was not.
type Packer interface{ Pack() pack.Pack }

// packedStream is the zstd stream that a connection sends packed bytes in. It knows where in the packed image the device's decoder stands.
type packedStream struct {
	turn sync.Mutex // held while the next chunk is chosen and, if it goes in the stream, sent: the stream has an order
	pack pack.Pack  // nil: the image was not packed, or the device has no memory for the pack's window
	on   bool       // a frame was begun: at and off hold
	at   int64      // offset in the packed bytes up to which the decoder was fed
	off  int64      // offset in the image of the byte that it gives next

	credit int64 // how many packed bytes may be sent that no chunk needs, only to stay in the stream
}

// streamedChunk is how a chunk is sent in the stream.
type streamedChunk struct {
	begins   bool  // the decoder begins anew, at from
	skip     int64 // bytes that it gives before the chunk's first
	from, to int64 // the packed bytes to send

	spent, saved int64 // what this takes from the stream's credit, and adds to it
}

// How many packed bytes may be sent to get to a chunk, beside those of the chunk itself: worseShare, as a share of the chunk's own, is
// about what it would be longer if it were compressed alone; forNearby is what zeros before it cost. savedShare is the share of each chunk
// sent in the stream that its credit grows by: a file that is one frame cannot be entered again once its stream was left.
const (
	worseShare = 0.4
	forNearby  = 4 << 10 // bytes
	savedShare = 0.1
)

// placeChunk says how to send chunk c in the stream; false where it is better sent by itself.
func (s *packedStream) placeChunk(c chunk.Chunk) (streamedChunk, bool) {
	if s.pack == nil {
		return streamedChunk{}, false
	}
	p, ok := s.pack.Place(c)
	if !ok {
		return streamedChunk{}, false
	}
	off := c.N * chunk.Size
	own := p.End - p.Before
	out := streamedChunk{begins: true, skip: off - p.Off, from: p.Entry, to: p.End}
	if s.on && s.at >= p.Entry && s.at <= p.End && s.off <= off { // it goes on from where it is
		out = streamedChunk{skip: off - s.off, from: s.at, to: p.End}
	}
	cost := out.to - out.from
	free := int64(worseShare*float64(own)) + forNearby
	if cost > maxStreamed || out.skip > protocol.MaxSkip || cost-own > free+s.credit {
		return streamedChunk{}, false
	}
	out.spent = max(0, cost-own-free)
	out.saved = int64(savedShare * float64(own))
	return out, true
}

// maxStreamed bounds the packed bytes that are sent for one chunk, which the device keeps until the last of them has come;
// perFrame those of one frame on the line.
const (
	maxStreamed = protocol.MaxStreamed
	perFrame    = wire.MaxPayload - protocol.StreamHeadLen
)

// sendStreamed sends a chunk in the stream, if that is the better way. The caller has the turn.
func (a *writerLine) sendStreamed(it *ledgerItem) (bool, error) {
	s := &a.stream
	p, ok := s.placeChunk(it.c)
	if !ok {
		return false, nil
	}
	if it.held != nil {
		differing, err := a.flashRun.differingPieces(it, it.data)
		if err != nil || !differing.Most(it.c.Len) {
			return false, err
		}
	}
	b, err := s.pack.Read(p.from, p.to)
	if err != nil { // the pack is gone, or is another one: it saves time, and is not needed
		return false, nil
	}
	s.credit += p.saved - p.spent
	s.on, s.at, s.off = true, p.to, it.c.N*chunk.Size+int64(it.c.Len)
	for len(b) > perFrame {
		if err := a.w.Write(protocol.Data, protocol.StreamHead(it.c.N, protocol.Stream{Begins: p.begins, Part: true}), b[:perFrame]); err != nil {
			return true, err
		}
		p.begins, b = false, b[perFrame:]
	}
	return true, a.w.Write(protocol.Data, protocol.StreamHead(it.c.N, protocol.Stream{Begins: p.begins, Skip: p.skip}), b)
}

// imageFailed notes that the image cannot be had: no other connection helps.
func (r *flashRun) imageFailed(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if r.feedErr == nil {
		r.feedErr = fmt.Errorf("%w: %w", ErrImage, err)
	}
	r.cond.Broadcast()
	return r.feedErr
}

// differingPieces is the pieces of a chunk that the device does not have; data is nil where the chunk was not read yet.
func (r *flashRun) differingPieces(it *ledgerItem, data []byte) (*chunk.Pieces, error) {
	sums, err := r.pieceSums(r.ctx, it.c, data)
	if err != nil {
		return nil, err
	}
	return chunk.Differing(sums, it.held), nil
}

// pieceSums is the sums of the pieces of chunk c, by which is guessed what of it the device has; data is nil where the chunk was not read yet. What
// is read for them is not held against the chunk's sum: the device does that with what comes of the guess.
func (r *flashRun) pieceSums(ctx context.Context, c chunk.Chunk, data []byte) ([]byte, error) {
	if sums := r.Shared.pieceSums(c); sums != nil {
		return sums, nil
	}
	if data == nil {
		var err error
		if data, err = r.glimpseChunk(ctx, c); err != nil {
			return nil, r.imageFailed(err)
		}
		defer chunk.Free(data)
	}
	sums := chunk.AppendPieceSums(nil, data)
	r.Shared.keepSums(c, sums)
	return sums, nil
}

// glimpseChunk is the data of a chunk, held against nothing where it can be had so; nil may be zeros.
func (r *flashRun) glimpseChunk(ctx context.Context, c chunk.Chunk) ([]byte, error) {
	src := r.Source.(Reader)
	if data, ok := src.Peek(c.N, chunk.Size); ok {
		if len(data) == c.Len {
			return data, nil
		}
		chunk.Free(data)
	}
	return src.Read(ctx, c.N)
}

// usePack has chunks sent from a pack from now on; nil: from none.
func (s *packedStream) usePack(p pack.Pack) {
	if s.pack = p; p != nil {
		s.credit = p.Credit()
	}
}

// isOrdered reports whether chunks are sent in the order of the image.
func (s *packedStream) isOrdered() bool {
	live, ok := s.pack.(*pack.Live)
	return s.pack != nil && (!ok || live.Active())
}

// noteSent notes that a chunk was sent, for who packs while that goes on.
func (s *packedStream) noteSent(ctx context.Context, it *ledgerItem, streamed bool, p *parcel) {
	if live, ok := s.pack.(*pack.Live); ok {
		live.Sent(ctx, it.c.N, streamed || p.whole, streamed || p.pace.lineWaits())
	}
}

// packFor is the source's pack, if the device has memory for its window. A pack from which something wrong came out is not used again.
func (r *flashRun) packFor(disk protocol.Disk) pack.Pack {
	src, ok := r.Source.(Packer)
	if !ok || r.packBad {
		return nil
	}
	p := src.Pack()
	if p == nil || p.Window() > disk.Window {
		return nil
	}
	return p
}

// mistrustPacks ends the use of packs: the device has unpacked something else than the chunk that was announced.
func (r *flashRun) mistrustPacks(err error) {
	var f *protocol.Failure
	if errors.As(err, &f) && f.Kind == protocol.KindData {
		r.mu.Lock()
		r.packBad = true
		r.mu.Unlock()
	}
}
