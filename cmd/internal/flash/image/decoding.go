package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image/index"
	"groundhog/cmd/internal/flash/image/sniff"
	"groundhog/cmd/internal/flash/pack"
)

// decodeImage decodes, hashes and keeps the whole image.
func (i *Image) decodeImage(ctx context.Context, decoded io.ReadCloser, stored *storedSum) {
	defer close(i.over)
	sum, err := i.pullChunks(ctx, contextReader{ctx, decoded})
	if err == nil {
		err = i.checkEnd(ctx, stored, sum)
	}
	if err == nil {
		err = i.checkRestRoom()
	}
	if err == nil && i.spool != nil { // zeros are not written, and the image may end with some
		err = i.spool.Truncate(chunk.End(i.chunks))
	}
	if err == nil && i.file != nil && i.watched != nil && i.unlasting == nil {
		i.store.Put(i.name, &index.Index{File: i.state, Stored: i.stored, Chunks: i.chunks})
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.done, i.err = err == nil, err
	i.cond.Broadcast()
}

// storedSum hashes the image's file as it is stored.
type storedSum struct {
	hash.Hash
	off bool // the sum is known by another way: the file is not compressed, and has that of the decoded image, or the kept index has it
}

func (s *storedSum) Write(p []byte) (int, error) {
	if s.off {
		return len(p), nil
	}
	return s.Hash.Write(p)
}

// checkEnd compares the checksum of what was read with what it should be, and makes sure that the file has not changed meanwhile.
func (i *Image) checkEnd(ctx context.Context, stored *storedSum, sum string) error {
	switch {
	case stored.off && i.kept != nil: // all that came out is as the index has it
		sum = i.kept.Stored
	case !stored.off:
		if _, err := io.Copy(stored, i.in); err != nil { // a decoder need not read what follows its last byte
			return err
		}
		sum = hex.EncodeToString(stored.Sum(nil))
	}
	if i.stored != "" && sum != i.stored {
		return ErrChanged
	}
	if err := i.holdsWant(sum); err != nil {
		return err
	}
	i.stored = sum
	return i.checkUnchanged(ctx)
}

// pullChunks takes the decoded image chunk by chunk. Of a raw image that is to have a SHA-256 it returns that, in hex; the SHA-256 of a compressed
// image's file is worked out where the file is read.
func (i *Image) pullChunks(ctx context.Context, decoded io.ReadCloser) (string, error) {
	if !i.hashes {
		err := i.publishAll(ctx, decoded)
		if err == nil && i.kept != nil && len(i.chunks) != len(i.kept.Chunks) {
			err = ErrChanged
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.complete = err == nil
		return "", err
	}
	whole, hashed := sha256.New(), make(chan error, 1)
	go func() { hashed <- i.hashChunks(whole) }()
	err := i.publishAll(ctx, decoded)
	i.mu.Lock()
	i.complete, i.hashing.last = err == nil, true
	i.cond.Broadcast()
	i.mu.Unlock()
	if failed := <-hashed; err == nil {
		err = failed
	}
	return hex.EncodeToString(whole.Sum(nil)), err
}

// publishAll makes the chunks known as they come.
func (i *Image) publishAll(ctx context.Context, decoded io.ReadCloser) error {
	last := []byte(nil)
	stop := make(chan struct{})
	defer close(stop)
	for p := range i.readPieces(ctx, decoded, stop) {
		if p.err != nil {
			return p.err
		}
		last = append(last, p.b[max(0, len(p.b)-sniff.LastLen):]...)
		last = last[max(0, len(last)-sniff.LastLen):]
		c, err := i.keepChunk(p)
		if err != nil {
			return err
		}
		i.publishChunk(c, p.b)
	}
	return i.checkWhole(chunk.End(i.chunks), last)
}

// readPiece is a chunk that was read, or why it could not be.
type readPiece struct {
	n    int64
	b    []byte
	read int64 // bytes of a .zst file that had been read for it
	err  error
}

// readPieces reads an image, some chunks ahead of whoever hashes them, and closes it. The channel is closed at the image's end, or behind an
// error.
func (i *Image) readPieces(ctx context.Context, r io.ReadCloser, stop <-chan struct{}) <-chan readPiece {
	out := make(chan readPiece, 2)
	go func() {
		defer close(out)
		defer r.Close()
		more := true
		for n := int64(0); more; n++ {
			var p readPiece
			i.awaitDemand(ctx, n)
			if p, more = i.pieceAt(r, n); len(p.b) == 0 && p.err == nil {
				return
			}
			select {
			case out <- p:
			case <-stop:
				return
			}
		}
	}()
	return out
}

// pieceAt reads chunk n, which is empty at the image's end; more says that others may follow.
func (i *Image) pieceAt(r io.Reader, n int64) (p readPiece, more bool) {
	b := chunk.Buffer(chunk.Size)
	k, err := 0, error(nil)
	for k < len(b) && err == nil { // io.ReadFull would make one error of a proper end and a cut
		var m int
		m, err = r.Read(b[k:])
		i.coded.cameOut(m)
		k += m
	}
	if err != nil && err != io.EOF {
		return readPiece{err: i.coded.whyFailed(err)}, false
	}
	if so := n*chunk.Size + int64(k); i.claim > 0 && (so > i.claim || err == io.EOF && so != i.claim) {
		if i.raw != nil { // it grows, or was cut, while it is read
			return readPiece{err: ErrChanged}, false
		}
		return readPiece{err: fmt.Errorf("%w: %d bytes", ErrClaim, i.claim)}, false
	}
	if n*chunk.Size+int64(k) > i.most {
		return readPiece{err: fmt.Errorf("%w: more than %d bytes came out", ErrTooLarge, i.most)}, false
	}
	return readPiece{n: n, b: b[:k], read: i.read.Load()}, err == nil
}

// keepChunk looks at one chunk, and puts it into the spool, where that is to have it.
func (i *Image) keepChunk(piece readPiece) (chunk.Chunk, error) {
	n, p := piece.n, piece.b
	c := chunk.Of(n, p)
	if f, ok := i.packed.(*pack.File); ok {
		f.Add(c, piece.read)
	}
	if !c.Zero && i.raw == nil {
		if i.fill == nil { // else another pass may have made it longer than this one knows
			i.readySpool(n*chunk.Size + int64(len(p)))
		}
		if err := i.spooling.writeChunk(i.spool, p[:min(len(p), i.spooledLen(n))], n*chunk.Size); err != nil {
			return c, err
		}
	}
	if i.kept != nil && (n >= int64(len(i.kept.Chunks)) || i.kept.Chunks[n] != c) {
		return c, ErrChanged
	}
	return c, nil
}

// contextReader is a reader that ends with its context.
type contextReader struct {
	ctx context.Context
	io.ReadCloser
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.ReadCloser.Read(p)
}
