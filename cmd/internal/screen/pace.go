package screen

import (
	"time"
)

// paceOver is the time over which a pace is measured: long enough for steady figures, short enough to follow a link that changes.
const paceOver = 10 * time.Second

// Pace tells from how far something is at what times how fast it goes. It is not safe for concurrent use.
type Pace struct {
	marks []paceMark // oldest first, half a second apart
}

// paceMark is how many bytes were done when.
type paceMark struct {
	at   time.Time
	done int64
}

// At notes that so many bytes are done.
func (p *Pace) At(now time.Time, done int64) {
	if n := len(p.marks); n == 0 || now.Sub(p.marks[n-1].at) >= 500*time.Millisecond {
		p.marks = append(p.marks, paceMark{now, done})
	}
	for len(p.marks) > 2 && now.Sub(p.marks[1].at) >= paceOver {
		p.marks = p.marks[1:]
	}
}

// Rate is bytes per second; 0 where that is not known yet.
func (p *Pace) Rate(now time.Time, done int64) float64 {
	if len(p.marks) == 0 {
		return 0
	}
	first := p.marks[0]
	over := now.Sub(first.at)
	if over < 500*time.Millisecond || done < first.done {
		return 0
	}
	return float64(done-first.done) / over.Seconds()
}

// Left is the time that the rest of total bytes takes at this pace; false where that is not known.
func (p *Pace) Left(now time.Time, done, total int64) (time.Duration, bool) {
	rate := p.Rate(now, done)
	if rate <= 0 || total < done {
		return 0, false
	}
	seconds := float64(total-done) / rate
	if seconds > 100*24*3600 {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}
