package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/protocol"
)

// diskHold is this process' hold on the device. The files are in the waiting initramfs' /run/groundhog:
// flash.lock, locked by flock(2) as long as the process lives, says who; `writing` is there from before the
// first byte until all was read back, and while it is there the device never boots. It has a line for
// each disk that is neither old nor new: "flash SESSION DISK". `verified` has such a line for each that is new.
type diskHold struct {
	run  string
	disk string // its path
	lock *os.File
}

// refusedHold is an error of taking the lock that is nobody else's doing: /run is full, say.
func refusedHold(err error) error {
	return &protocol.Failure{Kind: protocol.KindRefused, Text: "taking the device for a flash: " + err.Error()}
}

// holdDisk takes the lock. The error names who has it, or is a [protocol.Failure].
func holdDisk(run, disk, who string) (*diskHold, error) {
	if err := os.MkdirAll(run, 0o755); err != nil {
		return nil, refusedHold(err)
	}
	f, err := os.OpenFile(filepath.Join(run, "flash.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, refusedHold(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another flash is at work: %s", firstLine(filepath.Join(run, "flash.lock")))
		}
		return nil, refusedHold(err)
	}
	if by, ok := pipelineAtWork(run); ok {
		f.Close()
		return nil, fmt.Errorf("another flash is at work: %s", by)
	}
	who = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, who)
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(who[:min(len(who), 200)]+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, refusedHold(err)
	}
	return &diskHold{run, disk, f}, nil
}

// pipelineAtWork reports whether a flash by curl is at work (package plain): its claim is a file PID.START in plain.by, of a process
// that began when the file says (proc(5), stat).
func pipelineAtWork(run string) (by string, ok bool) {
	claims, _ := filepath.Glob(filepath.Join(run, "plain.by/[0-9]*.[0-9]*"))
	for _, claim := range claims {
		pid, start, _ := strings.Cut(filepath.Base(claim), ".")
		b, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		words := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if err == nil && len(words) > 19 && words[19] == start {
			return firstLine(claim), true
		}
	}
	return "", false
}

func firstLine(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line[:min(len(line), 200)]
}

func (h *diskHold) releaseLock() { h.lock.Close() }

func (h *diskHold) holdFile(name string) string { return filepath.Join(h.run, name) }

// splitLines splits a file's lines into this disk's, the last of which is returned without its end, and those of others.
func (h *diskHold) splitLines(name string) (own string, others []byte) {
	b, err := os.ReadFile(h.holdFile(name))
	if err != nil {
		return "", nil
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSuffix(line, "\n"); strings.HasSuffix(line, " "+h.disk) {
			own = line
		} else {
			others = append(others, line+"\n"...)
		}
	}
	return own, others
}

// replaceFile replaces a file at one instant: the waiting script looks at any time.
func (h *diskHold) replaceFile(name string, b []byte) error {
	aside := h.holdFile(name + ".new")
	if err := os.WriteFile(aside, b, 0o600); err != nil {
		return err
	}
	return os.Rename(aside, h.holdFile(name))
}

func (h *diskHold) diskLine(session string) string { return "flash " + session + " " + h.disk + "\n" }

// isWriting reports whether the disk is neither old nor new; without a hold nothing is known of it, which is false.
func (h *diskHold) isWriting() bool {
	if h == nil {
		return false
	}
	own, _ := h.splitLines("writing")
	return own != ""
}

// lastRun is which run wrote to the disk last, whether it was done or not, as "KIND ID"; "" for none.
func (h *diskHold) lastRun() string {
	line, _ := h.splitLines("writing")
	if line == "" {
		line, _ = h.splitLines("verified")
	}
	return strings.TrimSuffix(line, " "+h.disk)
}

// lastSession is the session of the flash that wrote to the disk last.
func (h *diskHold) lastSession() string {
	id, _ := strings.CutPrefix(h.lastRun(), "flash ")
	return id
}

// errLeaving is that the wait is over: a system is being booted from this disk.
var errLeaving = errors.New("the boot is going on: a system comes up")

// beginWriting makes `writing`, before the first byte. The waiting script, and whoever reboots the device (package device), makes `leaving` before it looks for
// `writing` for the last time, and we look for `leaving` after we made `writing`: one of the two sees the other. Then `writing` is what it was: a disk that an
// earlier flash left half written is so still, and keeps the device.
func (h *diskHold) beginWriting(session string) error {
	before, _ := os.ReadFile(h.holdFile("writing"))
	_, others := h.splitLines("writing")
	if err := h.replaceFile("writing", append(others, h.diskLine(session)...)); err != nil {
		return err
	}
	if _, err := os.Stat(h.holdFile("leaving")); !errors.Is(err, fs.ErrNotExist) {
		if len(before) == 0 {
			os.Remove(h.holdFile("writing"))
			return errLeaving
		}
		return errors.Join(errLeaving, h.replaceFile("writing", before))
	}
	return h.dropLine("verified")
}

// endWriting takes the disk's line from `writing` to `verified`: all was read back, and a client that did not hear so may ask
// again. The lease is fresh, so the wait goes on.
func (h *diskHold) endWriting(session string) error {
	touchLease(h.run)
	_, others := h.splitLines("verified")
	if err := h.replaceFile("verified", append(others, h.diskLine(session)...)); err != nil {
		return err
	}
	return h.dropLine("writing")
}

// dropLine takes the disk's line out of a file, and the file away with the last one.
func (h *diskHold) dropLine(name string) error {
	if _, others := h.splitLines(name); len(others) > 0 {
		return h.replaceFile(name, others)
	}
	if err := os.Remove(h.holdFile(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// State is what a disk is after a client went, once nobody is at work any more.
type State string

const (
	StateWriting  State = "writing"  // neither old nor new
	StateVerified State = "verified" // a flash was brought to its end in this boot, and none has begun since
	StateNone     State = "none"     // no flash has written to it in this boot
)

// Asking is who holds the device while it is asked for a disk's state.
const Asking = "asking for the disk's state"

// StateOf is a disk's state, and the session of the flash that wrote to it last. It waits up to limit for a writer that has work left.
func StateOf(run, disk string, limit time.Duration) (s State, session string, err error) {
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		h, err := holdDisk(run, disk, Asking)
		if err == nil {
			defer h.releaseLock()
			return h.holdState(), h.lastSession(), nil
		}
		if time.Now().After(deadline) {
			return "", "", err
		}
	}
}

func (h *diskHold) holdState() State {
	if h.isWriting() {
		return StateWriting
	}
	if own, _ := h.splitLines("verified"); own != "" {
		return StateVerified
	}
	return StateNone
}

// touchLease makes the lease fresh. A device whose clock jumps has another time at each touch all the same.
func touchLease(run string) {
	name := filepath.Join(run, "lease")
	now := time.Now()
	if os.Chtimes(name, now, now) != nil {
		os.WriteFile(name, nil, 0o600)
	}
}
