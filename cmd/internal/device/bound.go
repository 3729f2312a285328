package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ErrIdle is of a command that is given up: it said nothing, and took no input, for longer than it may.
var ErrIdle = errors.New("a command on the device is given up")

type patienceKey struct{}

// Patient is a context in which a command may be idle for so long, in place of Options.IdleTimeout: for those
// that are known to work without a word.
func Patient(ctx context.Context, idle time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, idle)
}

// commandWatch is the clock of one command: first it must begin, then it must not stand still.
type commandWatch struct {
	mu    sync.Mutex
	timer *time.Timer
	idle  time.Duration
	most  time.Duration // for the command as a whole
	began time.Time
	begin time.Duration
	begun bool // the command has said its word
}

// maxIdles bounds a command as a whole, in times of its idle bound: a device that says a word now and then is not
// waited for without end, either.
const maxIdles = 24

// watchCommand begins a watch. When it ends badly the client is closed: that is what frees all who wait.
func (c *Client) watchCommand(ctx context.Context) *commandWatch {
	w := &commandWatch{idle: c.options.IdleTimeout, began: time.Now()}
	if idle, ok := ctx.Value(patienceKey{}).(time.Duration); ok {
		w.idle = idle
	}
	w.most = time.Duration(c.options.idles) * w.idle
	w.begin = c.options.LoginTimeout
	w.timer = w.beginTimer(c)
	return w
}

func (w *commandWatch) beginTimer(c *Client) *time.Timer {
	return time.AfterFunc(w.begin, func() {
		c.closeBecause(fmt.Errorf("%w: it has not begun within %s", ErrIdle, w.begin))
	})
}

// stopClock stops the clock of a command that waits for another one's end, and startClock starts it anew. w may be nil.
func (w *commandWatch) stopClock() {
	if w != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timer.Stop()
	}
}

func (w *commandWatch) startClock(c *Client) {
	if w != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timer, w.began = w.beginTimer(c), time.Now()
	}
}

// allowIdle ends the first part: from now on the command must not stand still.
func (w *commandWatch) allowIdle(c *Client) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil || !w.timer.Stop() {
		return
	}
	w.begun = true
	w.timer = time.AfterFunc(w.idle, func() {
		if took := time.Since(w.began); took > w.most {
			c.closeBecause(fmt.Errorf("%w: it is not over after %s", ErrIdle, took.Round(time.Second)))
			return
		}
		c.closeBecause(fmt.Errorf("%w: it has neither said nor taken anything for %s", ErrIdle, w.idle))
	})
}

// markAlive is called with each sign of life.
func (w *commandWatch) markAlive() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil && w.begun && time.Since(w.began) < w.most && w.timer.Stop() {
		w.timer.Reset(w.idle)
	}
}

// endWatch ends the watch.
func (w *commandWatch) endWatch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.timer = nil
}

// aliveReader says whenever something was read.
type aliveReader struct {
	io.Reader
	alive func()
}

func (r aliveReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.alive()
	}
	return n, err
}
