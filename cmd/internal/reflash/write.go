package reflash

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/cmd/internal/home"
	"groundhog/initrd/show"
)

// byWriter flashes through groundhog-writer.
func (f *flashing) byWriter(ctx context.Context) runResult {
	f.tellPhase("flash", "comparing %s with %s", f.disk, f.path)
	session := rand.Text()
	r, err := flash.Run(ctx, flash.Job{Source: f.img, Disk: f.disk.Path, Who: whoami(), Session: session, Tool: f.Tool, Shared: f.Shared,
		Check: f.Check, Patience: f.Patience, Say: func(s string) { f.tellPhase("flash", "%s", s) }, Progress: f.tellProgress, Fit: f.fitTable, Connect: f.writerConnector(), Going: isGoing})
	f.progressEnds(onDisk)
	if bug, ok := errors.AsType[*flash.Bug](err); ok {
		f.Tell(Event{Host: f.Name, Event: EventTrace, ID: "panic", Text: string(bug.Stack)})
	}
	err = f.addDifference(ctx, r, err)
	data := &Flashed{Result: r, Image: f.img.Sum(), Content: f.img.Content()}
	out := runResult{state: Verified, data: data}
	switch {
	case err != nil:
		out.err = inState(f.stateLeft(ctx, r.State, "flash "+session, r.Disk.Last, err), err)
	case f.Check:
		out.state = Untouched
		out.done = fmt.Sprintf("%s is equal to %s, %s: %s compared, nothing written", f.disk.Path, f.path, r.CheckedAgainst(), show.Bytes(r.Size))
	default:
		moved := ""
		if r.Moved > 0 {
			moved = fmt.Sprintf(", %s found elsewhere on the disk%s", show.Bytes(r.Moved), r.LookedThrough())
		}
		retried := ""
		if r.Retried > 0 {
			retried = fmt.Sprintf("; %d chunks of this disk could not be read before, or took more than one try", r.Retried)
		}
		out.done = fmt.Sprintf("verified: %s has %s (%s), %s in %.1f s, %s; %s sent for %d chunks%s, %d were there, %d zeroed%s",
			f.disk.Path, f.path, data.imageNamed(), show.Bytes(r.Size), r.Seconds, show.Rate(float64(r.Size)/r.Seconds), show.Bytes(r.Sent), r.Written, moved, r.Same, r.Zeroed, retried)
	}
	return out
}

// writerConnector makes lines to a writer: the first over the connection that there is.
func (f *flashing) writerConnector() func(context.Context) (io.ReadWriteCloser, error) {
	first := true
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		c, ours := f.c, !first
		first = false
		if ours {
			var err error
			if c, err = f.loginAgain(ctx); err != nil {
				return nil, markLasting(err)
			}
		}
		p, err := c.Start(ctx, "exec groundhog-writer serve")
		if err != nil {
			c.Close()
			return nil, err
		}
		return &lineToWriter{p, c, ours}, nil
	}
}

// markLasting marks what another try does not change.
func markLasting(err error) error {
	if errors.Is(err, device.ErrHostKey) || errors.Is(err, device.ErrAuth) || errors.Is(err, errRebooted) {
		return flash.Permanent(err)
	}
	return err
}

// lineToWriter is a writer that runs on the device.
type lineToWriter struct {
	p    *device.Process
	c    *device.Client
	ours bool // the connection is for this line alone
}

func (l *lineToWriter) Read(b []byte) (int, error) {
	n, err := l.p.Stdout.Read(b)
	if err == nil {
		return n, nil
	}
	if said := strings.TrimSpace(l.p.Stderr()); err == io.EOF && said != "" {
		return n, fmt.Errorf("the writer ended: %s", said)
	}
	if err = l.p.Cause(err); errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the line to the writer ended")
	}
	return n, err
}

func (l *lineToWriter) Write(b []byte) (int, error) {
	n, err := l.p.Stdin.Write(b)
	if err != nil {
		err = l.p.Cause(err)
	}
	return n, err
}

// Close closes the connection, too: nothing less ends a write that waits.
func (l *lineToWriter) Close() error { return l.c.Close() }

// Release waits for the writer to end. The connection stays open, unless it was made for this line alone.
func (l *lineToWriter) Release() {
	l.p.Finish(2 * time.Second)
	if l.ours {
		l.c.Close()
	}
}

// whoami is for whoever finds the device taken.
func whoami() string { return userAtHost() + strconv.Itoa(os.Getpid()) }

// userAtHost is the part of whoami that names user and machine.
func userAtHost() string {
	name, _ := os.Hostname()
	return home.Me().Name + "@" + name + ", process "
}

// isGoing reports whether whoever holds the device will let go of it soon: a process of this user on this machine that has ended, or one
// that only asks for the state of the disk.
func isGoing(text string) bool {
	if strings.HasSuffix(text, ": "+writer.Asking) {
		return true
	}
	_, rest, ok := strings.Cut(text, userAtHost())
	pid, err := strconv.Atoi(strings.TrimSpace(rest))
	return ok && err == nil && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
