package reflash

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/cmd/internal/hint"
	"groundhog/initrd/show"
)

// byWriter flashes through groundhog-writer.
func (f *flashing) byWriter(ctx context.Context) (string, flash.Result, error) {
	f.phase("flash", "comparing %s with %s", f.disk, f.path)
	session := rand.Text()
	r, err := flash.Run(ctx, flash.Job{Source: f.img, Disk: f.disk.Path, Who: whoami(), Session: session, Tool: f.Tool,
		Check: f.Check, Patience: f.Patience, Say: func(s string) { f.phase("flash", "%s", s) }, Progress: f.progress, Fit: f.fit, Connect: f.connector()})
	f.progressEnds(onDisk)
	err = f.differs(ctx, r, err)
	if err != nil && !f.Check && !busy(err) {
		if state := f.ask(ctx, session); r.State == flash.Unknown || state == flash.Waiting { // an earlier flash may have left it half written
			r.State = state
		}
	}
	if err != nil {
		return "", r, f.failed(r.State, err)
	}
	if f.Check {
		return fmt.Sprintf("%s is equal to %s, %s: %s compared, nothing written", f.disk.Path, f.path, r.CheckedAgainst(), show.Bytes(r.Size)), r, nil
	}
	moved := ""
	if r.Moved > 0 {
		moved = fmt.Sprintf(", %s found elsewhere on the disk", show.Bytes(r.Moved))
	}
	return fmt.Sprintf("verified: %s has %s (sha256 %s, %s), %s in %.1f s, %s; %s sent for %d chunks%s, %d were there, %d zeroed",
		f.disk.Path, f.path, f.img.SHA256(), r.CheckedAgainst(), show.Bytes(r.Size), r.Seconds, show.Rate(float64(r.Size)/r.Seconds), show.Bytes(r.Sent), r.Written, moved, r.Same, r.Zeroed), r, nil
}

// busy is the refusal of a device that another flash is at work on: it alone knows what the disk is.
func busy(err error) bool {
	var f *protocol.Failure
	return errors.As(err, &f) && f.Kind == protocol.KindBusy
}

// askFor is how long the device is asked after its state, also by whoever was interrupted.
const askFor = 30 * time.Second

// ask asks the device itself what became of its disk, where that can be.
func (f *flashing) ask(ctx context.Context, session string) flash.State {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askFor)
	defer cancel()
	c, err := f.login(ctx)
	if err != nil {
		return flash.Unknown
	}
	defer c.Close()
	said, err := c.Output(ctx, "groundhog-writer state "+device.Quote(f.disk.Path))
	if err != nil {
		return flash.Unknown
	}
	state, by, _ := strings.Cut(strings.TrimSpace(said), " ")
	switch {
	case writer.State(state) == writer.StateWriting:
		return flash.Waiting
	case writer.State(state) == writer.StateNone, writer.State(state) == writer.StateVerified && by != session:
		return flash.Untouched
	}
	return flash.Unknown
}

// failed says what the device is now.
func (f *flashing) failed(state flash.State, err error) error {
	if errors.Is(err, flash.ErrDiffers) {
		return refusal(err)
	}
	switch state {
	case flash.Untouched:
		return refusal(fmt.Errorf("%w; nothing was written", err))
	case flash.Waiting:
		return hint.To(fmt.Errorf("%w; %s waits in its initramfs, its disk is neither the old nor the new one", err, f.Name), "flash it again: what is on the disk by then is not sent twice")
	}
	return hint.To(fmt.Errorf("%w; what is on the disk of %s is not known", err, f.Name), "if it was writing it waits in its initramfs: flash it again")
}

// connector makes lines to a writer: the first over the connection that there is.
func (f *flashing) connector() func(context.Context) (io.ReadWriteCloser, error) {
	first := true
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		c, ours := f.c, !first
		first = false
		if ours {
			var err error
			if c, err = f.login(ctx); err != nil {
				return nil, lasting(err)
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

// lasting marks what another try does not change.
func lasting(err error) error {
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

// Release leaves the connection to whoever made it, once the writer, which has said all, is gone.
func (l *lineToWriter) Release() {
	l.p.Finish(2 * time.Second)
	if l.ours {
		l.c.Close()
	}
}

// whoami is for whoever finds the device taken.
func whoami() string {
	name, _ := os.Hostname()
	if u, err := user.Current(); err == nil {
		name = u.Username + "@" + name
	}
	return fmt.Sprintf("%s, process %d", name, os.Getpid())
}
