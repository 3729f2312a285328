package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"groundhog/cmd/internal/flash/writer"
	"groundhog/fixtures/judge"
)

// told runs the command line and returns its exit code and all that it says.
func (d *desk) told(verb string, more ...string) (int, string) {
	d.t.Helper()
	var said bytes.Buffer
	code := run(d.args(verb, more...), nil, &said, &said)
	return code, said.String()
}

// knownAs lets known_hosts know the device by another name, too, and returns that name.
func (d *desk) knownAs(name string) string {
	d.t.Helper()
	_, port, _ := net.SplitHostPort(d.Addr)
	b := judge.ReadFile(d.t, d.Path("known_hosts"))
	b = append(b, bytes.ReplaceAll(b, []byte("127.0.0.1"), []byte(name))...)
	judge.WriteFile(d.t, d.Path("known_hosts"), b)
	return "root@" + net.JoinHostPort(name, port)
}

// Behind a name that a push has met, another board is not written to, neither while it waits nor while it runs.
func TestAnotherDeviceAnswers(t *testing.T) {
	d := newDesk(t)
	if code, said := d.told("push", "--reboot"); code != exitDone {
		t.Fatalf("%d: %s", code, said)
	}
	d.Board("GH-BOARD-2") // somebody has changed the cables
	for _, verb := range []string{"flash", "reflash"} {
		code, said := d.told(verb)
		if code != exitNo || !strings.Contains(said, "another device answers: its board is gh-board-2, not gh-board-1") || !strings.Contains(said, "remove ") {
			t.Errorf("%s: %d: %s", verb, code, said)
		}
	}
	if d.Asked("groundhog-writer serve") {
		t.Error("its disk was opened")
	}
	d.Reboot()
	before := len(d.Commands())
	for _, args := range [][]string{{"push"}, {"push", "--dry-run"}, {"restore"}} {
		if code, said := d.told(args[0], args[1:]...); code != exitNo || !strings.Contains(said, "another device answers") {
			t.Errorf("%s: %d: %s", args, code, said)
		}
	}
	for _, c := range d.Commands()[before:] {
		if strings.Contains(c, "groundhog_restore=") || strings.Contains(c, "take_lock") {
			t.Error("something was changed there")
		}
	}
	d.Board("GH-BOARD-1")
	if code, said := d.told("push", "--reboot"); code != exitDone {
		t.Errorf("the right one: %d: %s", code, said)
	}
	if code, said := d.told("flash"); code != exitDone {
		t.Errorf("the right one: %d: %s", code, said)
	}
}

// Two names of one command line that lead to one device are noticed before its disk is opened twice.
func TestOneDeviceByTwoNames(t *testing.T) {
	if _, err := net.LookupHost("localhost"); err != nil { // a root that was just made has no /etc/hosts
		judge.Missing(t, "a second name of this machine, localhost")
	}
	d := newDesk(t)
	other := d.knownAs("localhost")
	if code, said := d.told("push", "--reboot"); code != exitDone {
		t.Fatalf("%d: %s", code, said)
	}
	code, said := d.told("flash", other)
	if code != exitNo || strings.Count(said, "two names lead to one device") == 0 || !strings.Contains(said, "verified: ") {
		t.Errorf("flash: %d: %s", code, said)
	}
	serves := 0
	for _, c := range d.Commands() {
		if strings.Contains(c, "groundhog-writer serve") {
			serves++
		}
	}
	if serves != 1 {
		t.Errorf("its disk was opened %d times", serves)
	}
	d.Reboot()
	if code, said = d.told("push", other); code != exitNo || !strings.Contains(said, "two names lead to one device: ") {
		t.Errorf("push: %d: %s", code, said)
	}
	if code, said = d.told("restore", other); code != exitNo || !strings.Contains(said, "two names lead to one device: ") || strings.Count(said, "the original is back") != 1 {
		t.Errorf("restore: %d: %s", code, said)
	}
}

// A comparison of one device under two names says so, too, while one of them is at work: it is no other flash that has the device.
func TestOneDeviceByTwoNamesCompared(t *testing.T) {
	if _, err := net.LookupHost("localhost"); err != nil { // a root that was just made has no /etc/hosts
		judge.Missing(t, "a second name of this machine, localhost")
	}
	d := newDesk(t)
	d.Wait("b1")
	judge.WriteFile(t, d.DiskFile(), judge.ReadFile(t, d.image))
	said := &awaitedText{texts: []string{"two names lead to one device: ", "another flash"}, there: make(chan struct{})}
	d.OpenDisk(func(_ string, write bool) (writer.Target, error) {
		disk, err := writer.Open(d.DiskFile(), write)
		return &heldReads{disk, said.there}, err
	})
	code := run(d.args("flash", "--check", d.knownAs("localhost")), nil, said, said)
	if text := said.String(); code != exitNo || !strings.Contains(text, "two names lead to one device: root@") || !strings.Contains(text, "nothing was changed") ||
		!strings.Contains(text, "is equal to") || !strings.Contains(text, "name each device once") {
		t.Errorf("%d: %s", code, text)
	}
}

