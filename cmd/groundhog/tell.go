package main

import (
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"groundhog/cmd/internal/screen"
)

// event is what happens on a device, and a line of --json.
type event struct {
	Time    string `json:"time"`             // RFC 3339, UTC
	Host    string `json:"host"`             // as given on the command line
	Event   string `json:"event"`            // check, phase, progress or verdict
	ID      string `json:"id,omitzero"`      // of the check, the phase, or of what progresses
	Verdict string `json:"verdict,omitzero"` // of a check: ok, warn, refuse; of the host: done, refused, unreachable, trouble, interrupted
	Text    string `json:"text,omitzero"`    // in words
	Hint    string `json:"hint,omitzero"`    // what to do
	Bytes   int64  `json:"bytes,omitzero"`   // of progress: done so far
	Total   int64  `json:"total,omitzero"`   // of progress: all, 0 where that is not known
	Data    any    `json:"data,omitzero"`    // of a verdict: its figures

	over bool // of progress: there is no more of it, done or not
}

// teller tells events: as text, as text with bars below it, or as JSON. Tell is called by one goroutine at a time.
type teller interface {
	tell(event)
	table([]end) // sums several devices up
	close()      // leaves the terminal to others
}

// end is how a device's run ended.
type end struct {
	host, verdict, text string
	took                time.Duration
}

// reporter tells of several devices on one output.
type reporter struct {
	mu     sync.Mutex
	teller teller
	ends   []end // of devices, in the order of their ends
}

// reporter chooses the teller. Bars are for a person who sees nothing else on that terminal: where standard output goes to a
// pager, it has the screen.
func (o *remote) reporter(cmd *cobra.Command, hosts int) *reporter {
	out, errs, talk := cmd.OutOrStdout(), cmd.ErrOrStderr(), talkOf(cmd)
	if o.json {
		return &reporter{teller: &jsonTeller{out, map[string]time.Time{}}}
	}
	text := &textTeller{out: out, err: errs, talk: talk, prefix: hosts > 1, streams: map[string]*stream{}}
	tty, ok := errs.(*os.File)
	stdout, isFile := out.(*os.File)
	if !ok || talk == quiet || !screen.Capable(tty) || isFile && isPipe(stdout) {
		return &reporter{teller: text}
	}
	o.screen = screen.New(tty)
	text.err = o.screen
	if isFile && term.IsTerminal(int(stdout.Fd())) {
		text.out = o.screen.Above(stdout)
	}
	return &reporter{teller: &barTeller{text, o.screen, map[string]*screen.Bar{}}}
}

func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}

// Tell tells an event; it may be called from anywhere.
func (r *reporter) Tell(e event) {
	if e.Event != "progress" || e.over {
		r.mu.Lock()
	} else if !r.mu.TryLock() { // the next one will do: what progresses never waits for a terminal that somebody has stopped
		return
	}
	defer r.mu.Unlock()
	r.teller.tell(e)
}

// close leaves the terminal to others.
func (r *reporter) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.teller.close()
}

// table sums several devices up, in the order in which they were named.
func (r *reporter) table(hosts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []end
	for _, name := range hosts {
		for _, e := range r.ends {
			if e.host == name {
				all = append(all, e)
			}
		}
	}
	if len(hosts) > 1 {
		r.teller.table(all)
	}
}
