package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"groundhog/cmd/internal/kexec"
)

// kexecs is `groundhog-writer kexec`, which runs on the running system and not in the initramfs.
func kexecs(in io.Reader, out io.Writer, args []string) error {
	m := kexec.This()
	switch {
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
