package device

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"groundhog/cmd/internal/hint"
)

// ErrTwice is that two names on one command line lead to one device.
var ErrTwice = errors.New("two names lead to one device")

// Roll is the devices of one run, so that none is written to under two names. It is safe for concurrent use.
type Roll struct {
	names int
	word  string // of this run

	mu      sync.Mutex
	entered []*onRoll
}

// onRoll is a device on the roll.
type onRoll struct{ name, key, boot string }

// NewRoll is an empty roll for so many names.
func NewRoll(names int) *Roll { return &Roll{names: names, word: newFrame().left} }

// Enter puts a device on the roll, under the name that led to it, before anything is written to it. The error wraps
// ErrTwice where another name led to the same boot of the same device.
//
// A host key and a boot id alone do not tell: machines that were restored from one saved state share both. So each
// device is given a word of this run, as a symbolic link in /run; one that has it already, under another name, is
// that other one. A single name needs no roll, which may be nil then, and leaves no word.
func (r *Roll) Enter(ctx context.Context, name string, c *Client, s State) error {
	if r == nil || r.names < 2 {
		return nil
	}
	me := onRoll{name, string(c.HostKey.Marshal()), s.BootID}
	at := r.noteDevice(me)
	out, err := c.Output(ctx, fmt.Sprintf(markScript, r.word, at))
	if err != nil {
		return fmt.Errorf("asking whether another name led there: %w", err)
	}
	var first int
	if _, err := fmt.Sscanf(strings.TrimSpace(out), "name %d", &first); err != nil {
		return fmt.Errorf("asking whether another name led there: its answer cannot be understood: %.80q", out)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if first == at || first < 0 || first >= len(r.entered) {
		return nil
	}
	if other := *r.entered[first]; other.isBootOf(me) {
		return other.twice(name)
	}
	return nil
}

// Note puts a device on the roll to which nothing is written, not even the run's word.
func (r *Roll) Note(name string, c *Client, s State) {
	if r != nil {
		r.noteDevice(onRoll{name, string(c.HostKey.Marshal()), s.BootID})
	}
}

// Held is the error, which wraps ErrTwice, of a device that is held by this very run: under another name, if there is one on the roll
// that led to the same boot of the same device; else nil.
func (r *Roll) Held(name string) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.entered, func(e *onRoll) bool { return e.name == name })
	if i < 0 {
		return nil
	}
	for _, other := range r.entered {
		if other.name != name && other.isBootOf(*r.entered[i]) {
			return other.twice(name)
		}
	}
	return nil
}

// isBootOf reports whether two may be the same boot of one device.
func (d *onRoll) isBootOf(other onRoll) bool { return d.key == other.key && d.boot == other.boot }

// twice is the error of another name that led to a device.
func (d *onRoll) twice(name string) error {
	return hint.To(fmt.Errorf("%w: %s and %s", ErrTwice, d.name, name), "name each device once")
}

// noteDevice writes a device down and returns the number of its name.
func (r *Roll) noteDevice(d onRoll) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, e := range r.entered {
		if e.name == d.name { // met again, as after its reboot
			*e = d
			return i
		}
	}
	r.entered = append(r.entered, &d)
	return len(r.entered) - 1
}

// markScript leaves a name's number on a device, under the word of a run, where none is yet, and prints the one that is there. A
// symbolic link is made, with what it says, at once or not at all. A reboot forgets it.
const markScript = `d=${groundhog_root:-}/run/groundhog-run
[ -d "$d" ] || mkdir -m 700 "$d" || [ -d "$d" ] || exit 1
ln -s %[2]d "$d/%[1]s" 2>/dev/null
echo "name $(readlink "$d/%[1]s")"`
