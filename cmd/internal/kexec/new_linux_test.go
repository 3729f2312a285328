package kexec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// newSystem is one to be started, and what comes of it on standard input.
func newSystem() (New, string) {
	sum := func(s string) string {
		h := sha256.Sum256([]byte(s))
		return hex.EncodeToString(h[:])
	}
	return New{Kernel: 6, KernelSum: sum("kernel"), Initrd: 7, InitrdSum: sum("initram"), Line: "root=/dev/vda1 ro"}, "kernelinitram"
}

// newWaiting is a machine that waits in its initramfs, and has 100 MB of memory available.
func newWaiting(t *testing.T) *fake {
	f := newFake(t)
	f.write("scripts/groundhog/wait", "")
	f.write("proc/meminfo", "MemTotal: 500000 kB\nMemAvailable:   100000 kB\n")
	return f
}

func TestLoadNew(t *testing.T) {
	n, sent := newSystem()
	f := newWaiting(t)
	var out bytes.Buffer
	if err := f.machine().LoadNew(strings.NewReader(sent+Go), n, &out); err != nil || out.String() != "loaded\n" || string(f.kernel) != "kernel" || string(f.initrd) != "initram" {
		t.Errorf("%q, %v, %q, %q", out.String(), err, f.kernel, f.initrd)
	}
	f.wants("load root=/dev/vda1 ro")

	n.Initrd = 0 // a kernel that has its own, or needs none
	f = newWaiting(t)
	if err := f.machine().LoadNew(strings.NewReader("kernel"+Go), n, io.Discard); err != nil || string(f.kernel) != "kernel" || f.initrd != nil {
		t.Errorf("without an initramfs: %v", err)
	}
	f.wants("trial root=/dev/vda1 ro")
}

func TestTrialNew(t *testing.T) {
	n, sent := newSystem()
	f := newWaiting(t)
	if err := f.machine().TrialNew(strings.NewReader(sent), n); err != nil || string(f.kernel) != "kernel" {
		t.Errorf("%v, %q", err, f.kernel)
	}
	f.wants("trial root=/dev/vda1 ro", "unload")
}

// Nothing stays loaded that was not to be started, and nothing is loaded that is not whole.
func TestLoadNewDropped(t *testing.T) {
	n, sent := newSystem()
	for _, said := range []string{"", "no\n"} {
		f := newWaiting(t)
		if err := f.machine().LoadNew(strings.NewReader(sent+said), n, io.Discard); !errors.Is(err, ErrDropped) {
			t.Errorf("%q: %v", said, err)
		}
		f.wants("load root=/dev/vda1 ro", "unload")
	}
	for _, sent := range []string{"", "kern", "KERNELinitram" + Go, "kernelinit", "kernelINITRAM" + Go} {
		f := newWaiting(t)
		if err := f.machine().LoadNew(strings.NewReader(sent), n, io.Discard); err == nil {
			t.Errorf("%q was loaded", sent)
		}
		f.wants()
	}
}

func TestNewRefuses(t *testing.T) {
	for want, change := range map[string]func(f *fake, m *Machine, n *New){
		"on arm64":                  func(f *fake, m *Machine, n *New) { m.Arch = "arm64" },
		"not the waiting initramfs": func(f *fake, m *Machine, n *New) { os.RemoveAll(f.root + "/scripts") },
		"a system runs here":        func(f *fake, m *Machine, n *New) { f.write("run/systemd/private", "") },
		"neither the old nor":       func(f *fake, m *Machine, n *New) { f.write("run/groundhog/writing", "flash s /dev/vda\n") },
		"to load takes 464":         func(f *fake, m *Machine, n *New) { n.Initrd = 200 << 20 },
		"are none":                  func(f *fake, m *Machine, n *New) { n.Initrd = 1 << 40 },
		"an initramfs of -1 are":    func(f *fake, m *Machine, n *New) { n.Initrd = -1 },
		"a kernel of 0 bytes":       func(f *fake, m *Machine, n *New) { n.Kernel = 0 },
		"does not say what memory":  func(f *fake, m *Machine, n *New) { f.write("proc/meminfo", "x\n") },
		"loaded for kexec already":  func(f *fake, m *Machine, n *New) { f.write("sys/kernel/kexec_loaded", "1\n") },
		"the kernel: what came has": func(f *fake, m *Machine, n *New) { n.KernelSum = n.InitrdSum },
	} {
		f := newWaiting(t)
		m := f.machine()
		n, sent := newSystem()
		change(f, &m, &n)
		tried := m.TrialNew(strings.NewReader(sent), n)
		if want == "neither the old nor" { // it is to be flashed once more, and tried before that
			if tried != nil {
				t.Errorf("a trial with a half written disk: %v", tried)
			}
			tried, f.calls = errors.New(want), nil
		}
		for name, err := range map[string]error{"trial": tried, "load": m.LoadNew(strings.NewReader(sent+Go), n, io.Discard)} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want %q", name, err, want)
			}
		}
		f.wants()
	}
}

// Where it cannot be started nothing stays loaded, and where the kexec fails it is the firmware's turn.
func TestStartNew(t *testing.T) {
	f := newWaiting(t)
	var out bytes.Buffer
	if err := f.machine().StartNew(&out); err != nil || out.String() != "starting\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := f.machine().GoNew(); err == nil {
		t.Error("a kexec that fails is no error")
	}
	f.wants("apart", "kexec", "restart")

	f = newWaiting(t)
	f.fail = errors.New("no process")
	if err := f.machine().StartNew(io.Discard); !errors.Is(err, f.fail) {
		t.Error(err)
	}
	f.wants("apart", "unload")

	f = newWaiting(t) // somebody flashes it again
	f.write("run/groundhog/writing", "flash s /dev/vda\n")
	if err := f.machine().GoNew(); err == nil {
		t.Error("it starts with a disk that is neither old nor new")
	}
	f.wants("unload")
}

// Who begins a flash behind the word that the new system is started is to see that the device leaves; where it does not leave, nobody is kept from it.
func TestStartNewLeaves(t *testing.T) {
	f := newWaiting(t)
	f.write("run/groundhog/build", "x\n")
	leaving := func() bool { _, err := os.Stat(f.root + "/run/groundhog/leaving"); return err == nil }
	if err := f.machine().StartNew(io.Discard); err != nil || !leaving() {
		t.Errorf("%v; it says that it leaves: %v", err, leaving())
	}
	judge.Must(t, os.Remove(f.root+"/run/groundhog/leaving")) // somebody's reboot that was refused
	m := f.machine()
	m.Reboot = func(int) error {
		if !leaving() {
			t.Error("it leaves, and does not say so")
		}
		return errors.New("no reboot")
	}
	if err := m.GoNew(); err == nil || leaving() {
		t.Errorf("%v; it says that it leaves: %v", err, leaving())
	}
	f.write("run/groundhog/writing", "flash s /dev/vda\n")
	f.calls = nil
	var out bytes.Buffer
	if err := f.machine().StartNew(&out); err == nil || out.Len() > 0 || leaving() {
		t.Errorf("somebody flashes it: %v, %q; it says that it leaves: %v", err, &out, leaving())
	}
	f.wants("unload")
	judge.Must(t, os.Remove(f.root+"/run/groundhog/writing"))
	f.calls, f.fail = nil, errors.New("no process")
	if err := f.machine().StartNew(io.Discard); err == nil || leaving() {
		t.Errorf("no process: %v; it says that it leaves: %v", err, leaving())
	}
	f.wants("apart", "unload")
}
