package sysroot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"groundhog/initrd/eof"
)

// openRegular opens a regular file of any file system, links followed inside it.
func openRegular(fsys fs.FS, name string) (fs.File, error) {
	at, info, err := walkLinks(lookupIn(fsys), name)
	if err != nil {
		return nil, pathError(fsys, "open", name, at, err)
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: showName(name), Err: errNotRegular}
	}
	return fsys.Open(at)
}

// readRegular reads a regular file of at most limit bytes, links followed.
func readRegular(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := openRegular(fsys, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readInto(nil, f, name, limit)
}

// growAtOnce is how many bytes are made room for because a file says that it has them; a larger one's memory grows with what is there.
const growAtOnce = 16 << 20

// readInto does so of an open file, into b if it is long enough.
func readInto(b []byte, f fs.File, name string, limit int64) ([]byte, error) {
	into := bytes.NewBuffer(b[:0])
	if info, err := f.Stat(); err == nil {
		into.Grow(int(min(max(info.Size(), 0), limit, growAtOnce)) + bytes.MinRead)
	}
	n, err := into.ReadFrom(io.LimitReader(f, limit+1))
	if err == nil && n > limit {
		err = tooLong(limit)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", showName(name), err)
	}
	return into.Bytes(), nil
}

// ErrTooLarge is wrapped by errors about input beyond a layer's limit.
var ErrTooLarge = errors.New("over the limit")

func tooLong(limit int64) error { return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit) }

// readAll reads r to its end, which must come within limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = tooLong(limit)
	}
	return b, err
}

// readClaimed reads the n bytes that a header has announced. Memory follows what is
// there: until a sixteenth of the claim has come, no more than sixteen times that
// is asked for, and then all at once, so that a large file is copied only in its
// small beginnings. What is asked for and never written to costs no memory.
func readClaimed(r io.Reader, n int64) ([]byte, error) {
	const first, factor = 64 << 10, 16
	b := make([]byte, min(n, first))
	for have := 0; ; {
		got, err := io.ReadFull(r, b[have:])
		have += got
		if int64(have) == n {
			return b, nil
		}
		if err != nil {
			return nil, eof.Unexpected(err)
		}
		grown := make([]byte, min(int64(have)*factor, n))
		copy(grown, b)
		b = grown
	}
}