// awaitedText is what is said; there is closed once one of the texts is in it.
type awaitedText struct {
	mu    sync.Mutex
	b     bytes.Buffer
	texts []string
	there chan struct{}
}

func (a *awaitedText) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	had := a.has()
	a.b.Write(b)
	if !had && a.has() {
		close(a.there)
	}
	return len(b), nil
}

func (a *awaitedText) has() bool {
	return slices.ContainsFunc(a.texts, func(text string) bool { return strings.Contains(a.b.String(), text) })
}

func (a *awaitedText) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.b.String()
}

// heldReads is a disk that is not read before open is closed.
type heldReads struct {
	writer.Target
	open chan struct{}
}

func (h *heldReads) ReadAt(b []byte, off int64) (int, error) {
	<-h.open
	return h.Target.ReadAt(b, off)
}

// The keys of a device that waits are those of the archive that was pushed. Where that is gone, another or unreadable, flash says so,
// and takes nobody else's word unless it is told whose.
func TestPushedArchiveIsGone(t *testing.T) {
	d := newDesk(t)
	if code, said := d.told("push", "--reboot"); code != exitDone {
		t.Fatalf("%d: %s", code, said)
	}
	b := judge.ReadFile(t, d.archive)
	args := func() []string { // without --known-hosts
		return []string{"flash", "--ssh-config", "none", "--identity", d.Path("login"), d.Target(), d.image}
	}
	for about, c := range map[string]struct {
		spoil func() error
		code  int
		said  string
	}{
		"gone":    {func() error { return os.Remove(d.archive) }, exitTrouble, "no such file"},
		"another": {func() error { return os.WriteFile(d.archive, append(b, 0, 0, 0, 0), 0o600) }, exitNo, "it is another one now"},
	} {
		judge.Must(t, c.spoil())
		began := time.Now()
		var said bytes.Buffer
		code := run(args(), nil, &said, &said)
		if text := said.String(); code != c.code || !strings.Contains(text, c.said) || !strings.Contains(text, d.archive) || !strings.Contains(text, "--known-hosts") {
			t.Errorf("%s, after %s: %d: %s", about, time.Since(began), code, text)
		}
	}
	if code, said := d.told("flash"); code != exitDone {
		t.Errorf("with --known-hosts: %d: %s", code, said)
	}
	judge.WriteFile(t, d.archive, b)
	var said bytes.Buffer
	if code := run(args(), nil, &said, &said); code != exitDone {
		t.Errorf("put back: %d: %s", code, fmt.Sprint(said.String()))
	}
}

// What is for a running system is refused by name where none runs: a device that waits was asked for its kernel and its boot loader, and a
// restore of what was pushed to it ended as if nothing had been. Where its other key is all that is seen, what may be behind it is said.
func TestPushToWhatWaits(t *testing.T) {
	d := newDesk(t)
	if code, said := d.told("push", "--reboot"); code != exitDone {
		t.Fatalf("%d: %s", code, said)
	}
	for _, args := range [][]string{{"push"}, {"push", "--dry-run"}, {"restore"}} {
		code, said := d.told(args[0], args[1:]...)
		if code != exitNo || strings.Count(said, "it waits in its initramfs, build ") != 1 || !strings.Contains(said, "no system runs there; nothing was changed\n") ||
			!strings.Contains(said, "groundhog-continue there boots its system") || strings.Contains(said, "refuse ") {
			t.Errorf("%s: %d: %s", args, code, said)
		}
	}
	b := judge.ReadFile(t, d.Path("known_hosts"))
	system, _, _ := bytes.Cut(b, []byte("\n")) // its key alone, as known_hosts has it who never logged in to the initramfs
	judge.WriteFile(t, d.Path("known_hosts"), append(system, '\n'))
	for _, verb := range []string{"push", "restore"} {
		if code, said := d.told(verb); code != exitNo || !strings.Contains(said, "host key refused") || !strings.Contains(said, "; or it waits in the initramfs that was pushed, whose keys groundhog flash knows") {
			t.Errorf("%s: %d: %s", verb, code, said)
		}
	}
}
