package kexec

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is what is asked of the running system; [This] is the one that there is.
type Machine struct {
	Root string // "", but in tests
	Arch string // as Go has it

	// File loads a kernel and an initramfs (kexec_file_load(2)); with unix.KEXEC_FILE_UNLOAD it lets go of what is loaded.
	File   func(kernel, initrd int, cmdline string, flags int) error
	Uname  func(*unix.Utsname) error
	Reboot func(cmd int) error // reboot(2)
	Apart  func() error        // has GoNew called by a process of its own
}

// This is the machine that we are on.
func This() Machine {
	return Machine{Arch: runtime.GOARCH, File: unix.KexecFileLoad, Uname: unix.Uname, Reboot: unix.Reboot, Apart: startApart}
}

// ErrDropped says that a kernel was loaded and unloaded again, because nobody said to start it.
var ErrDropped = errors.New("nobody said to start it: what was loaded is not any more")

// Trial loads the kernel without an initramfs, and unloads it again: only the running kernel knows what it refuses, under lockdown or
// without a signature.
func (m Machine) Trial(kernel string) error {
	k, line, err := m.prepareKernel(kernel)
	if err != nil {
		return err
	}
	defer k.Close()
	if err := m.loadKernel(k, -1, line, unix.KEXEC_FILE_NO_INITRAMFS); err != nil {
		return err
	}
	return m.Unload()
}

// Load reads an initramfs of size bytes from in, and loads it with the kernel if sum is its SHA-256 in hex. Then it writes the line "loaded"
// to out and waits for the line "go". Anything else, also the end of in, unloads both, and the error is ErrDropped. After nil the caller
// starts what is loaded.
func (m Machine) Load(kernel string, in io.Reader, size int64, sum string, out io.Writer) error {
	k, line, err := m.prepareKernel(kernel)
	if err != nil {
		return err
	}
	defer k.Close()
	r := bufio.NewReader(in)
	initrd, err := receiveFile(r, size, sum)
	if err != nil {
		return err
	}
	defer initrd.Close()
	if err := m.loadKernel(k, int(initrd.Fd()), line, 0); err != nil {
		return err
	}
	return m.awaitWord(r, out)
}

// awaitWord waits for the line that says to start what is loaded, and unloads it if anything else comes.
func (m Machine) awaitWord(in *bufio.Reader, out io.Writer) error {
	if _, err := fmt.Fprintln(out, "loaded"); err == nil {
		if said, _ := in.ReadString('\n'); said == Go {
			return nil
		}
	}
	return errors.Join(ErrDropped, m.Unload())
}

// receiveFile keeps a kernel or an initramfs in memory, in a file without a name.
func receiveFile(in io.Reader, size int64, sum string) (*os.File, error) {
	fd, err := unix.MemfdCreate("kexec", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("keeping it in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "kexec")
	hash := sha256.New()
	n, err := io.CopyN(io.MultiWriter(f, hash), in, size)
	switch got := hex.EncodeToString(hash.Sum(nil)); {
	case err == io.EOF:
		err = fmt.Errorf("%d bytes of %d came: the connection was cut", n, size)
	case err != nil:
		err = fmt.Errorf("receiving: %w", err)
	case got != sum:
		err = fmt.Errorf("what came has SHA-256 %s, not %s", got, sum)
	default:
		return f, nil
	}
	f.Close()
	return nil, err
}

// prepareKernel opens the kernel's file, which must be that of the kernel that runs, and makes the next command line.
func (m Machine) prepareKernel(kernel string) (*os.File, string, error) {
	if err := m.checkAble(); err != nil {
		return nil, "", err
	}
	running, err := os.ReadFile(m.Root + "/proc/cmdline")
	if err != nil {
		return nil, "", err
	}
	k, err := os.Open(m.Root + kernel)
	if err != nil {
		return nil, "", fmt.Errorf("opening the kernel: %w", err)
	}
	if err := m.sameKernel(k); err != nil {
		k.Close()
		return nil, "", fmt.Errorf("%s: %w", kernel, err)
	}
	return k, nextCmdline(string(running)), nil
}

// checkAble refuses a machine whose kernels cannot.
func (m Machine) checkAble() error {
	if m.Arch != "amd64" {
		return fmt.Errorf("kexec: on %s Debian's kernels have no kexec_file_load", m.Arch)
	}
	return nil
}

func (m Machine) sameKernel(k *os.File) error {
	v, err := Version(k)
	if err != nil {
		return err
	}
	var u unix.Utsname
	if err := m.Uname(&u); err != nil {
		return err
	}
	release, build := unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:])
	if !isRunningKernel(v, release, build) {
		return fmt.Errorf("kernel %.200q, not the one that runs, %s %s", v, release, build)
	}
	return nil
}

func (m Machine) loadKernel(k *os.File, initrd int, line string, flags int) error {
	if m.isLoaded() {
		return errors.New("another kernel is loaded for kexec already: kexec -u lets go of it")
	}
	switch err := m.File(int(k.Fd()), initrd, line, flags); {
	case err == nil:
	case errors.Is(err, unix.ENOSYS):
		return errors.New("this kernel has no kexec_file_load")
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("this kernel allows no kexec (lockdown, or kernel.kexec_load_disabled): %w", err)
	case errors.Is(err, unix.EKEYREJECTED), errors.Is(err, unix.ENOKEY), errors.Is(err, unix.EBADMSG):
		return fmt.Errorf("this kernel takes no kernel with this signature: %w", err)
	default:
		return fmt.Errorf("loading the kernel: %w", err)
	}
	if !m.isLoaded() {
		return errors.New("the kernel says that nothing is loaded")
	}
	return nil
}

// Unload lets go of a loaded kernel.
func (m Machine) Unload() error {
	if err := m.File(-1, -1, "", unix.KEXEC_FILE_UNLOAD); err != nil {
		return fmt.Errorf("letting go of the loaded kernel: %w", err)
	}
	if m.isLoaded() {
		return errors.New("a kernel is still loaded: a reboot starts it")
	}
	return nil
}

func (m Machine) isLoaded() bool {
	b, err := os.ReadFile(m.Root + "/sys/kernel/kexec_loaded")
	return err == nil && strings.TrimSpace(string(b)) == "1"
}
