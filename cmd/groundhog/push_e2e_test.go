//go:build e2e

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures/device"
	"groundhog/fixtures/judge"
)

// What push keeps of a device goes where nobody's own records are, and no agent helps. Not by t.Setenv,
// which would keep devices from running side by side.
func init() {
	os.Setenv("XDG_STATE_HOME", filepath.Join(os.TempDir(), "groundhog-e2e-state"))
	os.Unsetenv("SSH_AUTH_SOCK")
}

// bench is a running device and an archive for it.
type bench struct {
	*device.Device
	t       *testing.T
	archive string
}

// online runs a verb, and returns its exit code and all it said.
func online(t *testing.T, args ...string) (int, string) {
	var out bytes.Buffer
	code := run(args, strings.NewReader(""), &out, &out)
	t.Logf("groundhog %s: %d\n%s", strings.Join(args, " "), code, out.String())
	return code, out.String()
}

// ctrlC runs groundhog as a process of its own and interrupts it when now returns, which is told when it is over.
func ctrlC(t *testing.T, args []string, now func(over <-chan struct{})) (int, string) {
	t.Helper()
	cmd := exec.Command("groundhog", args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	judge.Must(t, cmd.Start())
	over := make(chan struct{})
	go func() { cmd.Wait(); close(over) }()
	now(over)
	cmd.Process.Signal(os.Interrupt)
	<-over
	t.Logf("groundhog %s, interrupted: %d\n%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), said.String())
	return cmd.ProcessState.ExitCode(), said.String()
}

// startBench boots a device and patches its initramfs. What waits for the device is bounded by what that says (see [device.Device.WaitLogin]), and the test as a whole by
// the run of all of them alone, with some time left to show its console.
func startBench(t *testing.T, s device.Spec, o device.Options, flags ...string) (*bench, context.Context) {
	b := &bench{device.Start(t, s, o), t, filepath.Join(t.TempDir(), "reflash.img")}
	ctx := t.Context()
	if end, ok := t.Deadline(); ok {
		bounded, cancel := context.WithDeadline(ctx, end.Add(-time.Minute))
		t.Cleanup(cancel)
		ctx = bounded
	}
	target := b.Base.Target
	code, out := online(t, append([]string{"patch", target.Plain, "--root", target.Root,
		"--authorized-keys", b.Base.Key + ".pub", "--host-key", "new", "-o", b.archive}, flags...)...)
	if code != 0 {
		t.Fatal(out)
	}
	judge.Must(t, b.WaitSystem(ctx))
	return b, ctx
}

// verb runs one of the online verbs for this device.
func (b *bench) verb(name string, args ...string) (int, string) {
	b.t.Helper()
	return online(b.t, b.verbArgs(name, args...)...)
}

func (b *bench) verbArgs(name string, args ...string) []string {
	return append([]string{name, "--ssh-config", "none", "-v", "--connect-timeout", "90s", "--identity", b.Base.Key, "--known-hosts", b.KnownHosts()}, args...)
}

func (b *bench) target() string { return "root@" + b.Addr() }

// says runs a command on the running system.
func (b *bench) says(ctx context.Context, command string) string {
	b.t.Helper()
	out, err := b.SSH(ctx, "root", nil, command)
	if err != nil {
		b.t.Errorf("%s: %v", command, err)
	}
	return strings.TrimSpace(string(out))
}

func sha256Of(t *testing.T, name string) string {
	t.Helper()
	b := judge.ReadFile(t, name)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// onDisk is the hash of what the boot loader would load now, without a replay of the journal.
func (b *bench) onDisk(ctx context.Context) string {
	b.t.Helper()
	files, err := b.Load(ctx, false)
	if err != nil {
		b.t.Fatal(err)
	}
	sum := sha256.Sum256(files.Initrd)
	return hex.EncodeToString(sum[:])
}
