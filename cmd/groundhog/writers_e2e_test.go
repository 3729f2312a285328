//go:build e2e

package main

import (
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/image"
	"groundhog/fixtures/judge"
)

// piped is a writer that runs here.
type piped struct {
	io.WriteCloser
	io.Reader
	cmd *exec.Cmd
}

func (p *piped) Close() error {
	p.WriteCloser.Close()
	return p.cmd.Wait()
}

// The writer of each architecture runs and flashes a file, under emulation where it is not this machine's: 32 bits, too.
func TestWritersRun(t *testing.T) {
	t.Parallel()
	img := noiseImage(t, 31, 9)
	for arch, emulator := range map[string]string{"amd64": "", "arm64": "qemu-aarch64-static", "armhf": "qemu-arm-static", "armel": "qemu-arm-static"} {
		t.Run(arch, func(t *testing.T) {
			b := judge.Value(writerFor(arch))(t)
			dir := t.TempDir()
			program, disk := filepath.Join(dir, "groundhog-writer"), filepath.Join(dir, "disk")
			judge.Must(t, judge.WriteProgram(program, b, 0o700))
			command(t, "truncate", "-s", "11M", disk)
			argv := []string{program, "serve", filepath.Join(dir, "run")}
			if emulator != "" {
				argv = append([]string{judge.Tool(t, emulator)}, argv...)
			}
			source := judge.Value(image.Open(t.Context(), img, "", nil))(t)
			defer source.Close()
			r, err := flash.Run(t.Context(), flash.Job{Source: source, Disk: disk, Who: "a test", Session: arch, Tool: "test", Patience: time.Minute,
				Connect: func(ctx context.Context) (io.ReadWriteCloser, error) {
					cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
					cmd.Stderr = t.Output()
					in, err := cmd.StdinPipe()
					if err != nil {
						return nil, err
					}
					out, err := cmd.StdoutPipe()
					if err != nil {
						return nil, err
					}
					return &piped{in, out, cmd}, cmd.Start()
				}})
			if err != nil || r.State != flash.Verified {
				t.Fatalf("%+v, %v", r, err)
			}
			if command(t, "cmp", "-n", "9437184", img, disk) != "" {
				t.Error("the file is not the image")
			}
			if r.Memory > 64<<20 {
				t.Errorf("the writer took %d bytes of memory", r.Memory)
			}
		})
	}
}
