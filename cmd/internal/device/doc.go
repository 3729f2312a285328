// Package device is the SSH side of groundhog: it reaches a device whose key is
// known, runs commands there, reboots it and waits for what comes up.
//
// What a name means, ssh(1) is asked (ssh -G), and known_hosts is read as ssh reads it: a person who has tried a
// name with ssh reaches the same device here.
//
// No host key is ever accepted on first sight. A running system is known by
// known_hosts or by a fingerprint that the user names, a waiting initramfs by
// the keys that were written beside its archive. A reboot is believed when the
// kernel's boot id has changed, never because a connection broke.
//
// Whatever a device says is untrusted: answers are bounded and begin with a word of ours, each part of a
// login and each command has a bound, and errors carry the remote text as it came; who
// prints it makes it printable (show.Printable).
package device

import "errors"

// What callers branch on.
var (
	ErrHostKey = errors.New("host key refused")                    // unknown, or another than the known one
	ErrAuth    = errors.New("no key that we hold is let in")       // the device's key was right
	ErrSilent  = errors.New("the device does not answer any more") // nothing heard for Options.Silence
	ErrNotRoot = errors.New("not root, and sudo -n does not help")

	// ErrUnreachable is in errors of a connection that did not come about, for a reason that may pass: nobody answers, or
	// whoever does hangs up.
	ErrUnreachable = errors.New("not reached")

	// ErrUnread is in errors of what is named here and cannot be read: a file that is not there, an archive that is none, an ssh configuration
	// that ssh would not take, either.
	ErrUnread = errors.New("cannot be read")
)

// markedError is an error that is one of kind, too, and says no more than before.
type markedError struct {
	error
	kind error
}

func (m markedError) Unwrap() error        { return m.error }
func (m markedError) Is(target error) bool { return target == m.kind }

func unreachable(err error) error { return markedError{err, ErrUnreachable} }

// Unread marks an error as one of ErrUnread; nil stays nil.
func Unread(err error) error {
	if err == nil {
		return nil
	}
	return markedError{err, ErrUnread}
}
