package writer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures/judge"
)

// A device with two disks: it boots again when neither is half written, whichever was done first.
func TestTwoDisks(t *testing.T) {
	run := t.TempDir()
	begin := func(disk, session string, done bool) {
		t.Helper()
		h := judge.Value(holdDisk(run, disk, "a test"))(t)
		defer h.releaseLock()
		judge.Must(t, h.beginWriting(session))
		if !h.isWriting() || h.lastSession() != session {
			t.Errorf("%s: writing %v, session %q", disk, h.isWriting(), h.lastSession())
		}
		if done {
			judge.Must(t, h.endWriting(session))
		}
	}
	is := func(disk string, want State, session string) {
		t.Helper()
		if got, by, err := StateOf(run, disk, 0); err != nil || got != want || by != session {
			t.Errorf("%s: %s by %q, %v; want %s by %q", disk, got, by, err, want, session)
		}
	}
	is("/dev/vda", StateNone, "")
	begin("/dev/vda", "one", false)
	begin("/dev/vdb", "two", true)
	is("/dev/vda", StateWriting, "one")
	is("/dev/vdb", StateVerified, "two")
	b, err := os.ReadFile(filepath.Join(run, "writing"))
	if err != nil || string(b) != "flash one /dev/vda\n" {
		t.Errorf("writing: %q, %v", b, err)
	}
	begin("/dev/vda", "three", true)
	is("/dev/vda", StateVerified, "three")
	if _, err := os.Stat(filepath.Join(run, "writing")); !os.IsNotExist(err) {
		t.Errorf("writing is left: %v", err)
	}
}

// While somebody is at work nothing is said, and the error names who.
func TestStateOfBusy(t *testing.T) {
	run := t.TempDir()
	h := judge.Value(holdDisk(run, "/dev/vda", "alice"))(t)
	if s, _, err := StateOf(run, "/dev/vda", 0); err == nil || !strings.Contains(err.Error(), "alice") {
		t.Errorf("%s, %v", s, err)
	}
	done := make(chan State)
	go func() { s, _, _ := StateOf(run, "/dev/vda", time.Minute); done <- s }()
	h.releaseLock()
	if s := <-done; s != StateNone {
		t.Errorf("afterwards: %s", s)
	}
}

// A boot that is about to go on stops a flash before its first byte; what earlier flashes left half written is so still, whoever of them it was.
func TestLeaving(t *testing.T) {
	for about, writing := range map[string]string{
		"whole": "", "half written": "flash one /dev/vda\n", "another one half written": "flash two /dev/vdb\n", "both": "flash one /dev/vda\nflash two /dev/vdb\n",
	} {
		run := t.TempDir()
		if writing != "" {
			judge.WriteFile(t, filepath.Join(run, "writing"), writing)
		}
		judge.WriteFile(t, filepath.Join(run, "leaving"), "")
		h := judge.Value(holdDisk(run, "/dev/vda", "a test"))(t)
		if err := h.beginWriting("three"); !errors.Is(err, errLeaving) {
			t.Errorf("%s: %v", about, err)
		}
		h.releaseLock()
		if b, err := os.ReadFile(filepath.Join(run, "writing")); string(b) != writing || (err == nil) != (writing != "") {
			t.Errorf("%s: writing is %q afterwards, %v; want %q", about, b, err, writing)
		}
	}
}
