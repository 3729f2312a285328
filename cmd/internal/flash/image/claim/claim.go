// Package claim tells how large a compressed file says that its content is, without decoding it: enough to refuse at
// once what does not fit, and to say how far one has come. It is no proof. A header may lie, so whoever
// decodes holds what comes out against the claim.
package claim

import (
	"context"
	"encoding/binary"
	"io"
)

// maxSize bounds a claim, in bytes: more than any disk has, and sums of them do not overflow.
const maxSize = 1 << 60

// Of is what a file of so many bytes claims to decode to; false where it says nothing, not for all of it, or is not
// walked through to its proper end. zstd's frames may say it, xz's indexes do, lz4's frames seldom do. bzip2 has
// nothing of the kind. gzip's last four bytes are the size modulo 2^32 of the last member alone (RFC 1952, section 2.3.1),
// and where a member ends only decoding tells: an image of 4 GiB and a bit would claim to be a small one.
func Of(ctx context.Context, file io.ReaderAt, size int64, compression string) (int64, bool) {
	c := &fileCursor{ctx: ctx, r: file, end: size}
	walk := map[string]func(*fileCursor) (uint64, bool){"zstd": zstdSize, "xz": xzSize, "lz4": lz4Size}[compression]
	if walk == nil || size <= 0 {
		return 0, false
	}
	n, ok := walk(c)
	if !ok || c.err != nil || n == 0 { // nobody has an image of nothing
		return 0, false
	}
	return int64(n), true
}

// addClaim sums claims up; false where that is more than any disk has.
func addClaim(sum *uint64, n uint64) bool {
	if n > maxSize-*sum {
		return false
	}
	*sum += n
	return true
}

// fileCursor walks over a file and reads little of it. After a step beyond its end err is set, and all further ones read zeros.
type fileCursor struct {
	ctx context.Context
	r   io.ReaderAt
	end int64 // of the file
	pos int64
	buf []byte // the file's bytes at at
	at  int64
	err error
}

// readAhead is how much is read at once: headers lie some 100 KiB apart.
const readAhead = 4 << 10

func (c *fileCursor) skipBytes(n int64) {
	if n < 0 || n > c.end-c.pos {
		c.err = io.ErrUnexpectedEOF
	} else {
		c.pos += n
	}
}

// seekTo goes to a place that was computed from what the file says.
func (c *fileCursor) seekTo(pos int64) {
	if pos < 0 || pos > c.end {
		c.err = io.ErrUnexpectedEOF
	} else {
		c.pos = pos
	}
}

// takeBytes reads n bytes, at most 64.
func (c *fileCursor) takeBytes(n int) []byte {
	b := c.peekBytes(n)
	if len(b) < n && c.err == nil {
		c.err = io.ErrUnexpectedEOF
	}
	if c.err != nil {
		return make([]byte, n)
	}
	c.pos += int64(n)
	return b
}

// peekBytes is the next n bytes, fewer before the end.
func (c *fileCursor) peekBytes(n int) []byte {
	n = int(min(int64(n), c.end-c.pos))
	if c.err == nil && (c.pos < c.at || c.pos+int64(n) > c.at+int64(len(c.buf))) {
		if c.err = c.ctx.Err(); c.err != nil {
			return nil
		}
		if c.buf == nil {
			c.buf = make([]byte, readAhead)
		}
		c.at, c.buf = c.pos, c.buf[:min(readAhead, c.end-c.pos)]
		if _, err := c.r.ReadAt(c.buf, c.at); err != nil && err != io.EOF {
			c.err = err
		} else if err == io.EOF && int64(len(c.buf)) != c.end-c.at {
			c.err = io.ErrUnexpectedEOF
		}
	}
	if c.err != nil {
		return nil
	}
	return c.buf[c.pos-c.at:][:n]
}

func (c *fileCursor) hasMore() bool  { return c.err == nil && c.pos < c.end }
func (c *fileCursor) uint32() uint32 { return binary.LittleEndian.Uint32(c.takeBytes(4)) }
