package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"groundhog/initrd/eof"
	"groundhog/initrd/show"
)

// Version is the protocol that this package speaks. A writer of another version is replaced, so it also grows where
// what is said stays the same and the writer's duty does not: since version 3 it flushes a disk before it compares.
const Version = 10

const (
	preamble = "groundhog flash\n"
	maxTool  = 64
)

// ErrNoise is returned where the line begins with something else than a preamble: a
// shell's greeting, or the error of a program that could not be started.
var ErrNoise = errors.New("not groundhog's other half")

// VersionError is another version at the other end.
type VersionError struct {
	Tool    string // at the other end
	Version uint16 // that it speaks
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s at the other end speaks version %d of the protocol, this one speaks %d", e.Tool, e.Version, Version)
}

// SayHello sends the preamble and who we are; tool is at most 64 printable ASCII
// characters.
func SayHello(w *Writer, tool string) error {
	if show.ASCII(tool) != tool || len(tool) > maxTool {
		return fmt.Errorf("hello: %q: not the name of a tool", tool)
	}
	if err := w.writeRaw(preamble); err != nil {
		return err
	}
	return w.Write(Hello, binary.BigEndian.AppendUint16(nil, Version), []byte(tool))
}

// HearHello reads what [SayHello] sent and returns the other end's tool. Its errors
// are [ErrNoise], [ErrFrame], a [*VersionError], [io.EOF] where nothing came at all,
// or the line's own.
func HearHello(r *Reader) (tool string, err error) {
	b := make([]byte, len(preamble))
	n, err := io.ReadFull(r.r, b)
	for i := range n { // a short answer is noise, too, not just a line that ended
		if b[i] != preamble[i] {
			return "", fmt.Errorf("%w: it says %q", ErrNoise, b[:n])
		}
	}
	if err != nil {
		return "", err
	}
	t, payload, err := r.Next()
	if err != nil {
		return "", eof.Unexpected(err)
	}
	if t != Hello || len(payload) < 2 || len(payload) > 2+maxTool || show.ASCII(string(payload[2:])) != string(payload[2:]) {
		return "", fmt.Errorf("hello: frame of type %d, %d bytes: %w", t, len(payload), ErrFrame)
	}
	tool = string(payload[2:])
	if v := binary.BigEndian.Uint16(payload); v != Version {
		return tool, &VersionError{tool, v}
	}
	return tool, nil
}
