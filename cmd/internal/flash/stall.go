package flash

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"groundhog/cmd/internal/since"
)

// maxStall bounds Job.Stalled where nobody sets it: a worn card may be at one flush for a minute.
const maxStall = 2 * time.Minute

// pingLen is a Ping's bytes on the line: they are no progress.
const pingLen = 8

// deviceStall notices a device that is alive and gets on with nothing: a disk operation that never returns, a frame that was lost on
// the way, a writer that says no more than that it is there.
type deviceStall struct {
	out, pings atomic.Int64 // bytes and pings on the line, towards the device
	seen       int64        // bytes, at the last look
	moved      since.Moment // when something was last got on with
	opened     atomic.Bool
}

// noteProgress notes that the device has got on with something.
func (s *deviceStall) noteProgress() { s.moved.Note() }

// sinceProgress is how long nothing was got on with.
func (s *deviceStall) sinceProgress() time.Duration {
	if bytes := s.out.Load() - pingLen*s.pings.Load(); bytes > s.seen {
		s.seen = bytes
		s.noteProgress()
	}
	return s.moved.Ago()
}

// deviceOwes is what the device has to do, "" for nothing: then it waits for the image, as we do.
func (a *writerLine) deviceOwes() string {
	if !a.stall.opened.Load() {
		return "opening its disk"
	}
	a.flashRun.mu.Lock()
	defer a.flashRun.mu.Unlock()
	what := ""
	if s := a.scan; s != nil && s.heard < s.asked {
		what = "scanning its disk"
	}
	if a.flashRun.chunks.unsaid > 0 {
		what = "comparing"
	}
	for n, it := range a.flashRun.chunks.pending {
		switch {
		case it.at == stageAsked && what == "":
			what = "comparing"
		case it.at >= stageGoing && n != 0: // the first chunk waits for the end
			what = "writing"
		}
	}
	if a.ended {
		what = "writing what comes last"
	}
	return what
}

// whyStalled is why the line is given up; nil as long as the device gets on, or has nothing to do.
func (a *writerLine) whyStalled() error {
	what := a.deviceOwes()
	if what == "" {
		a.stall.noteProgress()
		return nil
	}
	if quiet := a.stall.sinceProgress(); quiet > a.Stalled {
		return fmt.Errorf("the device answers, and has not got on with %s for %s", what, quiet.Round(time.Second))
	}
	return nil
}

// pieceWriter writes in pieces, so that a slow line's progress shows within a frame.
type pieceWriter struct {
	io.Writer
	n *atomic.Int64
}

const pieceLen = 64 << 10

func (w pieceWriter) Write(p []byte) (done int, err error) {
	for done < len(p) && err == nil {
		var n int
		n, err = w.Writer.Write(p[done:min(len(p), done+pieceLen)])
		done += n
		w.n.Add(int64(n))
	}
	return done, err
}
