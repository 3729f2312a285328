package kexec

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"groundhog/fixtures/judge"
)

const (
	release = "6.1.0-56-amd64"
	build   = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)"
)

// bzImage is a kernel's file as far as it is looked at.
func bzImage(text string) []byte {
	b := make([]byte, 0x400)
	copy(b[headerMagic:], "HdrS")
	binary.LittleEndian.PutUint16(b[versionPointer:], 0x100)
	return append(append(b[:setupSize+0x100], text...), 0)
}

func TestVersion(t *testing.T) {
	text := release + " (debian-kernel@lists.debian.org) " + build
	whole := bzImage(text)
	got, err := Version(bytes.NewReader(whole))
	if err != nil || got != text || !isRunningKernel(got, release, build) {
		t.Errorf("%q, %v", got, err)
	}
	for n := range len(whole) {
		if _, err := Version(bytes.NewReader(whole[:n])); !errors.Is(err, errNoKernel) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for _, other := range [][2]string{{"6.1.0-56-amd6", build}, {"6.1.0-5", build}, {release, "#1 SMP PREEMPT_DYNAMIC Debian 6.1.190-1 (2026-10-01)"}, {release, ""}} {
		if isRunningKernel(text, other[0], other[1]) {
			t.Errorf("%q runs", other)
		}
	}
}

func TestCmdline(t *testing.T) {
	for running, want := range map[string]string{
		"root=/dev/vda1 ro quiet\n":                                     "root=/dev/vda1 ro quiet",
		"initrd=\\debian\\initrd.img root=/dev/vda1":                    "root=/dev/vda1",
		`dyndbg="file a.c +p; initrd=x" initrd=\a initrd=\b ro`:         `dyndbg="file a.c +p; initrd=x" ro`,
		"BOOT_IMAGE=/vmlinuz rdinit=/init noinitrd=1  console=ttyS0\t0": "BOOT_IMAGE=/vmlinuz rdinit=/init noinitrd=1 console=ttyS0 0",
		"": "",
	} {
		if got := nextCmdline(running); got != want {
			t.Errorf("%q: %q, want %q", running, got, want)
		}
	}
}

// fake is a machine whose kernel says yes unless fail is set.
type fake struct {
	t      *testing.T
	root   string
	calls  []string
	fail   error
	kernel []byte // that is loaded
	initrd []byte
}

func (f *fake) machine() Machine {
	return Machine{Root: f.root, Arch: "amd64", File: f.file, Uname: func(u *unix.Utsname) error {
		copy(u.Release[:], release)
		copy(u.Version[:], build)
		return nil
	}, Reboot: func(cmd int) error {
		f.calls = append(f.calls, map[int]string{unix.LINUX_REBOOT_CMD_KEXEC: "kexec", unix.LINUX_REBOOT_CMD_RESTART: "restart"}[cmd])
		return unix.EINVAL
	}, Apart: func() error {
		f.calls = append(f.calls, "apart")
		return f.fail
	}}
}

func (f *fake) write(name, text string) {
	f.t.Helper()
	judge.WriteTree(f.t, f.root, map[string]string{name: text})
}

func (f *fake) file(kernel, initrd int, line string, flags int) error {
	switch {
	case flags == unix.KEXEC_FILE_UNLOAD:
		f.calls = append(f.calls, "unload")
		f.write("sys/kernel/kexec_loaded", "0\n")
		return nil
	case f.fail != nil:
		return f.fail
	case flags == unix.KEXEC_FILE_NO_INITRAMFS:
		f.calls = append(f.calls, "trial "+line)
		f.kernel = f.content(kernel)
	default:
		f.calls = append(f.calls, "load "+line)
		f.kernel, f.initrd = f.content(kernel), f.content(initrd)
	}
	f.write("sys/kernel/kexec_loaded", "1\n")
	return nil
}

// content is a file's, by its descriptor.
func (f *fake) content(fd int) []byte {
	file := os.NewFile(uintptr(dup(f.t, fd)), "x")
	defer file.Close()
	b, _ := io.ReadAll(io.NewSectionReader(file, 0, 1<<20))
	return b
}

func dup(t *testing.T, fd int) int {
	return judge.Value(unix.Dup(fd))(t)
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, root: t.TempDir()}
	f.write("proc/cmdline", "initrd=x root=/dev/vda1 ro\n")
	f.write("sys/kernel/kexec_loaded", "0\n")
	f.write("boot/vmlinuz", string(bzImage(release+" (x@y) "+build)))
	return f
}

