package reflash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"testing"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/cmd/internal/hint"
)

// allStates is every state that there is.
var allStates = []State{Untouched, Busy, Pushed, Restored, Either, Rebooting, Kexeced, Held, Waiting, Rebooted, Unknown, Replaced, Verified, Starting, Up}

func TestStatesSayWhatToDo(t *testing.T) {
	if len(stateTable) != len(allStates) {
		t.Errorf("the table has %d states, there are %d", len(stateTable), len(allStates))
	}
	seen := map[string]State{}
	for _, s := range allStates {
		about, ok := stateTable[s]
		if !ok || about.says == "" {
			t.Errorf("%s: nothing is said of it", s)
		}
		if before, twice := seen[about.says]; twice {
			t.Errorf("%s and %s are told by the same words", s, before)
		}
		seen[about.says] = s
		if about.trouble && about.todo == "" && s != Restored { // there the error itself knows
			t.Errorf("%s: trouble, and nothing to do about it", s)
		}
	}
}

// Every state with every kind of error: the verdict follows, and the words carry the error, the state and what to do.
func TestVerdicts(t *testing.T) {
	cause := errors.New("some cause")
	for _, s := range allStates {
		for name, c := range map[string]struct {
			err         error
			interrupted bool
			calm        Verdict // where nothing was changed
		}{
			"refusal":     {cause, false, Refused},
			"silent":      {fmt.Errorf("x: %w", device.ErrSilent), false, Unreachable},
			"idle":        {fmt.Errorf("x: %w", device.ErrIdle), false, Unreachable},
			"no room":     {fmt.Errorf("%w: %w", flash.ErrImage, fmt.Errorf("%w: less than 64 MiB", image.ErrSpool)), false, Trouble},
			"unreachable": {fmt.Errorf("x: %w", device.ErrUnreachable), false, Unreachable},
			"late":        {fmt.Errorf("x: %w", context.DeadlineExceeded), false, Unreachable},
			"no file":     {fmt.Errorf("x: %w", &fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}), false, Trouble},
			"unread":      {Unread(cause), false, Trouble},
			"broken":      {fmt.Errorf("x: %w", io.ErrUnexpectedEOF), false, Unreachable},
			"cut archive": {Unread(fmt.Errorf("zstd: %w", io.ErrUnexpectedEOF)), false, Trouble},
			"cut image":   {fmt.Errorf("%w: gzip: %w", flash.ErrImage, io.ErrUnexpectedEOF), false, Refused},
			"no image":    {fmt.Errorf("%w x: %w", image.ErrGet, cause), false, Trouble},
			"no server":   {fmt.Errorf("%w x: %w", image.ErrGet, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), false, Unreachable},
			"different":   {fmt.Errorf("x: %w", flash.ErrDiffers), false, Different},
			"interrupted": {fmt.Errorf("x: %w", context.Canceled), true, Interrupted},
			"ended":       {cause, true, Interrupted},
		} {
			want := c.calm
			if stateTable[s].trouble && !c.interrupted {
				want = Trouble
			}
			err := inState(s, hint.To(c.err, "a hint"))
			if got := verdictOf(stateOf(err), err, c.interrupted); got != want {
				t.Errorf("%s, %s: %s, want %s", s, name, got, want)
			}
			text, todo := verdictWords("bench-1", stateOf(err), err, c.interrupted)
			says := strings.ReplaceAll(stateTable[s].says, "%s", "bench-1")
			if !strings.HasSuffix(text, "; "+says) || !strings.HasPrefix(todo, "a hint") || !strings.Contains(todo, stateTable[s].todo) ||
				c.interrupted != strings.Contains(text, "interrupted") || strings.Contains(text, "context") || strings.Contains(text, "%!") {
				t.Errorf("%s, %s: %q (%q)", s, name, text, todo)
			}
		}
		if got := verdictOf(s, nil, false); got != Done {
			t.Errorf("%s without an error: %s", s, got)
		}
	}
	if got := stateOf(inState(Untouched, fmt.Errorf("x: %w", inState(Waiting, cause)))); got != Untouched {
		t.Errorf("%s: what is said last counts", got)
	}
	if stateOf(cause) != Unknown || inState(Up, nil) != nil {
		t.Error("of an error that nobody spoke of nothing is known, and no error is none")
	}
}

// Whatever is observed of a disk, nothing is claimed that it does not show.
func TestJudgeDisk(t *testing.T) {
	n := 0
	for _, run := range []flash.State{flash.Untouched, flash.Waiting, flash.Verified, flash.Unknown} {
		for _, who := range []answeringBoot{bootNone, bootSame, bootOther} {
			for _, said := range []writer.State{"", writer.StateNone, writer.StateWriting, writer.StateVerified} {
				for bits := range 16 {
					o := observedState{run: run, boot: who, disk: said, busy: bits&1 != 0, ours: bits&2 != 0, held: bits&4 != 0, old: bits&8 != 0}
					judgedTruly(t, o, judgeDisk(o))
					n++
				}
			}
		}
	}
	t.Logf("%d observations", n)
}

func judgedTruly(t *testing.T, o observedState, got State) {
	t.Helper()
	began := o.run != flash.Untouched
	free := !o.held
	possible := map[State]bool{
		Verified:  o.run == flash.Verified || began && free && o.boot == bootSame && o.disk == writer.StateVerified && o.ours,
		Waiting:   free && o.boot == bootSame && o.disk == writer.StateWriting && (o.ours || o.old || !began),
		Untouched: !began && !o.busy || o.run == flash.Unknown && free && o.boot == bootSame && (o.disk == writer.StateNone || o.disk == writer.StateVerified && o.old && !o.ours),
		Busy:      !began && (o.busy || o.held),
		Rebooted:  began && o.boot == bootOther,
		Replaced:  began && o.boot == bootSame && (o.held || !o.ours && !o.old && (o.disk == writer.StateWriting || o.disk == writer.StateVerified)),
		Unknown:   began,
	}
	if !possible[got] {
		t.Errorf("%+v: %s", o, got)
	}
	if got == Unknown && o.boot == bootSame && !(o.old && o.run == flash.Waiting) && (o.disk == writer.StateWriting || o.disk == writer.StateVerified) {
		t.Errorf("%+v: %s, though the device says it", o, got)
	}
}
