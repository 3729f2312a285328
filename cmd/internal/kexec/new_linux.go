package kexec

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"groundhog/cmd/internal/meminfo"

	"golang.org/x/sys/unix"
)

// New is a system that is started from the waiting initramfs: what comes on standard input, the kernel before the initramfs.
type New struct {
	Kernel, Initrd       int64  // bytes; no initramfs has none
	KernelSum, InitrdSum string // SHA-256 in hex
	Line                 string
}

// Bounds of what comes, and memory that stays free while it is loaded, in bytes.
const (
	maxKernel   = 128 << 20
	maxInitrd   = 512 << 20
	spareMemory = 64 << 20
)

// checkSizes refuses what cannot be loaded here, before any of it has come: a tmpfs that fills the memory would end whoever has the least.
func (n New) checkSizes(m Machine) error {
	if n.Kernel <= 0 || n.Kernel > maxKernel || n.Initrd < 0 || n.Initrd > maxInitrd {
		return fmt.Errorf("a kernel of %d bytes and an initramfs of %d are none", n.Kernel, n.Initrd)
	}
	if err := errors.Join(m.checkAble(), m.requireWaiting()); err != nil {
		return err
	}
	available, err := meminfo.Available(m.Root)
	if need := 2*(n.Kernel+n.Initrd) + spareMemory; err == nil && available < need {
		err = fmt.Errorf("kexec: %d MiB of memory are available, to load takes %d", available>>20, need>>20)
	}
	return err
}

// requireWaiting is nil in the waiting initramfs.
func (m Machine) requireWaiting() error {
	if _, err := os.Stat(m.Root + "/scripts/groundhog"); err != nil {
		return fmt.Errorf("kexec of a new system: this is not the waiting initramfs: %w", err)
	}
	if _, err := os.Stat(m.Root + "/run/systemd/private"); err == nil {
		return errors.New("kexec of a new system: a system runs here, not the waiting initramfs")
	}
	return nil
}

// requireWholeDisks is nil where no disk is half written: what is on one then is never booted. A trial does not ask, since what is half written is
// to be flashed once more.
func (m Machine) requireWholeDisks() error {
	if _, err := os.Stat(m.Root + "/run/groundhog/writing"); err == nil {
		return errors.New("kexec of a new system: a disk is neither the old nor the new one")
	}
	return nil
}

// TrialNew reads a kernel from in, loads it without its initramfs and lets go of it.
func (m Machine) TrialNew(in io.Reader, n New) error {
	if err := n.checkSizes(m); err != nil {
		return err
	}
	k, err := receiveFile(in, n.Kernel, n.KernelSum)
	if err != nil {
		return fmt.Errorf("the kernel: %w", err)
	}
	defer k.Close()
	if err := m.loadKernel(k, -1, n.Line, unix.KEXEC_FILE_NO_INITRAMFS); err != nil {
		return err
	}
	return m.Unload()
}

// LoadNew reads both and loads them, and is for the rest as [Machine.Load].
func (m Machine) LoadNew(in io.Reader, n New, out io.Writer) error {
	if err := errors.Join(n.checkSizes(m), m.requireWholeDisks()); err != nil {
		return err
	}
	r := bufio.NewReader(in)
	k, err := receiveFile(r, n.Kernel, n.KernelSum)
	if err != nil {
		return fmt.Errorf("the kernel: %w", err)
	}
	defer k.Close()
	initrd, flags := -1, unix.KEXEC_FILE_NO_INITRAMFS
	if n.Initrd > 0 {
		i, err := receiveFile(r, n.Initrd, n.InitrdSum)
		if err != nil {
			return fmt.Errorf("the initramfs: %w", err)
		}
		defer i.Close()
		initrd, flags = int(i.Fd()), 0
	}
	if err := m.loadKernel(k, initrd, n.Line, flags); err != nil {
		return err
	}
	return m.awaitWord(r, out)
}

// Moments of a start.
const (
	partingPause = time.Second // until all that was said has reached whoever gave the word
	stoppingTime = time.Minute // for the kernel to stop its devices
)

// leavingFile is there while the device is about to leave the initramfs: no flash begins then (package writer).
func (m Machine) leavingFile() string { return filepath.Join(m.Root, "/run/groundhog/leaving") }

// leaveDisks is nil where no disk is half written, and no flash begins from here on: who writes makes `writing` before he looks for `leaving`. After an error
// the device does not leave.
func (m Machine) leaveDisks() error {
	os.WriteFile(m.leavingFile(), nil, 0o600)
	err := m.requireWholeDisks()
	if err != nil {
		os.Remove(m.leavingFile())
	}
	return err
}

// StartNew has a process of its own start what LoadNew loaded, a moment later: until then the connection can end in good order.
func (m Machine) StartNew(out io.Writer) error {
	err := m.leaveDisks()
	if err == nil {
		if err = m.Apart(); err != nil {
			os.Remove(m.leavingFile())
		}
	}
	if err != nil {
		return errors.Join(err, m.Unload())
	}
	_, err = fmt.Fprintln(out, "starting")
	return err
}

// startApart runs this program's kexec new start, which lives on when the connection has ended.
func startApart() error {
	cmd := exec.Command("/proc/self/exe", "kexec", "new", "start")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting a process that starts it: %w", err)
	}
	return cmd.Process.Release()
}

// GoNew starts what is loaded. A kexec that does not come off ends in a reboot by the firmware, which boots the same system: nobody is there to
// be told any more.
func (m Machine) GoNew() error {
	time.Sleep(partingPause)
	if err := errors.Join(m.requireWaiting(), m.leaveDisks()); err != nil { // somebody flashes it again
		return errors.Join(err, m.Unload())
	}
	defer os.Remove(m.leavingFile())
	unix.Sync()
	stuck := time.AfterFunc(stoppingTime, func() { m.pressSysrq("b") })
	defer stuck.Stop()
	err := m.Reboot(unix.LINUX_REBOOT_CMD_KEXEC)
	return errors.Join(fmt.Errorf("reboot(2), by kexec: %w", err), m.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
}

// pressSysrq is Documentation/admin-guide/sysrq.rst's.
func (m Machine) pressSysrq(key string) {
	os.WriteFile(filepath.Join(m.Root, "/proc/sysrq-trigger"), []byte(key), 0)
}
