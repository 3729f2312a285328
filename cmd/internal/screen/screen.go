// Package screen keeps lines of progress at the bottom of a terminal, below the text that is printed.
//
// The one rule is that text is never lost: Write has put it on the terminal before it returns, whatever becomes of the lines below
// it. (Libraries that draw text and bars in one goroutine hold text back until the next drawing; what comes after the last one is
// gone.) Only the bars are drawn now and then, by a goroutine of their own, so that whoever reports progress never waits
// for a terminal that is stopped.
//
// Of the terminal it wants what every one has had since the VT100: carriage return, cursor up (CSI A) and erase to the end (CSI J).
package screen

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/term"
)

// Screen is a terminal. It is safe for concurrent use.
type Screen struct {
	tty  io.Writer
	size func() (columns, rows int)

	mu    sync.Mutex
	bars  []*Bar
	drawn []int         // columns of each line of progress that is on the terminal now
	still bool          // somebody is asked there: nothing is drawn
	stop  chan struct{} // ends the drawing; nil: there is none
}

// drawEvery is the time between two drawings.
const drawEvery = 200 * time.Millisecond

// Capable reports whether f is a terminal that can keep lines at its bottom. TERM=dumb says that it cannot.
func Capable(f *os.File) bool {
	kind := os.Getenv("TERM")
	return kind != "" && kind != "dumb" && term.IsTerminal(int(f.Fd()))
}

// New is the screen of a terminal.
func New(tty *os.File) *Screen {
	return &Screen{tty: tty, size: func() (int, int) {
		columns, rows, err := term.GetSize(int(tty.Fd()))
		if err != nil || columns <= 0 || rows <= 0 {
			return 80, 24 // a terminal that does not know its size
		}
		return columns, rows
	}}
}

// Write prints text above the lines of progress.
func (s *Screen) Write(p []byte) (int, error) { return s.printAbove(s.tty, p) }

// Above is a writer for text that goes to w, which is the same terminal by another way: standard output beside standard error.
func (s *Screen) Above(w io.Writer) io.Writer { return aboveWriter{s, w} }

type aboveWriter struct {
	s *Screen
	w io.Writer
}

func (a aboveWriter) Write(p []byte) (int, error) { return a.s.printAbove(a.w, p) }

func (s *Screen) printAbove(w io.Writer, p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	s.eraseLines(&b)
	if b.Len() > 0 {
		s.tty.Write(b.Bytes())
	}
	n, err := w.Write(p)
	if len(p) > 0 && p[len(p)-1] == '\n' { // the lines of progress begin in the first column
		s.drawLines()
	}
	return n, err
}

// Quiet takes the lines of progress away until the returned function is called: somebody is asked on this terminal.
func (s *Screen) Quiet() (again func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipeLines()
	s.still = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.still = false
		s.drawLines()
	}
}

// Close takes all lines of progress away.
func (s *Screen) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bars = nil
	s.stopDrawing()
	s.wipeLines()
}

// stopDrawing ends the drawing. The caller holds mu.
func (s *Screen) stopDrawing() {
	if s.stop != nil {
		close(s.stop)
		s.stop = nil
	}
}

// wipeLines takes the lines off the terminal. The caller holds mu.
func (s *Screen) wipeLines() {
	var b bytes.Buffer
	s.eraseLines(&b)
	s.tty.Write(b.Bytes())
}

// eraseLines goes back to where the first line of progress begins, and clears from there on. The caller holds mu.
func (s *Screen) eraseLines(b *bytes.Buffer) {
	if len(s.drawn) == 0 {
		return
	}
	columns, _ := s.size()
	up := -1
	for _, n := range s.drawn {
		up += max(1, (n+columns-1)/columns) // narrowed since, a terminal has broken the line
	}
	b.WriteByte('\r')
	if up > 0 {
		fmt.Fprintf(b, "\x1b[%dA", up)
	}
	b.WriteString("\x1b[J")
	s.drawn = nil
}

// drawLines puts the lines on the terminal, in the place of those before. The caller holds mu.
func (s *Screen) drawLines() {
	if s.still || len(s.bars) == 0 && len(s.drawn) == 0 {
		return
	}
	var b bytes.Buffer
	s.eraseLines(&b)
	columns, rows := s.size()
	now := time.Now()
	for i, bar := range s.bars[:min(len(s.bars), max(1, rows-1))] {
		if i > 0 {
			b.WriteByte('\n')
		}
		text := bar.barLine(now, columns-3) // behind it a terminal echoes ^C, and the last column makes some go to the next line
		b.WriteString(text)
		s.drawn = append(s.drawn, len(text))
	}
	s.tty.Write(b.Bytes())
}

// addBar shows one more bar.
func (s *Screen) addBar(bar *Bar) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bars = append(s.bars, bar)
	if s.stop != nil {
		return
	}
	stop := make(chan struct{})
	s.stop = stop
	go func() {
		tick := time.NewTicker(drawEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				s.mu.Lock()
				if s.stop == stop {
					s.drawLines()
				}
				s.mu.Unlock()
			}
		}
	}()
}

// removeBar takes a bar away.
func (s *Screen) removeBar(bar *Bar) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bars = slices.DeleteFunc(s.bars, func(other *Bar) bool { return other == bar })
	s.drawLines()
	if len(s.bars) == 0 {
		s.stopDrawing()
	}
}
