package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// holder is this process' hold on the device. The files are in the waiting initramfs' /run/groundhog:
// flash.lock, locked by flock(2) as long as the process lives, says who; `writing` is there from before the
// first byte until all was read back, and while it is there the device never boots.
type holder struct {
	run  string
	lock *os.File
}

// hold takes the lock. The error names who has it.
func hold(run, who string) (*holder, error) {
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
	return &holder{run, f}, nil
}

// pipeline reports whether a flash by curl is at work (package plain): its lock is a directory.
func pipeline(run string) (by string, ok bool) {
	pid, err := strconv.Atoi(firstLine(filepath.Join(run, "plain/pid")))
	if err != nil || pid <= 0 || unix.Kill(pid, 0) != nil {
		return "", false
	}
	return firstLine(filepath.Join(run, "plain/who")), true
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

// writing reports whether the disk is neither the old nor the new one. Of no hold nothing is known.
func (h *holder) writing() bool {
	if h == nil {
		return false
	}
	_, err := os.Stat(h.path("writing"))
	return err == nil
}

// session is which run of a client wrote last, whether it was done or not; "" for none.
func (h *holder) session() string {
	line := firstLine(h.path("writing"))
	if line == "" {
		line = firstLine(h.path("verified"))
	}
	_, id, _ := strings.Cut(line, " ")
	return id
}

// errLeaving is that the wait is over: the old system is being booted from this disk.
var errLeaving = errors.New("the boot is going on: the old system comes up")

// begin makes `writing`, before the first byte. The waiting script makes `leaving` before it looks for `writing` for the
// last time, and we look for `leaving` after we made `writing`: one of the two sees the other.
func (h *holder) begin(session, who string) error {
	if err := os.WriteFile(h.path("writing"), []byte("flash "+session+"\n"), 0o600); err != nil {
		return err
	}
	if _, err := os.Stat(h.path("leaving")); !errors.Is(err, fs.ErrNotExist) {
		os.Remove(h.path("writing"))
		return errLeaving
	}
	if err := os.Remove(h.path("verified")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// end turns `writing` into `verified`: all was read back, and a client that did not hear so may ask again. The
// lease is fresh, so the wait goes on.
func (h *holder) end() error {
	touch(h.run)
	err := os.Rename(h.path("writing"), h.path("verified"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// touch makes the lease fresh. A device whose clock jumps has another time at each touch all the same.
func touch(run string) {
	name := filepath.Join(run, "lease")
	now := time.Now()
	if os.Chtimes(name, now, now) != nil {
		os.WriteFile(name, nil, 0o600)
	}
}
