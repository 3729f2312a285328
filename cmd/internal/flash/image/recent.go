package image

import (
	"context"
	"hash"

	"groundhog/cmd/internal/flash/chunk"
)

// mostInMemory is how many chunks that were just decoded stay in memory, so that neither a walk right behind the decoder nor who works out a raw image's
// SHA-256 need read and hash them again.
const mostInMemory = 16

// hashState is how far the SHA-256 of a raw image has come. It has one order and is the slowest of all, so nobody waits for it who
// need not: chunks are known as soon as they were decoded.
type hashState struct {
	next   int64          // the chunk that is next, or being hashed
	passed map[int64]bool // chunks in memory that nobody wants but who hashes them
	last   bool           // no more chunks come
	over   bool           // nothing is hashed any more, whether it came to the end or not
}

// publishChunk makes a chunk known. p belongs to the image from now on.
func (i *Image) publishChunk(c chunk.Chunk, p []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.chunks = append(i.chunks, c)
	if !c.Zero && len(i.recent) < mostInMemory {
		i.recent[c.N] = p
	} else {
		chunk.Free(p)
	}
	i.cond.Broadcast()
}

// takeData takes a chunk's data, if it is still in memory, once it was hashed. Only the first caller gets it.
func (i *Image) takeData(ctx context.Context, n int64) []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	for i.isUnhashed(n) {
		if ctx.Err() != nil || i.err != nil {
			return nil
		}
		i.cond.Wait()
	}
	p := i.recent[n]
	delete(i.recent, n)
	return p
}

// dropData lets a chunk's data go that nobody wants.
func (i *Image) dropData(n int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.isUnhashed(n) {
		i.hashing.passed[n] = true
		return
	}
	chunk.Free(i.recent[n])
	delete(i.recent, n)
}

// isUnhashed reports whether a chunk's data is in memory and still to be hashed. The caller holds mu.
func (i *Image) isUnhashed(n int64) bool {
	_, here := i.recent[n]
	return here && i.hashes && !i.hashing.over && n >= i.hashing.next
}

// hashChunks writes the chunks to whole as they become known. What is not in memory any more is read again, and held against its sum.
func (i *Image) hashChunks(whole hash.Hash) error {
	defer func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.hashing.over = true
		i.cond.Broadcast()
	}()
	for n := int64(0); ; n++ {
		c, data, err := i.nextToHash(n)
		if err != nil || c.Len == 0 {
			return err
		}
		switch {
		case c.Zero:
			chunk.WriteZeros(whole, c.Len)
		case data == nil:
			if data, err = i.readChunk(c); err != nil {
				return err
			}
			whole.Write(data)
			chunk.Free(data)
		default:
			whole.Write(data)
		}
	}
}

// nextToHash waits for chunk n, which has no length where the image has ended; its data is nil where it is not in memory. Those before it were hashed.
func (i *Image) nextToHash(n int64) (c chunk.Chunk, data []byte, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hashing.next = n
	if i.hashing.passed[n-1] {
		chunk.Free(i.recent[n-1])
		delete(i.recent, n-1)
		delete(i.hashing.passed, n-1)
	}
	i.cond.Broadcast()
	for i.err == nil && !i.hashing.last && n == int64(len(i.chunks)) {
		i.cond.Wait()
	}
	if i.err != nil || n == int64(len(i.chunks)) || i.hashing.last && !i.complete { // nobody will ask for the sum of half an image
		return c, nil, i.err
	}
	return i.chunks[n], i.recent[n], nil
}

// awaitDemand waits until chunk n is wanted, or one shortly before it: a raw image's file is there to be read again, and what is read too early is read
// twice. Anything else is decoded as fast as it goes; whoever sends it may not wait.
func (i *Image) awaitDemand(ctx context.Context, n int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for i.raw != nil && n > i.demand+mostInMemory/2 && ctx.Err() == nil && i.err == nil {
		i.cond.Wait()
	}
}

// noteDemand notes that somebody waits for chunk n. The caller holds mu.
func (i *Image) noteDemand(n int64) {
	if n > i.demand {
		i.demand = n
		i.cond.Broadcast()
	}
}

// Known returns all chunks as soon as they are known, and where the file is to have a checksum, when that has held. Whether the file was left as it
// is meanwhile is not seen yet: [Image.Walk] does not end well before.
func (i *Image) Known(ctx context.Context) ([]chunk.Chunk, error) {
	if i.kept != nil {
		return i.kept.Chunks, nil
	}
	if i.want != "" || i.watched == nil {
		if err := i.Load(ctx); err != nil {
			return nil, err
		}
	}
	i.start.Do(i.decode)
	stop := i.wakeAtEnd(ctx)
	defer stop()
	for n, more := int64(0), true; more; n++ {
		var err error
		if _, more, err = i.awaitChunk(ctx, n, &i.complete); err != nil {
			return nil, err
		}
		i.dropData(n)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.chunks, nil
}
