package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
)

// unnamed is a file for what may be large, gone with its last reader: /tmp may be memory (file-hierarchy(7)).
func unnamed() (*os.File, error) {
	dir := os.Getenv("TMPDIR")
	if dir == "" {
		dir = "/var/tmp"
	}
	f, err := os.CreateTemp(dir, "groundhog-image-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// run decodes, hashes and keeps the whole image.
func (i *Image) run(ctx context.Context, decoded io.ReadCloser, stored *storedSum) {
	defer close(i.over)
	defer decoded.Close()
	before := identity(i.file)
	sum, err := i.pull(&interrupted{ctx, decoded})
	if err == nil {
		err = i.end(stored, sum, before)
	}
	if err == nil && i.spool != nil { // zeros are not written, and may be its end
		err = i.spool.Truncate(size(i.chunks))
	}
	if err == nil && i.file != nil && before != nil {
		before.Stored, before.Decoded = i.stored, sum
		before.chunks = i.chunks
		before.write(i.name) // it saves time, no more: where it cannot be kept, it is made again
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.done, i.err, i.sha = err == nil, err, sum
	i.cond.Broadcast()
}

// storedSum is the hash of what is stored.
type storedSum struct {
	hash.Hash
	off bool // it is that of what is decoded
}

func (s *storedSum) Write(p []byte) (int, error) {
	if s.off {
		return len(p), nil
	}
	return s.Hash.Write(p)
}

// end holds what was read against what it should have been.
func (i *Image) end(stored *storedSum, sum string, before *index) error {
	if !stored.off {
		if _, err := io.Copy(stored, i.in); err != nil { // a decoder need not read what follows its last byte
			return err
		}
		sum = hex.EncodeToString(stored.Sum(nil))
	}
	if i.stored != "" && sum != i.stored {
		return ErrChanged
	}
	if i.want != "" && sum != i.want {
		return fmt.Errorf("%w: %s, not %s", ErrChecksum, sum, i.want)
	}
	if now := identity(i.file); i.file != nil && before != nil && (now == nil || now.File != before.File) {
		return ErrChanged
	}
	i.stored = sum
	return nil
}

// pull reads the decoded image chunk by chunk.
func (i *Image) pull(r io.Reader) (string, error) {
	whole := sha256.New()
	buf := make([]byte, chunk.Size)
	for n := int64(0); ; n++ {
		k, err := 0, error(nil)
		for k < len(buf) && err == nil { // io.ReadFull would make one error of a proper end and a cut
			var m int
			m, err = r.Read(buf[k:])
			k += m
		}
		if err != nil && err != io.EOF {
			return "", err
		}
		if so := n*chunk.Size + int64(k); i.claim > 0 && (so > i.claim || err == io.EOF && so != i.claim) {
			return "", fmt.Errorf("%w: %d bytes", ErrClaim, i.claim)
		}
		if k == 0 {
			return hex.EncodeToString(whole.Sum(nil)), nil
		}
		p := buf[:k]
		hashed := make(chan struct{})
		go func() { whole.Write(p); close(hashed) }()
		kept := i.keep(n, p)
		<-hashed
		if kept != nil {
			return "", kept
		}
		if err == io.EOF {
			return hex.EncodeToString(whole.Sum(nil)), nil
		}
	}
}

// keep takes one chunk.
func (i *Image) keep(n int64, p []byte) error {
	c := protocol.Chunk{N: n, Len: len(p)}
	if chunk.IsZero(p) {
		c.Zero = true
	} else {
		c.Sum = chunk.SumOf(p)
		if i.raw == nil {
			if _, err := i.spool.WriteAt(p, n*chunk.Size); err != nil {
				return fmt.Errorf("keeping the decoded image: %w", err)
			}
		}
	}
	if i.kept != nil && (n >= int64(len(i.kept.chunks)) || i.kept.chunks[n] != c) {
		return ErrChanged
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.chunks = append(i.chunks, c)
	i.cond.Broadcast()
	return nil
}

// interrupted is a reader that ends with its context.
type interrupted struct {
	ctx context.Context
	r   io.Reader
}

func (r *interrupted) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