func (f *fake) load(in string) (string, error) {
	sum := sha256.Sum256([]byte("archive"))
	var out bytes.Buffer
	err := f.machine().Load("/boot/vmlinuz", strings.NewReader(in), 7, hex.EncodeToString(sum[:]), &out)
	return out.String(), err
}

func (f *fake) wants(calls ...string) {
	f.t.Helper()
	if got, want := strings.Join(f.calls, ", "), strings.Join(calls, ", "); got != want {
		f.t.Errorf("calls: %s; want %s", got, want)
	}
}

func TestLoad(t *testing.T) {
	f := newFake(t)
	out, err := f.load("archivego\n")
	if err != nil || out != "loaded\n" || string(f.initrd) != "archive" {
		t.Errorf("%q, %v, initramfs %q", out, err, f.initrd)
	}
	f.wants("load root=/dev/vda1 ro")
}

// Without the word nothing stays loaded, and what did not come whole is not loaded at all.
func TestLoadDropped(t *testing.T) {
	for _, said := range []string{"", "go", "g\n", "no\n", "\n", "go \n"} {
		f := newFake(t)
		if _, err := f.load("archive" + said); !errors.Is(err, ErrDropped) {
			t.Errorf("%q: %v", said, err)
		}
		f.wants("load root=/dev/vda1 ro", "unload")
	}
	for _, sent := range []string{"", "archiv", "ARCHIVEgo\n"} {
		f := newFake(t)
		if out, err := f.load(sent); err == nil || out != "" {
			t.Errorf("%q: %q, %v", sent, out, err)
		}
		f.wants()
	}
}

func TestTrial(t *testing.T) {
	f := newFake(t)
	if err := f.machine().Trial("/boot/vmlinuz"); err != nil {
		t.Error(err)
	}
	f.wants("trial root=/dev/vda1 ro", "unload")
}

func TestTrialRefuses(t *testing.T) {
	for want, change := range map[string]func(f *fake, m *Machine){
		"on arm64":               func(f *fake, m *Machine) { m.Arch = "arm64" },
		"not the one that runs":  func(f *fake, m *Machine) { f.write("boot/vmlinuz", string(bzImage("6.1.0-57-amd64 (x@y) "+build))) },
		"no Linux kernel":        func(f *fake, m *Machine) { f.write("boot/vmlinuz", "x") },
		"no such file":           func(f *fake, m *Machine) { os.Remove(f.root + "/boot/vmlinuz") },
		"loaded for kexec":       func(f *fake, m *Machine) { f.write("sys/kernel/kexec_loaded", "1\n") },
		"no kexec_file_load":     func(f *fake, m *Machine) { f.fail = unix.ENOSYS },
		"lockdown":               func(f *fake, m *Machine) { f.fail = unix.EPERM },
		"with this signature":    func(f *fake, m *Machine) { f.fail = unix.EKEYREJECTED },
		"cannot allocate memory": func(f *fake, m *Machine) { f.fail = unix.ENOMEM },
		"says that nothing is":   func(f *fake, m *Machine) { m.File = func(int, int, string, int) error { return nil } },
	} {
		f := newFake(t)
		m := f.machine()
		change(f, &m)
		if err := m.Trial("/boot/vmlinuz"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
		f.wants()
	}
}
