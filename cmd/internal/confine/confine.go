// Package confine runs a program of this machine (debugfs, xz) on input that
// anybody may have made. Should the input make it run wild, it meets limits of time,
// memory and file sizes, finds no network where the system lets us take it away, and
// ends with whoever asked for it, children and all.
//
// It is no sandbox: the program still is this user and sees his files. What it is
// given is a temporary directory or an open file, never a name from the input as an
// option.
package confine

import (
	"context"
	"errors"
	"os/exec"
	"syscall"
	"time"
)

// shellLimits set in the shell's way, POSIX ulimit and the forms that dash and bash share:
// seconds on a processor; KiB of addresses, blocks of 512 bytes of a file (2 GiB),
// open files, no core. A limit that is lower already stays.
const (
	timeLimit   = `ulimit -t 120; `
	shellLimits = `ulimit -v 4194304; ulimit -f 4194304; ulimit -n 256; ulimit -c 0; exec "$@"`
)

// outputGrace is how long a program may hold its output open once it was ended.
const outputGrace = time.Second

// Run runs a program to its end, or until ctx is done. setup may set everything of
// the command but Path, Args and SysProcAttr; it is called once more where a network
// of its own could not be had.
func Run(ctx context.Context, setup func(*exec.Cmd), program string, args ...string) error {
	return runWithin(ctx, timeLimit+shellLimits, setup, program, args)
}

// RunLong is Run for a program whose time is bounded by ctx alone.
func RunLong(ctx context.Context, setup func(*exec.Cmd), program string, args ...string) error {
	return runWithin(ctx, shellLimits, setup, program, args)
}

func runWithin(ctx context.Context, limits string, setup func(*exec.Cmd), program string, args []string) error {
	for _, apart := range []bool{true, false} {
		cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", limits, "sh", program}, args...)...)
		cmd.WaitDelay = outputGrace
		setup(cmd)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		if apart {
			withoutNetwork(cmd.SysProcAttr)
		}
		err := cmd.Start()
		switch {
		case err == nil:
			return cmd.Wait()
		case !apart || !namespaceRefused(err):
			return err
		}
	}
	panic("confine: not reached")
}

// namespaceRefused reports whether a process could not be started because namespaces
// are not to be had: forbidden, in a container or by sysctl, not built in, too many.
func namespaceRefused(err error) bool {
	for _, e := range []error{syscall.EPERM, syscall.EACCES, syscall.EINVAL, syscall.ENOSYS, syscall.ENOSPC, syscall.EUSERS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
