package reflash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/hint"
)

// Verdict is how a device's run ended.
type Verdict string

const (
	Done        Verdict = "done"
	Refused     Verdict = "refused"     // or different: nothing was changed
	Unreachable Verdict = "unreachable" // nothing was changed, and another try may help
	Trouble     Verdict = "trouble"
	Interrupted Verdict = "interrupted"
)

// Outcome is the end of a device's run.
type Outcome struct {
	Host    string // as given on the command line
	Verdict Verdict
	Text    string
	Took    time.Duration
}

// Host is one device, and whoever is told what happens there.
type Host struct {
	Teller
	Name  string // as given on the command line
	Began time.Time
}

func (h Host) phase(id, format string, args ...any) {
	h.Tell(Event{Host: h.Name, Event: EventPhase, ID: id, Text: fmt.Sprintf(format, args...)})
}

// verdict is the end of a device's run, said once.
func (h Host) verdict(ctx context.Context, done string, data any, err error) Outcome {
	out := Outcome{Host: h.Name, Verdict: Done, Text: done}
	if err != nil {
		out.Text, out.Verdict = err.Error(), Trouble
		switch {
		case ctx.Err() != nil:
			out.Verdict = Interrupted
			out.Text = strings.Replace(out.Text, context.Canceled.Error(), string(Interrupted), 1)
		case isRefusal(err) && errors.Is(err, device.ErrUnreachable):
			out.Verdict = Unreachable
		case isRefusal(err):
			out.Verdict = Refused
		}
	}
	out.Took = time.Since(h.Began)
	h.Tell(Event{Host: h.Name, Event: EventVerdict, Verdict: string(out.Verdict), Text: out.Text, Hint: hint.Of(err), Data: data})
	return out
}

// refused is an error of which it is known whether nothing was changed before it. What stands outside counts.
type refused struct {
	error
	is bool
}

func (r refused) Unwrap() error { return r.error }

// refusal marks an error as one before which nothing was changed.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	return refused{err, true}
}

func isRefusal(err error) bool {
	var r refused
	return errors.As(err, &r) && r.is
}

// progress tells how far something of total bytes is; total is 0 where that is not known.
func (h Host) progress(id string, done, total int64, more string) {
	h.Tell(Event{Host: h.Name, Event: EventProgress, ID: id, Bytes: done, Total: total, Text: more})
}

// progressEnds tells that there is no more of it.
func (h Host) progressEnds(id string) {
	h.Tell(Event{Host: h.Name, Event: EventProgress, ID: id, Over: true})
}

// counted is a stream that is told of while it is read.
type counted struct {
	io.Reader
	host        Host
	id          string
	done, total int64
}

// count follows a stream.
func (h Host) count(r io.Reader, id string, total int64) *counted {
	return &counted{Reader: r, host: h, id: id, total: total}
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.done += int64(n)
	c.host.progress(c.id, c.done, c.total, "")
	return n, err
}

// end is that there is no more of it, however far it came.
func (c *counted) end() { c.host.progressEnds(c.id) }
