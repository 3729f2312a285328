package initrd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"io"

	"github.com/anchore/go-lzo"
)

// An lzop file is a head and blocks, each with its sizes and a sum; a size of 0 is the end. The kernel
// (lib/decompress_unlzo.c) takes blocks of at most 256 KiB, and just one sum in each. What is in a block is said in
// Documentation/staging/lzo.rst, of the version that lzop writes.

const (
	lzoMagic = "\x89LZO\x00\r\n\x1a\n"
	lzoBlock = 256 << 10
)

// Flags of the head.
const (
	lzoAdler, lzoCRC = 0x1, 0x100
	lzoSums          = 0x303 // all that say which sums a block has
	lzoExtra         = 0x40
	lzoFilter        = 0x800
)

// lzoHead walks over the head and returns its flags.
func lzoHead(w *byteWalker) (flags uint32, err error) {
	w.takeBytes(len(lzoMagic))
	later := binary.BigEndian.Uint16(w.takeBytes(4)) >= 0x940 // the version, and that of the library
	if later {
		w.takeBytes(2)
	}
	w.takeByte() // the method
	if later {
		w.takeByte()
	}
	flags = binary.BigEndian.Uint32(w.takeBytes(4))
	if flags&lzoFilter != 0 {
		w.takeBytes(4)
	}
	w.takeBytes(8) // mode and time
	if later {
		w.takeBytes(4)
	}
	w.takeBytes(w.takeByte() + 4) // its name and a sum
	if sums := flags & lzoSums; w.err == nil && (flags&lzoExtra != 0 || sums != lzoAdler && sums != lzoCRC) {
		return 0, fmt.Errorf("%w: flags %#x in lzop's head, which the kernel does not read", ErrFormat, flags)
	}
	return flags, w.err
}

// lzoNext walks over a block. plain is the size of what is in it, 0 at the end; sum is that of what is in it.
func lzoNext(w *byteWalker) (packed []byte, plain int, sum uint32, err error) {
	n := binary.BigEndian.Uint32(w.takeBytes(4))
	if n == 0 || w.err != nil {
		return nil, 0, 0, w.err
	}
	size := binary.BigEndian.Uint32(w.takeBytes(4))
	sum = binary.BigEndian.Uint32(w.takeBytes(4))
	if w.err == nil && (n > lzoBlock || size == 0 || size > n) {
		return nil, 0, 0, fmt.Errorf("%w: a block of %d bytes for %d", ErrFormat, size, n)
	}
	packed = w.takeBytes(int(size))
	return packed, int(n), sum, w.err
}

// lzoEnd is the length of the lzop file that b starts with.
func lzoEnd(b []byte) (int, error) {
	w := &byteWalker{b: b}
	_, err := lzoHead(w)
	for plain := 1; plain > 0 && err == nil; {
		_, plain, _, err = lzoNext(w)
	}
	return w.pos, err
}

// lzoReader decodes block by block.
type lzoReader struct {
	w     *byteWalker
	crc   bool
	plain []byte // what is left of the block
	room  []byte
	ended bool
}

func decodeLzo(r *bytes.Reader) (io.ReadCloser, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	l := &lzoReader{w: &byteWalker{b: b}}
	flags, err := lzoHead(l.w)
	l.crc = flags&lzoCRC != 0
	return io.NopCloser(l), err
}

func (l *lzoReader) Read(p []byte) (int, error) {
	for len(l.plain) == 0 && len(p) > 0 {
		if l.ended {
			return 0, io.EOF
		}
		if err := l.nextBlock(); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.plain)
	l.plain = l.plain[n:]
	return n, nil
}

var errLzo = errors.New("corrupt lzo data")

func (l *lzoReader) nextBlock() error {
	packed, n, sum, err := lzoNext(l.w)
	if err != nil || n == 0 {
		l.ended = true
		return err
	}
	l.plain = packed
	if len(packed) < n { // else it is stored as it is
		if l.room == nil {
			l.room = make([]byte, lzoBlock)
		}
		got, err := lzo.Decompress(packed, l.room[:n])
		if err != nil {
			return fmt.Errorf("%w: %w", errLzo, err)
		}
		l.plain = l.room[:got]
	}
	got := adler32.Checksum(l.plain)
	if l.crc {
		got = crc32.ChecksumIEEE(l.plain)
	}
	if len(l.plain) != n || got != sum {
		return errLzo
	}
	return nil
}
