package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"groundhog/cmd/internal/kexec"
)

// runKexec is `groundhog-writer kexec`, which runs on the running system; with new before its arguments in the waiting initramfs.
func runKexec(in io.Reader, out io.Writer, args []string) error {
	m := kexec.This()
	switch {
	case len(args) > 1 && args[0] == "new":
		return kexecsNew(in, out, args[1:])
	case len(args) == 2 && args[0] == "trial":
		return m.Trial(args[1])
	case len(args) == 4 && args[0] == "load":
		size, err := strconv.ParseInt(args[2], 10, 64)
		if err != nil || size <= 0 {
			return errUsage
		}
		if err := m.Load(args[1], in, size, args[3], out); err != nil {
			return err
		}
		// It is said beforehand: once systemd stops everything, what is said may not get through.
		if _, err := fmt.Fprintln(out, "starting"); err != nil {
			return errors.Join(err, m.Unload())
		}
		if err := m.Start(); err != nil {
			return errors.Join(err, m.Unload())
		}
		return nil
	}
	return errUsage
}

// kexecsNew is `groundhog-writer kexec new`.
func kexecsNew(in io.Reader, out io.Writer, args []string) error {
	if len(args) == 1 && args[0] == "start" { // a process of load's
		return kexec.This().GoNew()
	}
	if len(args) != 6 {
		return errUsage
	}
	kernel, err := strconv.ParseInt(args[1], 10, 64)
	initrd, other := strconv.ParseInt(args[3], 10, 64)
	if err != nil || other != nil {
		return errUsage
	}
	m := kexec.This()
	switch n := (kexec.New{Kernel: kernel, KernelSum: args[2], Initrd: initrd, InitrdSum: args[4], Line: args[5]}); args[0] {
	case "trial":
		return m.TrialNew(in, n)
	case "load":
		if err := m.LoadNew(in, n, out); err != nil {
			return err
		}
		return m.StartNew(out)
	}
	return errUsage
}
