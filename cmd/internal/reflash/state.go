package reflash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/sidefile"
)

// State is what a run left a device in. stateTable has, for each, what is said, what is to be done, and the verdict. Which state it is
// follows from what was observed: judgeDisk decides that for a disk, and each step for itself where it fails.
type State string

const (
	Untouched State = "untouched" // this run changed nothing
	Busy      State = "busy"      // another flash is at work on the disk; this run changed nothing
	Pushed    State = "pushed"    // the archive is what it boots next
	Restored  State = "restored"  // the original initramfs is what it boots next
	Either    State = "either"    // it boots the old initramfs or the pushed one; both boot
	Rebooting State = "rebooting" // told to reboot into the archive, and not seen since
	Kexeced   State = "kexeced"   // told to start the archive by kexec, and not seen since; its disk is as it was
	Held      State = "held"      // it waits in its initramfs, and its disk is as it was
	Waiting   State = "waiting"   // it waits in its initramfs, and its disk is neither old nor new
	Rebooted  State = "rebooted"  // it has booted again while its disk was neither old nor new
	Unknown   State = "unknown"   // it does not answer, and its disk may be neither old nor new
	Replaced  State = "replaced"  // another flash wrote to the disk after this one had begun
	Verified  State = "verified"  // the image is on the disk, read back from the medium
	Starting  State = "starting"  // the image is on the disk, verified, and the device was told to reboot, or has left its initramfs by itself
	Up        State = "up"        // its new system answers
)

// stateWords is what may be said of a state.
type stateWords struct {
	says    string // behind an error; %s is the device
	todo    string // what to do about it; "": the error itself knows
	trouble bool   // an error with it is trouble; without it nothing was changed
}

// stateTable is the table of states.
var stateTable = map[State]stateWords{
	Untouched: {says: "nothing was changed"},
	Busy:      {says: "nothing was changed by this one", todo: "wait until the other one is done"},
	Pushed:    {"the archive is there, and %s boots it next", "reboot it by hand, or groundhog restore", true},
	Restored:  {"%s boots its original initramfs next", "", true},
	Either:    {"%s boots its old initramfs or the pushed one, and both boot", "the same command again makes sure", true},
	Rebooting: {"%s was told to reboot, and either waits unseen or boots its system again", "its console tells; a boot that nobody flashes puts the original initramfs back", true},
	Kexeced:   {"%s was told to start the archive by kexec, and either waits unseen or hangs; its disk is as it was", "its console tells; off and on again it boots its old system, and any way but kexec asks its firmware", true},
	Held:      {"%s waits in its initramfs, its disk is as it was", "groundhog-continue there boots the old system, as the end of the wait does", true},
	Waiting:   {"%s waits in its initramfs, its disk is neither the old nor the new one", "flash it again: what is on the disk by then is not sent twice", true},
	Rebooted:  {"%s has booted again while its disk was neither the old nor the new one, and nothing keeps it waiting", "flash it again, now if it is in its initramfs", true},
	Unknown:   {"%s has not answered, and its disk may be neither the old nor the new one", "if it is on and was being written it waits in its initramfs: flash it again", true},
	Replaced:  {"another flash has written to the disk of %s since this one began", "ask whoever it was; the same flash again puts this image there", true},
	Verified:  {"the image is on the disk of %s, verified, and it waits in its initramfs", "reboot -f there starts the new system", true},
	Starting:  {"the image is verified on the disk of %s, which waits no more: it was told to reboot, or does so by itself", "its console tells; where another host key answers, --expect-host-key names the new one", true},
	Up:        {"the new system of %s is up", "log in and look: the image is verified, and needs no other flash", true},
}

// Verdict is how a device's run ended.
type Verdict string

const (
	Done        Verdict = "done"
	Refused     Verdict = "refused"     // nothing was changed
	Different   Verdict = "different"   // of a comparison; nothing was changed
	Unreachable Verdict = "unreachable" // nothing was changed, and another try may help
	Trouble     Verdict = "trouble"     // the state says of what kind
	Interrupted Verdict = "interrupted" // the state says by then
)

// verdictOf is the verdict on an error that left a device in a state.
func verdictOf(state State, err error, interrupted bool) Verdict {
	switch {
	case err == nil:
		return Done
	case interrupted:
		return Interrupted
	case stateTable[state].trouble:
		return Trouble
	case errors.Is(err, flash.ErrDiffers):
		return Different
	case errors.Is(err, sidefile.ErrStranger): // the file could be read, and is not believed
		return Refused
	case errors.Is(err, device.ErrUnread), errors.Is(err, image.ErrSpool), errors.As(err, new(*fs.PathError)): // before a loss: an archive that was cut ends with io.ErrUnexpectedEOF, too
		return Trouble
	case isLoss(err), errors.Is(err, device.ErrIdle):
		return Unreachable
	case errors.Is(err, image.ErrGet):
		return Trouble
	}
	return Refused
}

// VerdictBefore is the verdict on an error that ended a run before any device was reached.
func VerdictBefore(err error) Verdict { return verdictOf(Untouched, err, false) }

// Unread marks an error of what is named here and cannot be read: a file that is not there, an archive that is none. What was
// read and does not fit is refused; this is trouble, as in the verbs that reach no device.
func Unread(err error) error { return device.Unread(err) }

// isLoss reports whether an error is that of a lost connection, so that another try may succeed. An image that ends too early is an
// io.ErrUnexpectedEOF, too, but no other connection mends that.
func isLoss(err error) bool {
	if errors.Is(err, flash.ErrImage) || errors.Is(err, image.ErrClaim) || errors.Is(err, image.ErrChanged) || errors.Is(err, image.ErrChecksum) {
		return false
	}
	var broken *net.OpError // not net.Error, which every syscall.Errno is, a missing file's too
	return errors.Is(err, device.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, device.ErrSilent) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &broken)
}

// statedError is an error that left a device in a state.
type statedError struct {
	error
	state State
}

func (s statedError) Unwrap() error { return s.error }

// inState says which state an error left the device in; what is said last, outside, counts. nil stays nil.
func inState(state State, err error) error {
	if err == nil {
		return nil
	}
	return statedError{err, state}
}

// stateOf is the state that an error left the device in; [Unknown] where the error does not say.
func stateOf(err error) State {
	if s, ok := errors.AsType[statedError](err); ok {
		return s.state
	}
	return Unknown
}

// verdictWords is an error with its state, and what to do about both.
func verdictWords(name string, state State, err error, interrupted bool) (text, todo string) {
	s := stateTable[state]
	text = strings.ReplaceAll(err.Error(), context.DeadlineExceeded.Error(), "not in time")
	if interrupted {
		text = strings.ReplaceAll(text, context.Canceled.Error(), string(Interrupted))
		if !strings.Contains(text, string(Interrupted)) {
			text = string(Interrupted) + ": " + text
		}
	}
	says := s.says
	if strings.Contains(says, "%s") {
		says = fmt.Sprintf(says, name)
	}
	todos := slices.DeleteFunc([]string{hint.Of(err), s.todo}, func(t string) bool { return t == "" })
	return text + "; " + says, strings.Join(slices.Compact(todos), "; ")
}
