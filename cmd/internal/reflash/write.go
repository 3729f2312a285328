package reflash

import (
	"cmp"
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
	"groundhog/cmd/internal/flash/direct"
	"groundhog/cmd/internal/flash/disk"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/cmd/internal/home"
	"groundhog/initrd/show"
)

// byWriter flashes through groundhog-writer.
func (f *flashing) byWriter(ctx context.Context) runResult {
	f.tellPhase("flash", "comparing %s with %s", f.disk, f.path)
	session := rand.Text()
	f.wrote = "flash " + session
	r, err := flash.Run(ctx, flash.Job{Source: f.img, Disk: f.disk.Path, Who: whoami(), Session: session, Tool: f.Tool, Shared: f.Shared,
		Check: f.Check, Patience: f.Patience, Say: func(s string) { f.tellPhase("flash", "%s", s) }, Progress: f.tellProgress, Fit: f.fitTable, Connect: f.writerConnector(ctx), Going: isGoing})
	f.progressEnds(onDisk)
	if bug, ok := errors.AsType[*flash.Bug](err); ok {
		f.Tell(Event{Host: f.Name, Event: EventTrace, ID: "panic", Text: string(bug.Stack)})
	}
	if isBusy(err) && r.Lost == 0 && strings.HasSuffix(err.Error(), ": "+whoami()) { // this very process is at work there
		err = cmp.Or(f.Roll.Held(f.Name), err)
	}
	err = f.addDifference(ctx, r, err)
	data := &Flashed{Result: r, Image: f.img.Sum(), Content: f.img.Content()}
	out := runResult{state: Verified, data: data}
	switch {
	case err != nil:
		out.err = inState(f.stateLeft(ctx, r.State, f.wrote, r.Disk.Last, err), err)
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

// writerConnector makes lines to a writer: the first over the connection that there is, each other one over one that takes its place. That lives on after the
// flash, up to the end of life.
func (f *flashing) writerConnector(life context.Context) func(context.Context) (io.ReadWriteCloser, error) {
	first := true
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		if !first {
			if err := f.replaceConnection(life, ctx); err != nil {
				return nil, markLasting(err)
			}
		}
		first = false
		p, err := f.c.Start(ctx, "exec groundhog-writer serve")
		if err != nil {
			f.c.Close()
			return nil, err
		}
		return &lineToWriter{p, f.c}, nil
	}
}

// replaceConnection logs in again, to the same boot and the same disk, unless ctx ends before.
func (f *flashing) replaceConnection(life, ctx context.Context) error {
	living, end := context.WithCancel(life)
	inTime := context.AfterFunc(ctx, end)
	c, err := f.loginAgain(living)
	if err != nil {
		end()
		return err
	}
	if err = f.checkSameDisk(living, c); err == nil && !inTime() {
		err = ctx.Err()
	}
	if err != nil {
		end() // closes it
		return err
	}
	f.c.Close()
	f.c = c
	return nil
}

// checkSameDisk makes sure that the disk's name has not gone to another disk since the connection was lost: what was read back from the first one is not compared
// again. A device that lists no disks tells nothing.
func (f *flashing) checkSameDisk(ctx context.Context, c *device.Client) error {
	r, err := f.listDisks(ctx, c)
	if err != nil {
		return err
	}
	_, said, _ := strings.Cut(string(r.Stdout), "\n")
	all, err := disk.Parse([]byte(said))
	if err != nil || r.Exit != 0 {
		return nil
	}
	for _, d := range all {
		if d.Path == f.disk.Path && d.Other(f.disk.Identity) {
			return flash.Permanent(fmt.Errorf("%s is another disk now: %s, not %s", d.Path, d, f.disk))
		}
	}
	return nil
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
	p *device.Process
	c *device.Client
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

// DirectTo is where flash.Run's direct line leads.
func (l *lineToWriter) DirectTo() (direct.Address, bool) {
	to := l.c.DirectTo()
	if !to.IsValid() {
		return direct.Address{}, false
	}
	return to.As16(), true
}

// DialDirect makes it.
func (l *lineToWriter) DialDirect(ctx context.Context, port uint16) (io.WriteCloser, error) {
	return l.c.DialDirect(ctx, port)
}

// Close closes the connection, too: nothing less ends a write that waits.
func (l *lineToWriter) Close() error { return l.c.Close() }

// Release waits for the writer to end. The connection stays open.
func (l *lineToWriter) Release() { l.p.Finish(2 * time.Second) }

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
