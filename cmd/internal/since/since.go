// Package since measures how long ago something was, by a clock that nobody sets: the machine's own time may be set while a flash runs, on a build host by
// NTP, on a board without a clock of its own by whoever loads the driver of another one.
package since

import (
	"math"
	"sync/atomic"
	"time"
)

// began is what moments are counted from; it keeps Go's monotonic reading, which a time of UnixNano has not.
var began = time.Now()

// Moment is when something was last noted. It is safe for concurrent use; the zero Moment was never noted.
type Moment struct{ at atomic.Int64 }

// Note notes that it is now, and reports whether that was never noted before.
func (m *Moment) Note() (first bool) { return m.at.Swap(int64(time.Since(began))+1) == 0 }

// Ago is how long ago that was; of what was never noted it is the longest time there is.
func (m *Moment) Ago() time.Duration {
	at := m.at.Load()
	if at == 0 {
		return math.MaxInt64
	}
	return time.Since(began) - time.Duration(at-1)
}

// Ticks notices that this process did not run: it was stopped (Ctrl-Z), or its machine slept. What was not heard meanwhile was not unsaid.
type Ticks struct {
	every time.Duration
	last  Moment
}

// NewTicks is for a ticker of that period.
func NewTicks(every time.Duration) *Ticks {
	t := &Ticks{every: every}
	t.last.Note()
	return t
}

// WereMissed notes a tick, and reports whether it came so late that others must have been missed.
func (t *Ticks) WereMissed() bool {
	late := t.last.Ago()
	t.last.Note()
	return t.isLate(late)
}

// isLate leaves a loaded machine three periods.
func (t *Ticks) isLate(after time.Duration) bool { return after > 3*t.every }
