package device

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Wait bounds a wait for a device that reboots.
type Wait struct {
	Before  string          // the boot id that must be gone
	Timeout time.Duration   // 5 min
	Say     func(string)    // told what is waited for whenever that changes; may be nil
	Down    func(time.Time) // told once from when on what ran before did not answer any more; may be nil

	final func(error) bool // whether waiting is of no use
}

// pollPause is the pause between two tries.
const pollPause = time.Second

// ErrTimeout is that a device did not come up in time.
var ErrTimeout = errors.New("not in time")

// dialUntil dials until another boot answers and accept takes what runs there. Every try is a new connection with a bound of its own: one
// that was made before the reboot may hang for long.
func (w Wait) dialUntil(ctx context.Context, target string, o Options, what string, accept func(context.Context, *Client, State) error) (*Client, State, error) {
	if w.Timeout <= 0 {
		w.Timeout = 5 * time.Minute
	}
	if err := checkReady(ctx, target, o); err != nil {
		return nil, State{}, err
	}
	limit, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	var last error
	o.waits = true
	said := ""
	say := func(text string) {
		if w.Say != nil && text != said {
			said = text
			w.Say(text)
		}
	}
	say("waiting for " + what)
	down := w.Down
	began := time.Now()
	// A try may hang as long as nobody answers, and even end with the next system's answer: what counts is when it began.
	gone := func(err error) {
		// Another key is that of what ran before, as far as anybody can tell.
		if down != nil && !errors.Is(err, ErrHostKey) && err != errSameBoot {
			down(began)
			down = nil
		}
	}
	for ; ; began = time.Now() {
		c, err := Dial(ctx, target, o) // lives as long as ctx, not as limit
		if err == nil {
			try, stop := context.WithTimeout(limit, o.withDefaults().LoginTimeout)
			var state State
			state, err = c.State(try)
			if err == nil && state.BootID == w.Before {
				err = errSameBoot
			}
			if err == nil {
				err = accept(try, c, state)
			}
			stop()
			if err == nil {
				gone(nil)
				return c, state, nil
			}
			c.Close()
		}
		gone(err)
		if last == nil || limit.Err() == nil { // a try that the end of the wait has cut off knows nothing new
			last = err
		}
		say("waiting for " + what + ": " + shortReason(err))
		if w.final != nil && w.final(err) {
			return nil, State{}, err
		}
		pause := time.NewTimer(pollPause)
		select {
		case <-pause.C:
		case <-limit.Done():
			pause.Stop()
			if ctx.Err() != nil {
				return nil, State{}, ctx.Err()
			}
			return nil, State{}, fmt.Errorf("waiting for %s: %w (%s); last: %w", what, ErrTimeout, w.Timeout, last)
		}
	}
}

// checkReady finds what is wrong on our side, which no wait would change.
func checkReady(ctx context.Context, target string, o Options) error {
	s, err := resolveTarget(ctx, target, o)
	if err == nil {
		_, err = s.verdictFor(o)
	}
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", target, err)
	}
	for _, f := range o.Identities {
		if _, err := readKey(ctx, f, o.Ask); err != nil {
			return Unread(fmt.Errorf("reading identity %s: %w", f, err))
		}
	}
	return nil
}

// shortReason is an error in few words, for a line that is printed while waiting.
func shortReason(err error) string {
	text := err.Error()
	if _, after, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(text, "connecting to ") {
		text = after
	}
	return text
}

// errNotYet says what is seen while waiting.
type errNotYet string

func (e errNotYet) Error() string { return string(e) }

const errSameBoot errNotYet = "it has not rebooted yet"

// WaitInitramfs waits until the device's initramfs answers with one of the keys in
// o.Keys (Options.Initramfs). The build that answers is in the State.
func WaitInitramfs(ctx context.Context, target string, o Options, w Wait) (*Client, State, error) {
	w.final = func(err error) bool { return errors.Is(err, ErrAuth) } // a promised key answered, and what it lets in does not change
	return w.dialUntil(ctx, target, o, "the initramfs", func(_ context.Context, _ *Client, state State) error {
		if !state.Initramfs {
			return errNotYet("a system answers with the initramfs' key")
		}
		return nil
	})
}

// WaitSystem waits until a system answers: not the initramfs, and another boot than before. When it returns, the unit
// that puts the original initramfs back has ended, too: sshd answers before that.
func WaitSystem(ctx context.Context, target string, o Options, w Wait) (*Client, State, error) {
	return w.dialUntil(ctx, target, o, "the system", func(ctx context.Context, c *Client, state State) error {
		if state.Initramfs {
			return errNotYet("the initramfs still waits")
		}
		out, err := c.Output(ctx, "systemctl show -p ActiveState -p Job groundhog-restore.service 2>/dev/null || true")
		if err == nil && isRestoring(out) {
			err = errNotYet("the original initramfs is being put back")
		}
		return err
	})
}

// isRestoring says whether the unit has still to run, or runs, from systemctl show's lines. A unit that does not exist,
// or whose condition was false, is inactive without a job; what was asked for is shown even when it is empty.
func isRestoring(shown string) bool {
	for line := range strings.Lines(shown) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case name == "ActiveState" && (value == "activating" || value == "reloading" || value == "deactivating"):
			return true
		case name == "Job" && value != "" && value != "0":
			return true
		}
	}
	return false
}
