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
)

// holder is this process' hold on the device. The files are in the waiting initramfs' /run/groundhog:
// flash.lock, locked by flock(2) as long as the process lives, says who; `writing` is there from before the
// first byte until all was read back, and while it is there the device never boots. It has a line for
// each disk that is neither old nor new: "flash SESSION DISK". `verified` has such a line for each that is new.
type holder struct {
	run  string
	disk string // its path
	lock *os.File
}

// hold takes the lock. The error names who has it.
func hold(run, disk, who string) (*holder, error) {
	if err := os.MkdirAll(run, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(run, "flash.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another flash is at work: %s", firstLine(filepath.Join(run, "flash.lock")))
		}
		return nil, err
	}
	if by, ok := pipeline(run); ok {
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
		return nil, err
	}
	return &holder{run, disk, f}, nil
}

// pipeline reports whether a flash by curl is at work (package plain): its claim is a file PID.START in plain.by, of a process
// that began when the file says (proc(5), stat).
func pipeline(run string) (by string, ok bool) {
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

func (h *holder) release() { h.lock.Close() }

func (h *holder) path(name string) string { return filepath.Join(h.run, name) }

// of splits a file's lines into this disk's, the last of which is returned without its end, and those of others.
func (h *holder) of(name string) (own string, others []byte) {
	b, err := os.ReadFile(h.path(name))
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

// put replaces a file at one instant: the waiting script looks at any time.
func (h *holder) put(name string, b []byte) error {
	aside := h.path(name + ".new")
	if err := os.WriteFile(aside, b, 0o600); err != nil {
		return err
	}
	return os.Rename(aside, h.path(name))
}

func (h *holder) line(session string) string { return "flash " + session + " " + h.disk + "\n" }

// writing reports whether the disk is neither the old nor the new one. Of no hold nothing is known.
func (h *holder) writing() bool {
	if h == nil {
		return false
	}
	own, _ := h.of("writing")
	return own != ""
}

// last is which run wrote to the disk last, whether it was done or not, as "KIND ID"; "" for none.
func (h *holder) last() string {
	line, _ := h.of("writing")
	if line == "" {
		line, _ = h.of("verified")
	}
	return strings.TrimSuffix(line, " "+h.disk)
}

// session is the one of a flash that wrote last.
func (h *holder) session() string {
	id, _ := strings.CutPrefix(h.last(), "flash ")
	return id
}

// errLeaving is that the wait is over: the old system is being booted from this disk.
var errLeaving = errors.New("the boot is going on: the old system comes up")

// begin makes `writing`, before the first byte. The waiting script makes `leaving` before it looks for `writing` for the
// last time, and we look for `leaving` after we made `writing`: one of the two sees the other.
func (h *holder) begin(session string) error {
	_, others := h.of("writing")
	if err := h.put("writing", append(others, h.line(session)...)); err != nil {
		return err
	}
	if _, err := os.Stat(h.path("leaving")); !errors.Is(err, fs.ErrNotExist) {
		if len(others) == 0 {
			os.Remove(h.path("writing"))
		}
		return errLeaving
	}
	return h.drop("verified")
}

// end takes the disk's line from `writing` to `verified`: all was read back, and a client that did not hear so may ask
// again. The lease is fresh, so the wait goes on.
func (h *holder) end(session string) error {
	touch(h.run)
	_, others := h.of("verified")
	if err := h.put("verified", append(others, h.line(session)...)); err != nil {
		return err
	}
	return h.drop("writing")
}

// drop takes the disk's line out of a file, and the file away with the last one.
func (h *holder) drop(name string) error {
	if _, others := h.of(name); len(others) > 0 {
		return h.put(name, others)
	}
	if err := os.Remove(h.path(name)); !errors.Is(err, fs.ErrNotExist) {
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

// StateOf says so, and whose flash it was, after waiting until limit for a writer that has work left.
func StateOf(run, disk string, limit time.Duration) (s State, session string, err error) {
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		h, err := hold(run, disk, Asking)
		if err == nil {
			defer h.release()
			return h.state(), h.session(), nil
		}
		if time.Now().After(deadline) {
			return "", "", err
		}
	}
}

func (h *holder) state() State {
	if h.writing() {
		return StateWriting
	}
	if own, _ := h.of("verified"); own != "" {
		return StateVerified
	}
	return StateNone
}

// touch makes the lease fresh. A device whose clock jumps has another time at each touch all the same.
func touch(run string) {
	name := filepath.Join(run, "lease")
	now := time.Now()
	if os.Chtimes(name, now, now) != nil {
		os.WriteFile(name, nil, 0o600)
	}
}
