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

// One boot only: push, the promised key answers, nobody comes, the system is up again with its original, and the
// next boot is an ordinary one.
func cycle(t *testing.T, s device.Spec, flags ...string) {
	// All that Debian starts: to reboot and to put an initramfs back are what may meet it.
	b, ctx := startBench(t, s, device.Options{Whole: true}, append(flags, "--wait", "20s")...)
	original := sha256Of(t, b.Base.Target.Plain)
	if got := b.onDisk(ctx); got != original {
		t.Fatalf("the device starts with initramfs %s, not %s", got, original)
	}
	code, out := b.verb("push", "--reboot", b.target(), b.archive)
	if code != 0 || !strings.Contains(out, "waits on "+b.target()) {
		t.Fatalf("push: %d", code)
	}
	if got := b.onDisk(ctx); got != sha256Of(t, b.archive) {
		t.Errorf("the disk has initramfs %s, not the archive", got)
	}
	judge.Must(t, b.WaitSystem(ctx))
	journal := "journalctl -b -u groundhog-restore --no-pager -o cat"
	b.says(ctx, "for i in $(seq 60); do systemctl is-active -q groundhog-restore && break; sleep 1; done")
	if said := b.says(ctx, journal); !strings.Contains(said, "is back") {
		t.Errorf("the journal does not say that the original is back: %q", said)
	}
	if got := b.onDisk(ctx); got != original {
		t.Errorf("the disk has initramfs %s, not its original", got)
	}
	if left := b.says(ctx, "ls -d /var/lib/groundhog /boot/.groundhog* /boot/firmware/*groundhog* 2>/dev/null; true"); left != "" {
		t.Errorf("left behind: %s", left)
	}
	boots := b.Boots()
	b.SSH(ctx, "root", nil, "reboot")
	judge.Must(t, b.WaitBoots(ctx, boots+1))
	judge.Must(t, b.WaitSystem(ctx))
	if said := b.says(ctx, "ls -d /run/groundhog /run/systemd/system/groundhog* 2>/dev/null; true"); said != "" {
		t.Errorf("the next boot is not an ordinary one: %s", said)
	}
}

// nameOf is a device's name as -run takes it.
func nameOf(s device.Spec) string { return strings.ReplaceAll(strings.Trim(s.String(), "/"), "/", "-") }

func TestPushCycle(t *testing.T) {
	t.Parallel()
	for _, s := range judge.Cases([]device.Spec{{Suite: "bookworm", Arch: "amd64"}},
		device.Spec{Suite: "bullseye", Arch: "amd64"}, device.Spec{Suite: "trixie", Arch: "amd64"},
		device.Spec{Suite: "bookworm", Arch: "amd64", Layout: device.Firmware}, device.Spec{Suite: "bookworm", Arch: "arm64"}) {
		t.Run(nameOf(s), func(t *testing.T) {
			t.Parallel()
			cycle(t, s)
		})
	}
}
