//go:build e2e

package main

import (
	"context"
	"strings"
	"testing"

	"groundhog/cmd/internal/device"
	virtual "groundhog/fixtures/device"
	"groundhog/fixtures/judge"
)

// Kexec brings a running device into the waiting initramfs and writes nothing to its disk; a wait that nobody uses ends in
// the ordinary system, which has nothing to put back. Where a connection ends before the word to start it, nothing stays loaded.
func TestPushKexec(t *testing.T) {
	t.Parallel()
	b, ctx := startBench(t, virtual.Spec{Suite: "bookworm", Arch: "amd64"}, virtual.Options{Saved: !judge.Full}, "--wait", "20s")
	original := b.onDisk(ctx)
	if judge.Full {
		b.kexecCut(ctx)
	}
	boots := b.Boots()
	code, out := b.verb("push", "--reboot", "--via", "kexec", b.target(), b.archive)
	if code != 0 || !strings.Contains(out, "waits on "+b.target()) {
		t.Fatalf("push: %d", code)
	}
	if got := b.Boots(); got != boots {
		t.Errorf("the boot loader ran %d times, not %d: it was no kexec", got, boots)
	}
	if got := b.onDisk(ctx); got != original {
		t.Errorf("the boot loader finds %s, not the original", got)
	}
	if r, err := device.ReadRecord(b.target()); err != nil || r.Via != "kexec" {
		t.Errorf("the record: %+v, %v", r, err)
	}
	judge.Must(t, b.WaitSystem(ctx))
	if got := b.says(ctx, "ls -d /var/lib/groundhog /boot/.groundhog* 2>/dev/null; cat /sys/kernel/kexec_loaded"); got != "0" {
		t.Errorf("left behind: %s", got)
	}
	if !judge.Full {
		return
	}
	// What worked is the way from now on.
	if code, out := b.verb("push", "--reboot", b.target(), b.archive); code != 0 || !strings.Contains(out, "kexec brought it there the last time") {
		t.Errorf("the next push: %d", code)
	}
	if got := b.Boots(); got != boots {
		t.Errorf("the boot loader ran %d times, not %d: the next push was no kexec", got, boots)
	}
}

// kexecCut loses the connection while the archive is sent.
func (b *bench) kexecCut(ctx context.Context) {
	t := b.t
	t.Helper()
	b.Link().ResetAfter(9 << 20)
	if code, out := b.verb("push", "--reboot", "--via", "kexec", b.target(), b.archive); code == 0 || !strings.Contains(out, "its disk is as it was") {
		t.Errorf("the link is cut: exit %d", code)
	}
	if got := b.says(ctx, "while [ -e /run/groundhog-kexec ]; do sleep 1; done; cat /sys/kernel/kexec_loaded"); got != "0" {
		t.Errorf("loaded after the link was cut: %s", got)
	}
}
