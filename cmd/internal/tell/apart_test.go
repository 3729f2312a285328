package tell

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"groundhog/cmd/internal/reflash"
)

// stopped is a reader that reads nothing until it is told to.
type stopped struct {
	read          bytes.Buffer
	reached, goOn chan struct{}
}

func (s *stopped) Write(p []byte) (int, error) {
	select {
	case s.reached <- struct{}{}:
	case <-s.goOn:
	}
	<-s.goOn
	return s.read.Write(p)
}

// Who does the work does not wait for who reads of it, and all but what progresses is read in the end, in its order.
func TestApart(t *testing.T) {
	for about, of := range map[string]func(out io.Writer) Teller{
		"JSON": func(out io.Writer) Teller { return NewJSON(out, out, 2) },
		"text": func(out io.Writer) Teller { return NewText(out, out, Normal, true) },
	} {
		t.Run(about, func(t *testing.T) {
			out := &stopped{reached: make(chan struct{}), goOn: make(chan struct{})}
			a := NewApart(of(out))
			a.Tell(reflash.Event{Host: "h", Event: reflash.EventPhase, Text: "line 0"})
			<-out.reached
			var want []string
			for n := range 100 { // none of these comes back before the reader goes on, where they wait for it
				a.Tell(reflash.Event{Host: "h", Event: reflash.EventPhase, Text: fmt.Sprintf("line %d", n+1)})
				a.Tell(reflash.Event{Host: "h", Event: reflash.EventProgress, ID: "x", Bytes: int64(n)})
				want = append(want, fmt.Sprintf("line %d", n))
			}
			a.Tell(reflash.Event{Host: "h", Event: reflash.EventVerdict, Verdict: "done", Text: "line end"})
			close(out.goOn)
			a.AwaitTold()
			if !strings.Contains(out.read.String(), "line end") {
				t.Error("what waited was not told")
			}
			a.Close()
			a.Close()
			want = append(want, "line 100", "line end")
			got := strings.Split(strings.TrimSpace(out.read.String()), "\n")
			if len(got) != len(want) {
				t.Fatalf("%d lines, want %d:\n%s", len(got), len(want), out.read.String())
			}
			for n, line := range got {
				if !strings.Contains(line, want[n]) {
					t.Errorf("line %q, want %q", line, want[n])
				}
			}
		})
	}
}
