//go:build e2e

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures/device"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/link"
)

// The link is cut at some moments: what boots is the old initramfs or the new one, the verdict is no success, and a
// second push goes through. Then Ctrl-C, and two pushes at once.
func TestPushLinkCuts(t *testing.T) {
	t.Parallel()
	b, ctx := startBench(t, device.Spec{Suite: "bookworm", Arch: "amd64"}, device.Options{Saved: true})
	old, fresh := b.onDisk(ctx), sha256Of(t, b.archive)
	link := b.Link()
	size := int64(21 << 20)
	cuts := judge.Times(2, 10)
	for i := range cuts {
		link.ResetAfter(20_000 + size*int64(i)/int64(cuts))
		code, out := b.verb("push", b.target(), b.archive)
		if code == 0 || strings.Contains(out, "boots next") {
			t.Errorf("cut %d: exit %d", i, code)
		}
		if got := b.onDisk(ctx); got != old && got != fresh {
			t.Errorf("cut %d: the boot loader finds %s", i, got)
		}
	}
	t.Run("ctrl-c", func(t *testing.T) { interruptAt(t, ctx, b, old) })
	t.Run("two at once", func(t *testing.T) { twoPushes(t, ctx, b) })
	if got := b.onDisk(ctx); got != fresh {
		t.Errorf("after the last push the disk has %s, not the archive", got)
	}
	if code, out := b.verb("restore", b.target()); code != 0 || !strings.Contains(out, "is back") {
		t.Errorf("restore: %d", code)
	}
	if got := b.onDisk(ctx); got != old {
		t.Errorf("after restore the disk has %s, not the original", got)
	}
	if code, _ := b.verb("restore", b.target()); code != 1 {
		t.Errorf("a second restore: %d, want 1", code)
	}
}

// sending waits until a push is well in its upload.
func sending(t *testing.T, ctx context.Context, l *link.Link) {
	t.Helper()
	for start := l.Sent(); l.Sent() < start+1<<20; {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("nothing is being sent")
		}
	}
}

func interruptAt(t *testing.T, ctx context.Context, b *bench, old string) {
	b.Link().Shape(link.Shape{Rate: 1 << 20})
	defer b.Link().Shape(link.Shape{})
	args := b.verbArgs("push", b.target(), b.archive)
	if code, _ := ctrlC(t, args, func(<-chan struct{}) { sending(t, ctx, b.Link()) }); code != exitInterrupted {
		t.Errorf("exit %d, want %d", code, exitInterrupted)
	}
	if got := b.onDisk(ctx); got != old {
		t.Errorf("the boot loader finds %s, not the original", got)
	}
}

func twoPushes(t *testing.T, ctx context.Context, b *bench) {
	b.Link().Shape(link.Shape{Rate: 256 << 10})
	result := make(chan int, 1)
	go func() { code, _ := b.verb("push", b.target(), b.archive); result <- code }()
	sending(t, ctx, b.Link())
	code, out := b.verb("push", b.target(), b.archive)
	if code != exitNo || !strings.Contains(out, "another push") {
		t.Errorf("the second: exit %d", code)
	}
	b.Link().Shape(link.Shape{})
	if code := <-result; code != 0 {
		t.Errorf("the first: exit %d", code)
	}
}

func makeKey(t *testing.T, name string) {
	t.Helper()
	judge.Run(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name))
}

// What does not fit is refused before anything is written.
func TestPushRefuses(t *testing.T) {
	t.Parallel()
	b, ctx := startBench(t, device.Spec{Suite: "bookworm", Arch: "amd64"}, device.Options{Saved: true})
	old := b.onDisk(ctx)
	other := filepath.Join(t.TempDir(), "other")
	known := filepath.Join(t.TempDir(), "known_hosts")
	makeKey(t, other)
	key := strings.Fields(string(judge.ReadFile(t, other+".pub")))
	_, port, _ := strings.Cut(b.Addr(), ":")
	judge.WriteFile(t, known, fmt.Sprintf("[127.0.0.1]:%s %s %s\n", port, key[0], key[1]))
	foreign := func(suite, arch string) string {
		tgt := target(t, suite, arch)
		archive, out := tgt.Plain, filepath.Join(t.TempDir(), "foreign.img")
		if archive == "" {
			archive = tgt.Dropbear
		}
		if code, _ := online(t, "patch", archive, "--root", tgt.Root, "--authorized-keys", b.Base.Key+".pub", "--host-key", "new", "-o", out); code != 0 {
			t.Fatal("patching failed")
		}
		return out
	}
	ssh := func(command string) { b.says(ctx, command) }
	type refusal struct {
		name         string
		before, undo string
		args         []string
		want         string
	}
	all := judge.Cases([]refusal{
		{"dry run", "", "", []string{"--dry-run", b.target(), b.archive}, "nothing was changed"},
		{"full", "fill", "rm -f /boot/groundhog-fill; sync", []string{b.target(), b.archive}, "KiB free"},
		{"UKI", "mount -t tmpfs none /sys/firmware; mkdir -p /sys/firmware/efi/efivars; touch /sys/firmware/efi/efivars/StubInfo-x", "umount /sys/firmware",
			[]string{b.target(), b.archive}, "unified kernel image"},
		{"wrong kernel and release", "", "", []string{b.target(), foreign("trixie", "amd64")}, "the archive is for trixie"},
		{"wrong host key", "", "", []string{"--known-hosts", known, b.target(), b.archive}, "host key refused"},
	},
		refusal{"read-only", "mount --bind /boot /boot; mount -o remount,bind,ro /boot", "umount /boot", []string{b.target(), b.archive}, "/boot is mounted read-only"},
		refusal{"no identity", "", "", []string{"--identity", other, "--known-hosts", b.KnownHosts(), b.target(), b.archive}, "no key that we hold is let in"},
		refusal{"no root", "", "", []string{"plain@" + b.Addr(), b.archive}, "not root"},
		refusal{"nobody home", "", "", []string{"root@127.0.0.1:1", b.archive}, "connection refused"},
	)
	if judge.Full {
		all = append(all, refusal{"wrong architecture", "", "", []string{b.target(), foreign("bookworm", "arm64")}, "the archive is for arm64"})
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			switch {
			case c.before == "fill":
				judge.Value(b.Fill(ctx, "/boot", 100))(t)
			case c.before != "":
				ssh(c.before)
			}
			args := append([]string{"push", "--ssh-config", "none"}, c.args...)
			if !slices.Contains(c.args, "--known-hosts") {
				args = append(args, "--known-hosts", b.KnownHosts())
			}
			if !slices.Contains(c.args, "--identity") {
				args = append(args, "--identity", b.Base.Key)
			}
			code, out := online(t, args...)
			want := exitNo
			switch c.name {
			case "dry run":
				want = 0
			case "nobody home":
				want = exitUnreachable
			}
			if code != want {
				t.Errorf("exit %d, want %d", code, want)
			}
			if !strings.Contains(out, c.want) {
				t.Errorf("it does not say %q", c.want)
			}
			if c.undo != "" {
				ssh(c.undo)
			}
			b.says(ctx, "sync")
			if got := b.onDisk(ctx); got != old {
				t.Errorf("the boot loader finds %s, not the original", got)
			}
			if _, err := b.ReadFile(ctx, "/var/lib/groundhog/restore"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("/var/lib/groundhog is there: %v", err)
			}
		})
	}
	t.Run("sudo", func(t *testing.T) {
		if code, _ := b.verb("push", "--dry-run", "bench@"+b.Addr(), b.archive); code != 0 {
			t.Errorf("sudo -n: exit %d", code)
		}
	})
}
