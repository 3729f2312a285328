package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// descriptorFlags is what fcntl(2) F_GETFD says of the three standard descriptors before Go's runtime begins, a negative error number where it fails.
//
// The runtime opens /dev/null in the place of a descriptor that is closed (runtime/fds_unix.go). An answer that goes there is lost in silence, and nothing tells that
// /dev/null from one that a caller has opened, to have none. So who builds a release has the linker begin it with entry (-E main.entry), which asks first.
// It is in assembly; a program that was built without, or for another system, knows of no closed descriptor.
var descriptorFlags [3]int64

// closedStream is a standard stream that was closed when the program began.
type closedStream struct{ error }

func (c closedStream) Read([]byte) (int, error)  { return 0, c.error }
func (c closedStream) Write([]byte) (int, error) { return 0, c.error }

func wasClosed(fd uintptr) bool { return descriptorFlags[fd] == -int64(syscall.EBADF) }

var errClosed = errors.New("it is closed")

func standardInput() io.Reader {
	if wasClosed(os.Stdin.Fd()) {
		return closedStream{&fs.PathError{Op: "read", Path: "standard input", Err: errClosed}}
	}
	return os.Stdin
}

func standardOutput() io.Writer {
	if wasClosed(os.Stdout.Fd()) {
		return closedStream{&fs.PathError{Op: "write", Path: "standard output", Err: errClosed}}
	}
	return os.Stdout
}
