package device

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"groundhog/fixtures/judge"
)

const (
	boot1 = "11111111-1111-4111-8111-111111111111"
	boot2 = "22222222-2222-4222-8222-222222222222"
)

// fake is what a device's commands see: a root of its own, and its systemctl and reboot. Their files are "systemctl"
// (what it prints) and "did" (what they were told).
type fake struct {
	*server
	root string
}

func (s *server) fake(t *testing.T) *fake {
	t.Helper()
	f := &fake{s, t.TempDir()}
	for name, text := range map[string]string{
		"systemctl": "echo systemctl $* >>" + f.root + "/did; cat " + f.root + "/systemctl",
		"reboot":    "echo reboot $* >>" + f.root + "/did",
		"sync":      "echo sync >>" + f.root + "/did; [ ! -e " + f.root + "/stuck ] || exec cat " + f.root + "/stuck",
	} {
		judge.Must(t, os.MkdirAll(f.root+"/bin", 0o755))
		judge.Must(t, judge.WriteProgram(f.root+"/bin/"+name, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	f.see.Store(strings.NewReplacer("exec /bin/sh", "export PATH="+f.root+"/bin:$PATH; exec /bin/sh", "/proc/sys", f.root+"/proc/sys", "/proc/sysrq", f.root+"/proc/sysrq",
		"/scripts/", f.root+"/scripts/", "/run/", f.root+"/run/", "sleep 60", "sleep 2"))
	f.put(t, "systemctl", "")
	f.put(t, "did", "")
	return f
}

// put writes a file of the device; a name that ends in / is a directory.
func (f *fake) put(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(f.root, name)
	judge.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	if strings.HasSuffix(name, "/") {
		judge.Must(t, os.MkdirAll(path, 0o755))
		return
	}
	write(t, path+".new", text)
	judge.Must(t, os.Rename(path+".new", path))
}

func (f *fake) boot(t *testing.T, id string) { f.put(t, "proc/sys/kernel/random/boot_id", id+"\n") }

// did waits until the device was told something.
func (f *fake) did(t *testing.T, what string) {
	t.Helper()
	judge.Until(t, "told: "+what, func() bool {
		b := judge.ReadFile(t, f.root+"/did")
		return strings.Contains(string(b), what)
	})
}

func (f *fake) dial(t *testing.T) *Client {
	t.Helper()
	c := judge.Value(Dial(t.Context(), f.target(), f.good()))(t)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestState(t *testing.T) {
	f := startServer(t).fake(t)
	c := f.dial(t)
	check := func(about string, want State) {
		t.Helper()
		if got, err := c.State(t.Context()); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", about, got, err, want)
		}
	}
	f.boot(t, boot1)
	check("a system", State{boot1, false, ""})
	f.put(t, "run/groundhog/build", "1.2-abc\nmore\n")
	check("a system that came up through an archive", State{boot1, false, "1.2-abc"})
	f.put(t, "scripts/groundhog/", "")
	check("the initramfs", State{boot1, true, "1.2-abc"})
	f.put(t, "run/systemd/private", "") // systemd's socket
	check("a system with such a directory", State{boot1, false, "1.2-abc"})
	f.put(t, "run/groundhog/build", strings.Repeat("x", 129)+"\n")
	if got, err := c.State(t.Context()); err == nil {
		t.Errorf("a long build: %+v", got)
	}
	f.boot(t, "no boot id")
	if got, err := c.State(t.Context()); err == nil || strings.ContainsAny(err.Error(), "\n") {
		t.Errorf("no boot id: %+v, %v", got, err)
	}
}

func TestReboot(t *testing.T) {
	f := startServer(t).fake(t)
	f.boot(t, boot1)
	c := f.dial(t)
	before, err := c.Reboot(t.Context())
	if err != nil || before.BootID != boot1 {
		t.Errorf("a system: %+v, %v", before, err)
	}
	f.did(t, "systemctl --no-block reboot\n")
	if _, err := c.RebootWith(t.Context(), "0 tryboot"); err != nil {
		t.Error(err)
	}
	f.did(t, "systemctl --no-block --reboot-argument=0 tryboot reboot\n")
	for about, text := range map[string]string{"refuses": "echo not today >&2; exit 1", "killed by the reboot": "kill -TERM $PPID"} {
		for _, name := range []string{"systemctl", "reboot"} {
			judge.Must(t, judge.WriteProgram(f.root+"/bin/"+name, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
		}
		if _, err := c.Reboot(t.Context()); (err != nil) != (about == "refuses") || err != nil && !strings.Contains(err.Error(), "not today") {
			t.Errorf("%s: %v", about, err)
		}
	}
}

// The initramfs is rebooted by the kernel, even when a broken disk never lets a sync end.
func TestRebootInitramfs(t *testing.T) {
	t.Parallel()
	for about, stuck := range map[string]bool{"well": false, "stuck": true} {
		t.Run(about, func(t *testing.T) {
			f := startServer(t).fake(t)
			f.boot(t, boot1)
			f.put(t, "scripts/groundhog/", "")
			f.put(t, "proc/sysrq-trigger", "")
			if stuck {
				judge.Must(t, syscall.Mkfifo(f.root+"/stuck", 0o600))
			}
			if before, err := f.dial(t).Reboot(t.Context()); err != nil || !before.Initramfs {
				t.Fatalf("%+v, %v", before, err)
			}
			f.did(t, "sync\n")
			if !stuck {
				f.did(t, "reboot -f\n")
			}
			judge.Until(t, "sysrq was told", func() bool {
				b, _ := os.ReadFile(f.root + "/proc/sysrq-trigger")
				return string(b) == "b\n"
			})
			if stuck { // let it end before its directory is removed
				w := judge.Value(os.OpenFile(f.root+"/stuck", os.O_WRONLY, 0))(t)
				w.Close()
				f.did(t, "reboot -f\n")
			}
		})
	}
}

// A disk that somebody flashes is not taken from under him; who begins later sees that the device leaves.
func TestRebootWhileWriting(t *testing.T) {
	t.Parallel()
	f := startServer(t).fake(t)
	f.boot(t, boot1)
	f.put(t, "scripts/groundhog/", "")
	f.put(t, "proc/sysrq-trigger", "")
	f.put(t, "run/groundhog/writing", "flash 123 /dev/vda\n")
	c := f.dial(t)
	if _, err := c.Reboot(t.Context()); !errors.Is(err, ErrWriting) || !strings.Contains(err.Error(), "flash 123 /dev/vda") {
		t.Errorf("%v", err)
	}
	leaving := func() bool { _, err := os.Stat(f.root + "/run/groundhog/leaving"); return err == nil }
	if leaving() {
		t.Error("it says that it leaves")
	}
	judge.Must(t, os.Remove(f.root+"/run/groundhog/writing"))
	if _, err := c.Reboot(t.Context()); err != nil || !leaving() {
		t.Errorf("%v, and it says that it leaves: %v", err, leaving())
	}
	f.did(t, "reboot -f\n")
	judge.Until(t, "sysrq was told, and did nothing", func() bool { return !leaving() })
}
