package screen

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"groundhog/initrd/show"
)

// Bar is a line of progress: how many bytes of something are done.
type Bar struct {
	screen *Screen
	label  string

	mu          sync.Mutex
	done, total int64 // total is 0 as long as it is not known
	pace        Pace
}

// Bar shows a line of progress until it is closed.
func (s *Screen) Bar(label string) *Bar {
	b := &Bar{screen: s, label: strings.Map(asciiRune, label)}
	s.addBar(b)
	return b
}

// asciiRune keeps a label one column a byte.
func asciiRune(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}

// Set says how far it is. It never waits for the terminal.
func (b *Bar) Set(done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done, b.total = done, total
	b.pace.At(time.Now(), done)
}

// Close takes the line away.
func (b *Bar) Close() { b.screen.removeBar(b) }

// Bounds of the picture of a bar, in columns.
const (
	barLeast = 8
	barMost  = 40
)

// barLine is the bar in at most so many columns; what has no room is left out, the picture first and the percentage last.
func (b *Bar) barLine(now time.Time, columns int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var parts []string // in the order of their weight
	percent := -1
	if b.total > 0 {
		percent = int(min(100, b.done*100/b.total))
		parts = append(parts, fmt.Sprintf("%3d%%", percent))
		parts = append(parts, show.Bytes(b.done)+" of "+show.Bytes(b.total))
	} else {
		parts = append(parts, show.Bytes(b.done))
	}
	if left, ok := b.pace.Left(now, b.done, b.total); ok && b.total > 0 {
		parts = append(parts, show.Left(left)+" left")
	}
	if rate := b.pace.Rate(now, b.done); rate > 0 {
		parts = append(parts, show.Rate(rate))
	}
	label, room := b.label, columns-len(parts[0])
	if len(label)+1 > room {
		label = label[:max(0, min(len(label), room-1))]
	}
	text := strings.TrimPrefix(label+" "+parts[0], " ")
	for _, p := range parts[1:] {
		if len(text)+2+len(p) > columns {
			break
		}
		text += "  " + p
	}
	if picture := min(barMost, columns-len(text)-3); percent >= 0 && picture >= barLeast {
		done := picture * percent / 100
		at := len(text) - len(strings.TrimPrefix(text, label+" "))
		text = text[:at] + "[" + strings.Repeat("=", done) + strings.Repeat(" ", picture-done) + "] " + text[at:]
	}
	return text[:max(0, min(len(text), columns))]
}
