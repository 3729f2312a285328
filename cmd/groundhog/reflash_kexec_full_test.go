//go:build full

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/cmd/internal/reflash"
	"groundhog/fixtures"
	"groundhog/fixtures/device"
	"groundhog/fixtures/judge"
)

// emulatedLine is a copy of an image whose grub.cfg tells the kernel what emulation wants: kexec takes the image's own line, and no loader of ours is
// there to add to it.
func emulatedLine(t *testing.T, img string) (changed, line string) {
	t.Helper()
	dir := t.TempDir()
	changed = filepath.Join(dir, "disk.img")
	command(t, "cp", "--sparse=always", img, changed)
	config := judge.Value(device.RawDisk(img).ReadFile(t.Context(), "/boot/grub/grub.cfg"))(t)
	text := strings.Replace(string(config), " quiet ", " quiet "+fixtures.EmulatedAppend("amd64")+" ", 1)
	judge.WriteFile(t, filepath.Join(dir, "grub.cfg"), text)
	judge.WriteFile(t, filepath.Join(dir, "script"), fmt.Sprintf("rm /boot/grub/grub.cfg\nwrite %s /boot/grub/grub.cfg\n", filepath.Join(dir, "grub.cfg")))
	command(t, "debugfs", "-w", "-f", filepath.Join(dir, "script"), changed+"?offset=1048576")
	for l := range strings.Lines(text) {
		if words := strings.Fields(l); len(words) > 1 && words[0] == "linux" {
			return changed, "BOOT_IMAGE=" + strings.Join(words[1:], " ")
		}
	}
	t.Fatalf("grub.cfg has no kernel: %s", text)
	return "", ""
}

// extlinuxImage is a copy of an image that has extlinux.conf in the place of grub.cfg.
func extlinuxImage(t *testing.T, img, line string) (changed string) {
	t.Helper()
	dir := t.TempDir()
	changed = filepath.Join(dir, "disk.img")
	command(t, "cp", "--sparse=always", img, changed)
	kernel, options, _ := strings.Cut(strings.TrimPrefix(line, "BOOT_IMAGE="), " ")
	judge.WriteFile(t, filepath.Join(dir, "conf"), fmt.Sprintf("default l0\nlabel l0\n\tlinux %s\n\tinitrd %s\n\tappend %s\n", kernel, strings.Replace(kernel, "vmlinuz", "initrd.img", 1), options))
	judge.WriteFile(t, filepath.Join(dir, "script"), fmt.Sprintf("rm /boot/grub/grub.cfg\nmkdir /boot/extlinux\nwrite %s /boot/extlinux/extlinux.conf\n", filepath.Join(dir, "conf")))
	command(t, "debugfs", "-w", "-f", filepath.Join(dir, "script"), changed+"?offset=1048576")
	return changed
}

// From the waiting initramfs the new system is started by kexec, with its own kernel, initramfs and command line, and no boot loader runs; that its
// layout comes up by firmware is said when it was seen.
func TestReflashByKexec(t *testing.T) {
	t.Parallel()
	s := device.Spec{Suite: "bookworm", Arch: "amd64"}
	b, ctx := startBench(t, s, device.Options{Saved: true})
	img, _, _ := imageOf(t, s)
	img, line := emulatedLine(t, img)
	again := func(want reflash.Booted, loaders int, flags ...string) {
		t.Helper()
		boots := b.Boots()
		args := append([]string{"--json", "--ready", "true", "--reboot-timeout", "15m"}, flags...)
		code, out := b.verb("reflash", append(args, b.target(), b.archive, img)...)
		if code != 0 || !strings.Contains(out, "the new system is up") {
			t.Fatalf("reflash: %d", code)
		}
		v := verdictOf(t, out)
		if got := v.Data.Boot; got == nil || *got != want {
			t.Errorf("booted: %+v, want %+v", got, want)
		}
		if got := b.Boots() - boots; got != loaders {
			t.Errorf("a boot loader ran %d times, not %d", got, loaders)
		}
		t.Logf("turn-around: %+v", v.Data.Turnaround)
	}
	const layout = "GRUB, grub.cfg on ext, GPT"
	again(reflash.Booted{By: reflash.ByKexec, Layout: layout}, 1, "--boot", "kexec") // into the initramfs
	if got := b.says(ctx, "cat /proc/cmdline /proc/sys/kernel/bootloader_type; ls -d /scripts /run/groundhog/writing 2>/dev/null; true"); got != line+"\n208" {
		t.Errorf("the new system says %q, want %q by kexec", got, line)
	}
	again(reflash.Booted{By: reflash.ByFirmware, Layout: layout, Firmware: true}, 2)
	again(reflash.Booted{By: reflash.ByKexec, Layout: layout, Firmware: true}, 1, "--boot", "kexec")
	img = extlinuxImage(t, img, line)
	again(reflash.Booted{By: reflash.ByKexec, Layout: "extlinux, extlinux.conf on ext, GPT"}, 1, "--boot", "kexec")
	_, options, _ := strings.Cut(line, " ")
	if got := b.says(ctx, "cat /proc/cmdline"); !strings.HasSuffix(got, options) {
		t.Errorf("the new system says %q, want %q", got, options)
	}
}
