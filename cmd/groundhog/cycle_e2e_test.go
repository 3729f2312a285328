//go:build e2e

package main

import (
	"strings"
	"testing"

	"groundhog/fixtures/device"
	"groundhog/fixtures/judge"
)

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
			if judge.Full {
				t.Parallel() // one of several begins behind all other tests, and this one takes longest
			}
			cycle(t, s)
		})
	}
}
