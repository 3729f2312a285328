package devicetest

import (
	"bytes"
	"io"
	"os/exec"

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
