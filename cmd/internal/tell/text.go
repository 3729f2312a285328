package tell

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"groundhog/cmd/internal/reflash"
	"groundhog/cmd/internal/screen"
	"groundhog/initrd/show"
)

// Text tells in lines.
type Text struct {
	mu  sync.Mutex
	Out io.Writer // verdicts
	Err io.Writer // everything else

	talk    Talk
	prefix  bool                     // lines begin with the host
	streams map[string]*progressLine // that progress, by host and ID
}

// progressLine is something of which lines of progress are told.
type progressLine struct {
	pace screen.Pace
	next time.Time // of the next line
}

// NewText tells in lines: verdicts on out, all else on errs; with prefix they begin with the host.
func NewText(out, errs io.Writer, talk Talk, prefix bool) *Text {
	return &Text{Out: out, Err: errs, talk: talk, prefix: prefix, streams: map[string]*progressLine{}}
}

func (t *Text) Tell(e reflash.Event) {
	if e.Event != reflash.EventProgress || e.Over {
		t.mu.Lock()
	} else if !t.mu.TryLock() { // the next one will do: what progresses never waits for a terminal that somebody has stopped
		return
	}
	defer t.mu.Unlock()

	w, text := t.Err, e.Text
	switch e.Event {
	case reflash.EventVerdict:
		w = t.Out
		if t.talk == Quiet && e.Verdict == string(reflash.Done) {
			return
		}
	case reflash.EventCheck:
		text = fmt.Sprintf("%-6s %-12s %s", e.Verdict, e.ID, e.Text)
		if t.talk < Verbose && e.Verdict == "ok" || t.talk == Quiet && e.Verdict == "warn" {
			return
		}
	case reflash.EventProgress:
		if text = t.progressText(e, time.Now()); text == "" {
			return
		}
		if t.talk == Quiet {
			return
		}
	case reflash.EventTrace:
		if t.talk >= Verbose {
			io.WriteString(t.Err, text+"\n")
		}
		return
	case reflash.EventPhase:
		if t.talk == Quiet {
			return
		}
	}
	t.printLine(w, e, text)
}

// printLine prints a text and its hint at once. A verdict that standard output does not take, because the pager at its other end is gone,
// goes where errors go: it is what the run was for.
func (t *Text) printLine(w io.Writer, e reflash.Event, text string) {
	if t.prefix {
		text = e.Host + ": " + text
	}
	text = show.Printable(text) + "\n"
	if e.Hint != "" {
		text += "  " + show.Printable(e.Hint) + "\n"
	}
	if _, err := io.WriteString(w, text); err != nil && w != t.Err {
		io.WriteString(t.Err, text)
	}
}

// progressEvery is the time between two lines of progress.
const progressEvery = 3 * time.Second

// progressText is a line for how far something is, "" where the last one is not long ago.
func (t *Text) progressText(e reflash.Event, now time.Time) string {
	key := e.Host + "\n" + e.ID
	s := t.streams[key]
	if e.Over {
		delete(t.streams, key)
		return ""
	}
	if s == nil {
		s = &progressLine{next: now.Add(progressEvery)}
		t.streams[key] = s
	}
	s.pace.At(now, e.Bytes)
	if now.Before(s.next) {
		return ""
	}
	s.next = now.Add(progressEvery)
	text := e.ID + ": " + show.Bytes(e.Bytes)
	if e.Total > 0 {
		text += " of " + show.Bytes(e.Total)
	}
	if rate := s.pace.Rate(now, e.Bytes); rate > 0 {
		text += ", " + show.Rate(rate)
	}
	if left, ok := s.pace.Left(now, e.Bytes, e.Total); ok && e.Total > 0 {
		text += ", " + show.Left(left) + " left"
	}
	if e.Text != "" {
		text += ", " + e.Text
	}
	return text
}

func (t *Text) Table(all []reflash.Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.talk == Quiet {
		return
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, e := range all {
		if e.Verdict == reflash.Done {
			e.Text = ""
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", show.Printable(e.Host), e.Verdict, e.Took.Round(time.Second), show.Printable(e.Text))
	}
	w.Flush()
	if _, err := io.WriteString(t.Out, b.String()); err != nil {
		io.WriteString(t.Err, b.String())
	}
}

func (t *Text) Close() {}
