package devicetest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"groundhog/cmd/internal/device"
)

// Here runs a command on this machine as a device's shell would: an exit status is no error.
func Here(cmd *exec.Cmd, stdin io.Reader) (device.Result, error) {
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return device.Result{}, err
	}
	return device.Result{Stdout: out.Bytes(), Stderr: errs.Bytes(), Exit: cmd.ProcessState.ExitCode()}, nil
}

// HideSSH sets PATH to a new directory with links to all programs but ssh(1).
func HideSSH(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, from := range filepath.SplitList(os.Getenv("PATH")) {
		real, _ := filepath.EvalSymlinks(from) // /bin is /usr/bin, with some two thousand programs
		if seen[real] {
			continue
		}
		seen[real] = true
		all, _ := os.ReadDir(from) // one that is not there has no programs
		for _, e := range all {
			err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name()))
			if err != nil && !errors.Is(err, fs.ErrExist) { // the first of that name is the one that is found
				return err
			}
		}
	}
	if err := os.Remove(filepath.Join(dir, "ssh")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Setenv("PATH", dir)
}
