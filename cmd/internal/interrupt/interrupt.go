// Package interrupt ends a run in order when somebody interrupts it: with Ctrl-C, with SIGTERM, by closing the terminal.
//
// The first interruption ends the context; what the run has left is then asked for, which may take a while. The second one ends those questions,
// so that the run ends with what is known by then. The third one ends the program, and so does the second where the run does not
// end behind it.
//
// Signals that come together are one interruption: timeout(1) sends its own to the process and to the process's group. Of a terminal that goes
// away both the kernel and the shell tell, and nobody sits there who could be impatient: SIGHUP is the first interruption or none.
package interrupt

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	together = time.Second      // as long signals are one interruption
	longest  = 10 * time.Second // a run may take to end behind the second one
)

// hurryKey is the key of a context's value: the context that the second interruption ends.
type hurryKey struct{}

// Context is parent until the first interruption. last is called before the program is ended from here: it leaves the terminal as it
// was. end stops listening. A pipe whose reader is gone interrupts nothing: the write to it fails.
func Context(parent context.Context, last func()) (ctx context.Context, end func()) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup(1) ignores it
		signals = append(signals, syscall.SIGHUP)
	}
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	got := make(chan os.Signal, 8)
	signal.Notify(got, signals...)
	patience, hurry := context.WithCancel(context.Background())
	ctx, cancel := context.WithCancel(context.WithValue(parent, hurryKey{}, patience))
	go listen(got, cancel, hurry, last)
	return ctx, func() {
		signal.Stop(got)
		signal.Stop(broken)
		close(got) // no signal is on its way any more: see signal.Stop
		cancel()
		hurry()
	}
}

// listen acts on signals until there are no more.
func listen(got <-chan os.Signal, cancel, hurry, last func()) {
	var c counter
	var waits *time.Timer // until the second has waited long enough
	defer func() {
		if waits != nil {
			waits.Stop()
		}
	}()
	for s := range got {
		switch c.count(s, time.Now()) {
		case 0:
		case 1:
			cancel()
		case 2:
			hurry()
			waits = time.AfterFunc(longest, func() { endBy(s, last) })
		default:
			endBy(s, last)
		}
	}
}

// counter counts interruptions.
type counter struct {
	n      int
	before time.Time // the last one
}

// count is which interruption a signal is, 0 for none.
func (c *counter) count(s os.Signal, now time.Time) int {
	if c.n > 0 && (s == syscall.SIGHUP || now.Sub(c.before) < together) {
		return 0
	}
	c.n, c.before = c.n+1, now
	return c.n
}

// endBy ends the program by a signal, as if it had never been caught. A terminal that is stopped keeps nobody from ending.
func endBy(s os.Signal, last func()) {
	left := make(chan struct{})
	go func() {
		last()
		close(left)
	}()
	select {
	case <-left:
	case <-time.After(together):
	}
	signal.Reset(s)
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		p.Signal(s)
	}
}

// Asking is a context for questions about what an interrupted run has left: what ended ctx does not end it, but the second interruption does.
func Asking(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	if patience, ok := ctx.Value(hurryKey{}).(context.Context); ok {
		context.AfterFunc(patience, cancel)
	}
	return asking, cancel
}
