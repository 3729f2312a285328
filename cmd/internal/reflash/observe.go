package reflash

import (
	"context"
	_ "embed"
	"errors"
	"strings"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/cmd/internal/interrupt"
)

// observedState is what is known of a device when a flash has failed.
type observedState struct {
	run  flash.State // what the flash itself knows: untouched, waiting (something was written), verified, or unknown (it may have been)
	busy bool        // the flash was refused: another one is at work

	boot answeringBoot // who answers
	disk writer.State  // what the device says of the disk; "" where that is not understood
	ours bool          // this run was the last one to write to the disk
	old  bool          // the last one to write had done so before this run began, which so has written nothing
	held bool          // another flash has the disk at the moment
}

// answeringBoot is who answers when the device is asked.
type answeringBoot int

const (
	bootNone  answeringBoot = iota // nobody
	bootSame                       // the boot in which the flash began
	bootOther                      // another one: what /run had is gone
)

// judgeDisk is the state that follows from what was observed. What the device itself says of its disk, in the boot in which it was
// written to, counts before what the flash believes: an answer may have been lost on its way.
func judgeDisk(o observedState) State {
	began := o.run != flash.Untouched // this run may have written
	switch {
	case o.run == flash.Verified:
		return Verified
	case !began && (o.busy || o.held):
		return Busy
	case !began && o.boot == bootSame && o.disk == writer.StateWriting: // an earlier flash left it so
		return Waiting
	case !began:
		return Untouched
	case o.boot == bootOther:
		return Rebooted
	case o.boot == bootNone:
		return Unknown
	case o.held:
		return Replaced
	}
	switch o.disk {
	case writer.StateWriting:
		if o.ours || o.old {
			return Waiting
		}
		return Replaced
	case writer.StateVerified:
		switch {
		case o.ours:
			return Verified
		case !o.old:
			return Replaced
		case o.run == flash.Unknown:
			return Untouched
		}
	case writer.StateNone:
		if o.run == flash.Unknown {
			return Untouched
		}
	}
	return Unknown
}

// askFor is how long the device is asked after its state, also by whoever was interrupted.
const askFor = 30 * time.Second

// stateLeft asks the device, if it still answers, what became of its disk after a flash that ended with an error. by is the name under which
// this run writes; before is whose writing was the last when this run began.
func (f *flashing) stateLeft(ctx context.Context, run flash.State, by, before string, err error) State {
	o := observedState{run: run, busy: isBusy(err)}
	if f.Check || errors.Is(err, flash.ErrDiffers) {
		o.run = flash.Untouched
		return judgeDisk(o)
	}
	if ctx.Err() != nil {
		f.tellPhase("flash", "interrupted: asking the device what became of its disk; interrupted again, nobody waits for that")
	}
	ctx, cancel := interrupt.Asking(ctx, askFor)
	defer cancel()
	c, err := f.loginAgain(ctx)
	switch {
	case errors.Is(err, errRebooted):
		o.boot = bootOther
	case err == nil:
		defer c.Close()
		o.boot = bootSame
		f.askDisk(ctx, c, by, before, &o)
	}
	return judgeDisk(o)
}

// isBusy reports whether a device refused because another flash is at work there.
func isBusy(err error) bool {
	var f *protocol.Failure
	return errors.As(err, &f) && f.Kind == protocol.KindBusy
}

//go:embed state.sh
var stateScript string

// askDisk asks for the disk's state, and waits without a word for who is at work there.
func (f *flashing) askDisk(ctx context.Context, c *device.Client, ours, before string, o *observedState) {
	r, err := c.Script(device.Patient(ctx, askFor), stateScript, nil, f.disk.Path)
	if err != nil {
		return
	}
	if said := string(r.Stderr); strings.Contains(said, "another flash is at work") {
		o.held = !strings.Contains(said, whoami())
		if !o.held { // our own writer has it, and does not come to an end
			o.disk, o.ours = writer.StateWriting, true
		}
		return
	}
	state, by, _ := strings.Cut(strings.TrimSpace(string(r.Stdout)), " ")
	switch s := writer.State(state); s {
	case writer.StateWriting, writer.StateVerified, writer.StateNone:
		if r.Exit == 0 {
			by = writtenBy(by)
			o.disk, o.ours, o.old = s, by != "" && by == ours, by != "" && by == before
		}
	}
}

// writtenBy is who wrote, as the device's files have it, "KIND ID"; an ID alone is a writer's.
func writtenBy(said string) string {
	if said == "" || strings.Contains(said, " ") {
		return said
	}
	return "flash " + said
}
