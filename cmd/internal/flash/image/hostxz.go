package image

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"

	"github.com/mikelolasagasti/xz"

	"groundhog/cmd/internal/confine"
)

// hostXZ decodes an .xz file by xz(1), which takes two thirds of the library's time. xz checks what it decodes by the file's own checksums, as
// the library does. Where xz does not end well, the library decodes the file from its beginning and gives what comes behind what xz gave: so what
// is taken for an image, and what an error says, does not depend on which xz is installed.
type hostXZ struct {
	in      *bufio.Reader
	out     *os.File
	stop    context.CancelFunc
	ended   chan error // how xz ended
	given   int64      // bytes
	file    io.Reader  // the same file, from its beginning
	library io.Reader  // once xz has failed
}

// newHostXZ decodes what in has, which is file; nil where there is no xz.
func newHostXZ(in *bufio.Reader, file io.Reader) *hostXZ {
	program, err := exec.LookPath("xz")
	if err != nil {
		return nil
	}
	out, into, err := os.Pipe()
	if err != nil {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	h := &hostXZ{in: in, out: out, stop: stop, ended: make(chan error, 1), file: file}
	setup := func(c *exec.Cmd) {
		c.Stdin, c.Stdout = in, into
		c.Env = []string{"LC_ALL=C"} // without XZ_OPT and XZ_DEFAULTS
		c.WaitDelay = 0              // nobody else reads in before xz's share of it has ended
	}
	go func() {
		defer into.Close()
		h.ended <- confine.RunLong(ctx, setup, program, "-dc", fmt.Sprintf("-T%d", min(4, runtime.GOMAXPROCS(0))))
	}()
	return h
}

func (h *hostXZ) Read(p []byte) (int, error) {
	if h.library != nil {
		return h.library.Read(p)
	}
	n, err := h.out.Read(p)
	h.given += int64(n)
	if err != io.EOF {
		return n, err
	}
	if err = <-h.ended; err == nil {
		h.ended <- nil
		return n, io.EOF
	}
	if err := h.fallBack(); err != nil {
		return n, err
	}
	return n, nil
}

// fallBack has the library go on where xz has ended. All of the file is read, for who hashes it meanwhile.
func (h *hostXZ) fallBack() error {
	if _, err := io.Copy(io.Discard, h.in); err != nil {
		return err
	}
	library, err := xz.NewReader(h.file, maxWindow)
	if err == nil {
		_, err = io.CopyN(io.Discard, library, h.given)
	}
	h.library = library
	return err
}

// Close ends xz.
func (h *hostXZ) Close() error {
	h.stop()
	return h.out.Close()
}
