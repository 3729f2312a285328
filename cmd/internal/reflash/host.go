package reflash

import (
	"context"
	"fmt"
	"io"
	"time"

	"groundhog/cmd/internal/flash"
)

// Outcome is the end of a device's run.
type Outcome struct {
	Host    string // as given on the command line
	Verdict Verdict
	State   State
	Text    string
	Took    time.Duration
}

// Host is one device, and whoever is told what happens there.
type Host struct {
	Teller
	Name  string // as given on the command line
	Began time.Time
}

func (h Host) tellPhase(id, format string, args ...any) {
	h.Tell(Event{Host: h.Name, Event: EventPhase, ID: id, Text: fmt.Sprintf(format, args...)})
}

func (h Host) tellImage(text string) { h.tellPhase("image", "%s", text) }

// runResult is how a run went: without an error what it did, and what state that left the device in.
type runResult struct {
	done  string
	state State
	data  *Flashed // figures, for machines
	err   error
}

// Refuse is the end of a run that was not begun: what it needs here is not there, or not as it should be.
func (h Host) Refuse(err error) Outcome {
	return h.tellVerdict(context.Background(), runResult{err: inState(Untouched, err)})
}

// tellVerdict is the end of a device's run, said once.
func (h Host) tellVerdict(ctx context.Context, r runResult) Outcome {
	out := Outcome{Host: h.Name, State: r.state, Text: r.done, Took: time.Since(h.Began)}
	todo := ""
	if r.err != nil {
		out.State = stateOf(r.err)
		out.Text, todo = verdictWords(h.Name, out.State, r.err, ctx.Err() != nil)
	}
	out.Verdict = verdictOf(out.State, r.err, ctx.Err() != nil)
	if f := r.data; f != nil {
		f.State = flash.State(out.State)
	}
	h.Tell(Event{Host: h.Name, Event: EventVerdict, Verdict: string(out.Verdict), State: out.State, Text: out.Text, Hint: todo, Data: r.data})
	return out
}

// tellBytes tells how far something of total bytes is; total is 0 where that is not known.
func (h Host) tellBytes(id string, done, total int64, more string) {
	h.Tell(Event{Host: h.Name, Event: EventProgress, ID: id, Bytes: done, Total: total, Text: more})
}

// progressEnds tells that there is no more of it.
func (h Host) progressEnds(id string) {
	h.Tell(Event{Host: h.Name, Event: EventProgress, ID: id, Over: true})
}

// countedReader is a stream that is told of while it is read.
type countedReader struct {
	io.Reader
	host        Host
	id          string
	done, total int64
}

// countReader follows a stream.
func (h Host) countReader(r io.Reader, id string, total int64) *countedReader {
	return &countedReader{Reader: r, host: h, id: id, total: total}
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.done += int64(n)
	c.host.tellBytes(c.id, c.done, c.total, "")
	return n, err
}

// endCount tells that no more bytes come, whether all came or not.
func (c *countedReader) endCount() { c.host.progressEnds(c.id) }
