package screen

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"github.com/hinshun/vt10x"

	"groundhog/fixtures/judge"
)

// glass is a terminal of a given size that is a buffer, and what an emulator would show of it.
type glass struct {
	bytes.Buffer
	columns, rows int
}

func (g *glass) screen() *Screen {
	return &Screen{tty: g, size: func() (int, int) { return g.columns, g.rows }}
}

// shows is the lines on the terminal, without blank ones at the end. A terminal driver makes CR LF of each LF (termios(3), ONLCR).
func (g *glass) shows(t *testing.T) []string {
	t.Helper()
	vt := vt10x.New(vt10x.WithSize(g.columns, g.rows))
	judge.Value(vt.Write(bytes.ReplaceAll(g.Bytes(), []byte("\n"), []byte("\r\n"))))(t)
	var lines []string
	for _, line := range strings.Split(vt.String(), "\n") {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// Text stands above the bars, whole, whatever is drawn in between; when the bars are gone, nothing of them is left.
func TestTextAboveBars(t *testing.T) {
	for _, columns := range []int{20, 39, 80, 200} {
		g := &glass{columns: columns, rows: 40}
		s := g.screen()
		var want []string
		say := func(text string) {
			fmt.Fprintln(s, text)
			for ; len(text) > columns; text = text[columns:] {
				want = append(want, text[:columns])
			}
			want = append(want, text)
		}
		say("before any bar")
		a, b := s.Bar("root@bench-1 sent"), s.Bar("root@bench-2 sent")
		for i := range 4 {
			a.Set(int64(i)<<20, 10<<20)
			b.Set(int64(i)<<24, 0)
			s.mu.Lock()
			s.drawLines()
			s.mu.Unlock()
			say(fmt.Sprintf("line %d that is so long that a narrow window breaks it", i))
		}
		a.Close()
		say("between the two")
		if got := strings.Join(g.shows(t), "\n"); !strings.Contains(got, "root@ben") {
			t.Errorf("%d columns: no bar below\n%s", columns, got)
		}
		b.Close()
		say("verified: all of it")
		s.Close()
		if diff := cmp.Diff(want, g.shows(t)); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", columns, diff)
		}
	}
}

// A window that somebody makes narrower breaks the lines that are on it: they are taken away all the same.
func TestNarrowed(t *testing.T) {
	g := &glass{columns: 80, rows: 20}
	s := g.screen()
	bar := s.Bar("root@bench-1 sent")
	bar.Set(1<<20, 2<<20)
	s.mu.Lock()
	s.drawLines()
	s.mu.Unlock()
	g.Reset()
	g.columns = 30
	bar.Close()
	if want := "\r\x1b[2A\x1b[J"; g.String() != want {
		t.Errorf("%q, want %q", g.String(), want)
	}
	s.Close()
}

func TestLine(t *testing.T) {
	now := time.Now()
	b := &Bar{label: "root@bench-1 sent", done: 30 << 20, total: 120 << 20}
	b.pace.marks = []paceMark{{now.Add(-10 * time.Second), 10 << 20}}
	for columns, want := range map[int]string{
		100: "root@bench-1 sent [=======                        ]  25%  30.0 MiB of 120.0 MiB  45s left  2.0 MiB/s",
		79:  "root@bench-1 sent [==        ]  25%  30.0 MiB of 120.0 MiB  45s left  2.0 MiB/s",
		60:  "root@bench-1 sent  25%  30.0 MiB of 120.0 MiB  45s left",
		30:  "root@bench-1 sent  25%",
		15:  "root@bench  25%",
		3:   " 25",
		0:   "",
		-1:  "",
	} {
		if got := b.barLine(now, columns); got != want || len(got) > max(0, columns) {
			t.Errorf("%d columns: %q, want %q", columns, got, want)
		}
	}
	b.total = 0
	if got, want := b.barLine(now, 100), "root@bench-1 sent 30.0 MiB  2.0 MiB/s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What a terminal echoes of a Ctrl-C goes with the bar behind which it stands.
func TestEchoBehindBar(t *testing.T) {
	for _, columns := range []int{20, 60, 80, 100} {
		g := &glass{columns: columns, rows: 20}
		s := g.screen()
		bar := s.Bar("root@bench-1 on the disk")
		bar.Set(1<<20, 20<<20)
		s.mu.Lock()
		s.drawLines()
		s.mu.Unlock()
		g.WriteString("^C")
		fmt.Fprintln(s, "interrupted")
		bar.Close()
		if diff := cmp.Diff([]string{"interrupted"}, g.shows(t)); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", columns, diff)
		}
		s.Close()
	}
}

// Whoever is asked something is not drawn over, and text that comes meanwhile is printed.
func TestQuiet(t *testing.T) {
	g := &glass{columns: 80, rows: 20}
	s := g.screen()
	defer s.Close()
	bar := s.Bar("x")
	again := s.Quiet()
	g.Reset()
	bar.Set(1, 2)
	s.mu.Lock()
	s.drawLines()
	s.mu.Unlock()
	fmt.Fprintln(s, "text")
	if g.String() != "text\n" {
		t.Errorf("%q", g.String())
	}
	again()
	if !strings.Contains(g.String(), "50%") {
		t.Errorf("%q", g.String())
	}
}

// Many devices at once, on a real pseudo-terminal: every line is there, once and whole.
func TestFleetOnTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	judge.Must(t, pty.Setsize(master, &pty.Winsize{Cols: 100, Rows: 24}))
	if !Capable(tty) {
		t.Fatal("a terminal is none")
	}
	var all bytes.Buffer
	read := make(chan struct{})
	go func() { all.ReadFrom(master); close(read) }() // ends with EIO when the other side is closed
	s := New(tty)
	var hosts sync.WaitGroup
	for h := range 8 {
		hosts.Go(func() {
			bar := s.Bar(fmt.Sprint("host ", h))
			for i := range 200 {
				bar.Set(int64(i), 200)
				fmt.Fprintf(s, "<host %d line %d>\n", h, i)
			}
			bar.Close()
		})
	}
	hosts.Wait()
	s.Close()
	tty.Close()
	<-read
	for h := range 8 {
		for i := range 200 {
			if n := strings.Count(all.String(), fmt.Sprintf("<host %d line %d>\r\n", h, i)); n != 1 {
				t.Fatalf("host %d's line %d is there %d times", h, i, n)
			}
		}
	}
}

func TestCapable(t *testing.T) {
	_, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	for kind, want := range map[string]bool{"xterm-256color": true, "linux": true, "dumb": false, "": false} {
		t.Setenv("TERM", kind)
		if got := Capable(tty); got != want {
			t.Errorf("TERM=%s: %v", kind, got)
		}
	}
	f := judge.Value(os.Open(os.DevNull))(t)
	defer f.Close()
	t.Setenv("TERM", "xterm")
	if Capable(f) {
		t.Error("/dev/null is no terminal")
	}
}
