package image

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"

	"github.com/cespare/xxhash/v2"
	"github.com/mikelolasagasti/xz"

	"groundhog/cmd/internal/confine"
	"groundhog/cmd/internal/hint"
)

// hostXZ decodes an .xz file by xz(1), which takes two thirds of the library's time. xz checks what it decodes by the file's own checksums, as
// the library does. Where xz does not end well, the library decodes the file from its beginning and gives what comes behind what xz gave, if that
// was the same: so what is taken for an image, and what an error says, does not depend on which xz is installed.
type hostXZ struct {
	in      *bufio.Reader
	out     *os.File
	stop    context.CancelFunc
	ended   chan error     // how xz ended
	given   int64          // bytes
	sum     *xxhash.Digest // of these
	file    io.Reader      // the same file, from its beginning
	library io.Reader      // once xz has failed
}

// errHostXZ is that what the host's xz gave is used already, and is not what the file has.
var errHostXZ = hint.To(errors.New("the xz that is installed has failed, and gave something else than the file has before"), "without that xz in PATH groundhog decodes the file itself")

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
	h := &hostXZ{in: in, out: out, stop: stop, ended: make(chan error, 1), sum: xxhash.New(), file: file}
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
	h.sum.Write(p[:n])
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
	if err != nil {
		return err
	}
	again := xxhash.New()
	if _, err = io.CopyN(again, library, h.given); err == nil && again.Sum64() != h.sum.Sum64() {
		err = errHostXZ
	}
	h.library = library
	return err
}

// Close ends xz.
func (h *hostXZ) Close() error {
	h.stop()
	return h.out.Close()
}
