package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ErrNewer is wrapped by errors about JSON of a schema that this package does
// not know yet.
var ErrNewer = errors.New("written by a newer groundhog")

// ErrTooLarge is wrapped by errors about JSON beyond the [Limits].
var ErrTooLarge = errors.New("over the limit")

// Limits bound what decoding may cost. Zero fields mean the default. How deep
// the JSON may nest follows from the schema, which is refused elsewhere.
type Limits struct {
	Bytes int64 // 512 MiB
	Items int   // elements of all lists together: entries, paths, keys; 4 Mi
}

// DefaultLimits are the limits in force where none are given.
var DefaultLimits = Limits{Bytes: 512 << 20, Items: 4 << 20}

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = DefaultLimits.Bytes
	}
	if l.Items == 0 {
		l.Items = DefaultLimits.Items
	}
	return l
}

// Decode reads a manifest as [Encode] or an older version of it wrote it; lists
// may come in any order. The error says where in the JSON; it wraps [ErrNewer]
// or [ErrTooLarge] where that is the cause.
func Decode(r io.Reader, l Limits) (*Manifest, error) {
	l = l.withDefaults()
	in := bufio.NewReaderSize(&limitedReader{r: r, left: l.Bytes, limit: l.Bytes}, headSize)
	m := new(Manifest)
	err := decodeManifest(in, m, l.Items)
	if err == nil {
		m.sortLists()
		err = m.checkManifest()
	}
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

// headSize is how far into the JSON the schema's number is looked for before
// all of it is read for that: we write it first.
const headSize = 64 << 10

func decodeManifest(in *bufio.Reader, m *Manifest, items int) error {
	head, err := in.Peek(headSize)
	whole := err == io.EOF
	if err != nil && !whole {
		return err
	}
	if err := checkSchema(head, Schema, "manifest"); err == nil || whole || errors.Is(err, ErrNewer) {
		if err == nil {
			err = unmarshal(in, m, items)
		}
		return err
	}
	b, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	if err := checkSchema(b, Schema, "manifest"); err != nil {
		return err
	}
	return unmarshal(bytes.NewReader(b), m, items)
}

// limitedReader is a reader that fails, rather than ends, after so many bytes.
type limitedReader struct {
	r           io.Reader
	left, limit int64
}

func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p[:min(int64(len(p)), l.left+1)])
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("%w of %d bytes", ErrTooLarge, l.limit)
	}
	return n, err
}

// Encode checks a manifest and writes it as JSON. The lists of m are sorted.
func Encode(w io.Writer, m *Manifest) error {
	m.sortLists()
	if err := m.checkManifest(); err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	return WriteJSON(w, m)
}
