// Groundhog-writer is the device's half of groundhog flash: it compares the disk with what groundhog announces, writes
// what differs and reads it back. It runs in the waiting initramfs, started over SSH, and speaks the
// protocol of package protocol on standard input and output.
//
//	groundhog-writer serve [DIR]  until the client is done or gone; DIR, /run/groundhog, has the wait's state
//	groundhog-writer disks        the device's disks, as JSON
//	groundhog-writer disks begin DISK N
//	                              the first N bytes of one: a process of its own, which disks starts
//	groundhog-writer state DISK   once nobody is at work: writing (half written), verified, or none (untouched in
//	                              this boot), and the session that did so
//	groundhog-writer kexec trial KERNEL
//	                              on the running system: whether KERNEL, the file of the kernel that runs, could be started by kexec
//	groundhog-writer kexec load KERNEL SIZE SHA256
//	                              loads it with the initramfs that comes on standard input, and starts it when "go" follows
//	groundhog-writer kexec new trial|load SIZE SHA256 SIZE SHA256 LINE
//	                              in the waiting initramfs the same with a kernel of that size, an initramfs (0: none), both
//	                              on standard input, and a command line
//	groundhog-writer version      which one this is
//
// Exit status: 0 done, 1 refused or failed (standard error says why), 2 the command line is wrong.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/disk"
	"groundhog/cmd/internal/flash/wire"
	"groundhog/cmd/internal/flash/writer"
)

const usageText = "usage: groundhog-writer serve [DIR] | disks | state DISK | kexec trial KERNEL | kexec load KERNEL SIZE SHA256 | kexec new trial|load SIZE SHA256 SIZE SHA256 LINE | version"

var errUsage = errors.New("the command line is wrong")

// runDir is where the waiting initramfs keeps its state.
const runDir = "/run/groundhog"

func main() {
	// A client that goes takes its terminal and its pipe with it; what is being written is finished first.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	var err error
	switch {
	case len(args) == 1 && args[0] == "serve":
		err = serveFlash(runDir)
	case len(args) == 2 && args[0] == "serve":
		err = serveFlash(args[1])
	case len(args) == 1 && args[0] == "disks":
		err = printDisks(stdout)
	case len(args) == 4 && args[0] == "disks" && args[1] == "begin":
		err = printBeginning(stdout, args[2], args[3])
	case len(args) == 2 && args[0] == "state":
		err = printState(stdout, args[1])
	case len(args) > 1 && args[0] == "kexec":
		err = runKexec(os.Stdin, stdout, args[1:])
	case len(args) == 1 && args[0] == "version":
		fmt.Fprintln(stdout, helloTool())
	default:
		err = errUsage
	}
	if errors.Is(err, errUsage) {
		fmt.Fprintln(stderr, usageText)
		return 2
	}
	if err != nil {
		fmt.Fprintf(stderr, "groundhog-writer: %v\n", err)
		return 1
	}
	return 0
}

// helloTool is what the hello carries: the protocol is what has to fit.
func helloTool() string { return fmt.Sprintf("groundhog-writer, protocol %d", wire.Version) }

func printDisks(w io.Writer) error {
	all, err := disk.List(os.DirFS("/"), readBeginning)
	if err != nil {
		return err
	}
	if all == nil {
		all = []disk.Info{}
	}
	return json.NewEncoder(w).Encode(all)
}

// diskPatience is how long a disk may take to hand over its beginning, which was read already when the kernel looked for partitions.
const diskPatience = 5 * time.Second

// readBeginning reads a disk's first n bytes in a process of its own. Where the disk does not answer that one may not end even when it is
// killed: a read that waits in the kernel ends with the disk's answer. Nobody waits for it then; in this process it would keep this one from ending.
func readBeginning(name string, n int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), diskPatience)
	defer cancel()
	type said struct {
		b   []byte
		err error
	}
	end := make(chan said, 1)
	go func() {
		b, err := exec.CommandContext(ctx, "/proc/self/exe", "disks", "begin", name, strconv.FormatInt(n, 10)).Output()
		end <- said{b, err}
	}()
	select {
	case s := <-end:
		return s.b, beginningError(ctx, s.err)
	case <-ctx.Done():
		return nil, beginningError(ctx, ctx.Err())
	}
}

// beginningError is why a disk's beginning was not read, in the words of whoever read it.
func beginningError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: its beginning was not read within %s", disk.ErrSilent, diskPatience)
	}
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && len(ended.Stderr) > 0 {
		return errors.New(strings.TrimPrefix(strings.TrimSpace(string(ended.Stderr)), "groundhog-writer: "))
	}
	return err
}

func printBeginning(w io.Writer, name, n string) error {
	size, err := strconv.ParseUint(n, 10, 20)
	if err != nil {
		return errUsage
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	_, err = io.CopyN(w, f, int64(size))
	return err
}

// writerPatience is how long a writer that lost its client may take to finish what it was given: a batch of chunks.
const writerPatience = 20 * time.Second

func printState(w io.Writer, disk string) error {
	s, session, err := writer.StateOf(runDir, disk, writerPatience)
	if err == nil {
		_, err = fmt.Fprintln(w, s, session)
	}
	return err
}

// pipeSize is room for a chunk on its way from the SSH server, in bytes: as much as any user may have (pipe(7)).
const pipeSize = 1 << 20

func serveFlash(run string) error {
	// The server goes on decrypting while a chunk is unpacked. Where that cannot be had, it waits.
	unix.FcntlInt(0, unix.F_SETPIPE_SZ, pipeSize)
	in, err := closableStream(0)
	if err != nil {
		return err
	}
	out, err := closableStream(1)
	if err != nil {
		return err
	}
	return writer.Serve(context.Background(), bothStreams{in, out}, writer.Config{Tool: helloTool(), Run: run, Direct: true})
}

// closableStream is a standard stream whose Close ends a read or a write that waits.
func closableStream(fd int) (*os.File, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), [...]string{"stdin", "stdout"}[fd]), nil
}

// bothStreams is both streams.
type bothStreams struct{ in, out *os.File }

func (l bothStreams) Read(p []byte) (int, error)  { return l.in.Read(p) }
func (l bothStreams) Write(p []byte) (int, error) { return l.out.Write(p) }
func (l bothStreams) Close() error {
	l.in.Close()
	return l.out.Close()
}
