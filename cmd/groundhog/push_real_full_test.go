//go:build full

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/reflash"
	"groundhog/fixtures"
	virtual "groundhog/fixtures/device"
	"groundhog/fixtures/judge"
)

// slowly bounds what a real firmware and boot loader take under emulation.
var slowly = []string{"--reboot-timeout", "15m"}

// The real GRUB on BIOS is told what to boot once: used and back, cut while held, cut while pushed, failing, flashed; and it boots what replaces the initramfs.
func TestRealGRUB(t *testing.T) {
	b, ctx := startBench(t, virtual.Spec{Suite: "bookworm", Arch: "amd64", Layout: virtual.GRUB}, virtual.Options{}, "--wait", "20s")
	realCutWhileHeld(b, ctx)
	if env, err := b.ReadFile(ctx, "/boot/grub/grubenv"); err != nil || strings.Contains(string(env), "next_entry=groundhog") {
		t.Errorf("GRUB has not taken it back: %q, %v", env, err)
	}
	shots := realShots(b, ctx, "oneshot")
	realFails(b, ctx)
	realUnused(b, ctx)
	realUnused(b, ctx, "--via", "replace")
	b.PowerOff()
	realStates(b, ctx, shots)
	realFlashed(b, ctx, "oneshot")
}

// The same by systemd-boot on UEFI.
func TestRealSystemdBoot(t *testing.T) {
	b, ctx := startBench(t, virtual.Spec{Suite: "bookworm", Arch: "amd64", Layout: virtual.SystemdBoot}, virtual.Options{}, "--wait", "20s")
	realCutWhileHeld(b, ctx)
	realUnused(b, ctx)
	realFlashed(b, ctx, "oneshot")
}

// From the waiting initramfs what systemd-boot would start, its entry and then a unified image, is started by kexec. Then it starts the unified image itself, and boots the
// archive once beside that.
func TestRealUnified(t *testing.T) {
	judge.Tool(t, "objcopy")
	b, ctx := startBench(t, virtual.Spec{Suite: "bookworm", Arch: "amd64", Layout: virtual.SystemdBoot}, virtual.Options{}, "--wait", "20s")
	realKexeced(b, ctx, b.Base.Disk, "systemd-boot, entry in a file, GPT, EFI")
	realKexeced(b, ctx, unifiedImage(b, ctx), "systemd-boot, unified image, GPT, EFI")
	boots := b.Boots()
	b.says(ctx, "systemctl --no-block reboot")
	judge.Must(t, b.WaitBoots(ctx, boots+1))
	realUp(b, ctx)
	if said := b.says(ctx, "ls /sys/firmware/efi/efivars/StubInfo-* >/dev/null && cat /sys/firmware/efi/efivars/LoaderInfo-* | tr -d '\\0'"); !strings.Contains(said, "systemd-boot") {
		t.Errorf("it is no unified image of systemd-boot's: %q", said)
	}
	realUnused(b, ctx)
}

// realKexeced goes on to a new system, which is started by kexec.
func realKexeced(b *bench, ctx context.Context, img, layout string) {
	b.t.Helper()
	args := append(slowly, "--json", "--push-via", "oneshot", "--boot", "kexec", b.target(), b.archive, img)
	code, out := b.verb("reflash", args...)
	if code != 0 {
		b.t.Fatalf("reflash --boot kexec: %d", code)
	}
	v := verdictOf(b.t, out)
	if got := v.Data.Boot; got == nil || got.By != reflash.ByKexec || got.Layout != layout {
		b.t.Errorf("booted: %+v, want %q by kexec", got, layout)
	}
	b.t.Logf("turn-around: %+v", v.Data.Turnaround)
	if said := b.says(ctx, "cat /proc/sys/kernel/bootloader_type; cat /proc/cmdline"); !strings.HasPrefix(said, "208\nroot=UUID="+b.Base.RootUUID) {
		b.t.Errorf("the new system says %q", said)
	}
}

// unifiedImage is a copy of the device's image that has a unified kernel image in the place of its entry: systemd's stub with the parts as sections, at the
// addresses that systemd-stub(7) had before ukify.
func unifiedImage(b *bench, ctx context.Context) string {
	b.t.Helper()
	dir := b.t.TempDir()
	img, at := filepath.Join(dir, "disk.img"), func(name string) string { return filepath.Join(dir, name) }
	command(b.t, "cp", "--sparse=always", b.Base.Disk, img)
	root, kernel := b.Base.Target.Root, b.Base.Target.Kernel
	judge.WriteFile(b.t, at("cmdline"), b.says(ctx, "cat /etc/kernel/cmdline"))
	args := []string{}
	for _, s := range []struct{ section, file, vma string }{
		{".osrel", filepath.Join(root, "usr/lib/os-release"), "0x20000"}, {".cmdline", at("cmdline"), "0x30000"},
		{".linux", filepath.Join(root, "boot/vmlinuz-"+kernel), "0x2000000"}, {".initrd", filepath.Join(root, "boot/initrd.img-"+kernel), "0x3000000"},
	} {
		args = append(args, "--add-section", s.section+"="+s.file, "--change-section-vma", s.section+"="+s.vma)
	}
	command(b.t, "objcopy", append(args, filepath.Join(root, "usr/lib/systemd/boot/efi/linuxx64.efi.stub"), at("debian.efi"))...)
	b.t.Setenv("MTOOLS_SKIP_CHECK", "1")
	esp := img + "@@2M"
	command(b.t, "mdel", "-i", esp, "::/loader/entries/*.conf")
	if !strings.Contains(command(b.t, "mdir", "-b", "-i", esp, "::/EFI"), "Linux") {
		command(b.t, "mmd", "-i", esp, "::/EFI/Linux")
	}
	command(b.t, "mcopy", "-i", esp, at("debian.efi"), "::/EFI/Linux/debian.efi")
	return img
}

// The real GRUB on UEFI.
func TestRealGRUBEFI(t *testing.T) {
	b, ctx := startBench(t, virtual.Spec{Suite: "bookworm", Arch: "amd64", Layout: virtual.GRUBEFI}, virtual.Options{}, "--wait", "20s")
	realCutWhileHeld(b, ctx)
	realUnused(b, ctx)
}

// The same on arm64, and what replaces the initramfs; a flash ends well.
func TestRealGRUBEFIArm64(t *testing.T) {
	b, ctx := startBench(t, virtual.Spec{Suite: "bookworm", Arch: "arm64", Layout: virtual.GRUBEFI}, virtual.Options{}, "--wait", "20s")
	realCutWhileHeld(b, ctx)
	realUnused(b, ctx)
	realUnused(b, ctx, "--via", "replace")
	realFlashed(b, ctx, "oneshot")
}

// U-Boot boots what is in the initramfs' place: cut while held it boots the archive once more, unused and back, flashed. It is no more than
// that which it reads that counts: a grub.cfg that was left behind and a boot.scr beside extlinux.conf pass no check.
func TestRealUBoot(t *testing.T) {
	judge.Tool(t, "mkimage")
	b, ctx := startBench(t, virtual.Spec{Suite: "bookworm", Arch: "arm64", Layout: virtual.UBoot}, virtual.Options{}, "--wait", "20s")
	if out, err := b.SSH(ctx, "root", strings.NewReader(bootScript(t)), "cat >/boot/boot.scr && sync && ls /boot/grub/grub.cfg"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if code, out := b.verb("push", "--dry-run", "--via", "oneshot", b.target(), b.archive); code != 1 || !strings.Contains(out, "extlinux.conf has no one-shot that is known here") {
		t.Errorf("a one-shot: %d", code)
	}
	if out := realPush(b, "--via", "replace"); !strings.Contains(out, "extlinux.conf boots /boot/initrd.img") {
		t.Error("the check does not say by what it is booted")
	}
	b.PowerOff()
	judge.Must(t, b.PowerOn(ctx))
	if err := b.WaitLogin(ctx, b.waiting()); err != nil {
		t.Fatalf("cut while held: %v", err)
	}
	realBack(b, ctx)
	if strings.Contains(b.Console(), scriptSays) {
		t.Error("U-Boot runs boot.scr where there is an extlinux.conf")
	}
	realFlashed(b, ctx, "replace")
}

// Cut while pushed: U-Boot boots the old initramfs or the archive, whichever the disk has; the journal it does not read.
func TestRealUBootCuts(t *testing.T) {
	b, ctx := startBench(t, virtual.Spec{Suite: "bookworm", Arch: "arm64", Layout: virtual.UBoot}, virtual.Options{}, "--wait", "20s")
	shots := realShots(b, ctx, "replace")
	b.PowerOff()
	realAround(b, ctx, shots, turn(t, ctx, shots, false, sha256Of(t, b.Base.Target.Plain), sha256Of(t, b.archive)))
}

// bootScript is a boot.scr, which tells of itself and boots nothing.
func bootScript(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text, script := filepath.Join(dir, "boot.cmd"), filepath.Join(dir, "boot.scr")
	judge.WriteFile(t, text, "echo \"boot.scr\" was run\nreset\n")
	command(t, "mkimage", "-T", "script", "-d", text, script)
	return string(judge.ReadFile(t, script))
}

const scriptSays = "boot.scr was run"

// waiting is how one logs in to the archive.
func (b *bench) waiting() fixtures.Login {
	return fixtures.Login{Key: b.Base.Key, KnownHosts: b.archive + ".known_hosts"}
}

// rEFInd, which the firmware starts, and which starts the kernel by itself: a replacement is refused by name, and the firmware is told to boot the archive once. It is
// known, too, where a firmware looks without being told.
func TestRealRefind(t *testing.T) {
	b, ctx := startBench(t, virtual.Spec{Suite: "bookworm", Arch: "amd64", Layout: virtual.GRUBEFI}, virtual.Options{}, "--wait", "20s")
	again := func(script, started string) {
		t.Helper()
		boots := b.Boots()
		b.says(ctx, script)
		b.says(ctx, "systemctl --no-block reboot")
		judge.Must(t, b.WaitBoots(ctx, boots+1))
		realUp(b, ctx)
		if line := b.says(ctx, "cat /proc/cmdline"); strings.Contains(line, "BOOT_IMAGE=") || !strings.Contains(line, `initrd=boot\initrd.img`) {
			t.Fatalf("rEFInd did not start the kernel by itself: %s", line)
		}
		if code, out := b.verb("push", "--dry-run", b.target(), b.archive); code != 1 || !strings.Contains(out, "it is started by "+started) {
			t.Errorf("a replacement: %d", code)
		}
	}
	again(installRefind, `\EFI\refind\refind_x64.efi`)
	realCutWhileHeld(b, ctx)
	realUnused(b, ctx)
	again(removableRefind, "rEFInd")
}

// Its default settings boot after 20 s what was booted last, or what is first in a menu.
const installRefind = `set -e
refind-install --yes
cd /boot/efi/EFI/refind
sed -i 's/^timeout .*/timeout -1/' refind.conf
printf 'textonly\ndefault_selection vmlinuz\n' >>refind.conf
sync`

const removableRefind = `set -e
cd /boot/efi/EFI
cp -r refind/. BOOT
cp refind/refind_x64.efi BOOT/BOOTX64.EFI
efibootmgr | sed -n 's/^Boot\([0-9A-F]\{4\}\).*rEFInd.*/\1/p' | while read -r number; do efibootmgr --quiet --bootnum "$number" --delete-bootnum; done
rm -r refind
sync`

// One machine is turned round in each of the three ways. How long each part takes is logged.
func TestRealTurnaround(t *testing.T) {
	b, ctx := startBench(t, virtual.Spec{Suite: "bookworm", Arch: "amd64", Layout: virtual.GRUBEFI}, virtual.Options{}, "--wait", "20s")
	for _, c := range []struct {
		via, boot string
		firmware  int // how often that runs
		phases    string
	}{
		{"replace", "firmware", 2, "survey send down up flash down up"},
		{"oneshot", "firmware", 2, "survey send down up flash down up"},
		{"kexec", "kexec", 0, "survey send down up flash load down up"},
	} {
		boots := b.Boots()
		args := append(slowly, "--json", "--push-via", c.via, "--boot", c.boot, b.target(), b.archive, b.Base.Disk)
		code, out := b.verb("reflash", args...)
		if code != 0 {
			t.Fatalf("reflash by %s: %d", c.via, code)
		}
		total, phases, figures := 0.0, []string{}, ""
		for _, l := range verdictOf(t, out).Data.Turnaround {
			phases, total = append(phases, l.Phase), total+l.Seconds
			figures += fmt.Sprintf(" %s %.1f", l.Phase, l.Seconds)
		}
		if got := strings.Join(phases, " "); got != c.phases {
			t.Errorf("by %s: %s, want %s", c.via, got, c.phases)
		}
		if got := b.Boots() - boots; got != c.firmware {
			t.Errorf("by %s the firmware ran %d times, not %d", c.via, got, c.firmware)
		}
		t.Logf("by %s: %.1f s:%s", c.via, total, figures)
		realUp(b, ctx)
	}
}

// A kernel that the firmware starts by itself, without a boot loader: the firmware is told what to boot once.
func TestRealEFIStub(t *testing.T) {
	b, ctx := startBench(t, virtual.Spec{Suite: "bookworm", Arch: "amd64", Layout: virtual.GRUBEFI}, virtual.Options{}, "--wait", "20s")
	boots := b.Boots()
	b.says(ctx, installStub)
	b.says(ctx, "systemctl --no-block reboot")
	judge.Must(t, b.WaitBoots(ctx, boots+1))
	realUp(b, ctx)
	if line := b.says(ctx, "cat /proc/cmdline"); !strings.Contains(line, `initrd=\EFI\stub\initrd.img`) {
		t.Fatalf("the firmware did not start the kernel by itself: %s", line)
	}
	realCutWhileHeld(b, ctx)
	realUnused(b, ctx)
	if code, out := b.verb("push", "--dry-run", "--via", "oneshot", b.target(), b.archive); code != 0 { // in the boot of an option that is gone
		t.Errorf("another push: %d: %s", code, out)
	}
}

const installStub = `set -e
esp=/boot/efi/EFI/stub kernel=$(uname -r)
mkdir -p $esp
cp /boot/vmlinuz-$kernel $esp/vmlinuz.efi
cp /boot/initrd.img-$kernel $esp/initrd.img
efibootmgr --quiet --create --disk /dev/vda --part 2 --label stub --loader '\EFI\stub\vmlinuz.efi' \
	--unicode "$(sed 's/BOOT_IMAGE=[^ ]* //' /proc/cmdline) initrd=\\EFI\\stub\\initrd.img"
sync`

// Under Secure Boot, by shim and the signed GRUB, the device's kernel takes itself with an archive that nobody signed, and nothing stays of that; a one-shot is
// refused by name.
func TestRealSecureBoot(t *testing.T) {
	s := virtual.Spec{Suite: "bookworm", Arch: "amd64", Layout: virtual.GRUBEFI}
	b, ctx := startBench(t, s, virtual.Options{Secure: true}, "--wait", "20s")
	const secure = "tail -c 1 /sys/firmware/efi/efivars/SecureBoot-* | od -An -tu1 | tr -d ' '; cat /sys/kernel/security/lockdown"
	if said := b.says(ctx, secure); said != "1\nnone [integrity] confidentiality" {
		t.Fatalf("it is no machine with Secure Boot: %q", said)
	}
	if code, out := b.verb("push", "--via", "oneshot", b.target(), b.archive); code != 1 || !strings.Contains(out, "under Secure Boot") {
		t.Errorf("a one-shot: %d", code)
	}
	boots := b.Boots()
	if out := realPush(b, "--via", "kexec"); !strings.Contains(out, "its kernel takes itself") {
		t.Error("it was not tried before")
	}
	if got := b.Boots(); got != boots {
		t.Errorf("a firmware ran %d times, not %d: it was no kexec", got, boots)
	}
	b.PowerOff()
	judge.Must(t, b.PowerOn(ctx))
	realUp(b, ctx)
	if left := b.says(ctx, realLeft); left != "" {
		t.Errorf("left behind: %s", left)
	}
	if said := b.says(ctx, secure); !strings.HasPrefix(said, "1\n") {
		t.Errorf("after that Secure Boot is %q", said)
	}
	// What is not signed is not taken: the trial tells.
	b.says(ctx, "printf x >>/boot/vmlinuz-$(uname -r)")
	if code, out := b.verb("push", "--reboot", "--via", "kexec", b.target(), b.archive); code != 1 || !strings.Contains(out, "trying kexec") {
		t.Errorf("a kernel that was altered: %d", code)
	}
}

const realLeft = "ls -d /var/lib/groundhog /boot/groundhog.img /boot/grub/custom.cfg /boot/.groundhog* /boot/grub/.groundhog* /boot/efi/groundhog /boot/efi/loader/entries/groundhog.conf " +
	"/sys/firmware/efi/efivars/LoaderEntryOneShot-* /sys/firmware/efi/efivars/BootNext-* /sys/firmware/efi/efivars/Boot6768-* 2>/dev/null; true"

// realPush pushes and comes into the waiting initramfs.
func realPush(b *bench, flags ...string) string {
	b.t.Helper()
	args := append(append([]string{"--reboot"}, slowly...), flags...)
	code, out := b.verb("push", append(args, b.target(), b.archive)...)
	if code != 0 || !strings.Contains(out, "waits on "+b.target()) {
		b.t.Fatalf("push: %d", code)
	}
	return out
}

func realUp(b *bench, ctx context.Context) {
	b.t.Helper()
	judge.Must(b.t, b.WaitSystem(ctx))
}

// realCutWhileHeld has a device lose its power while it waits: it boots its own system, and a restore takes away what is left.
func realCutWhileHeld(b *bench, ctx context.Context) {
	if out := realPush(b, "--via", "oneshot"); !strings.Contains(out, "is told to boot the archive once") {
		b.t.Error("the check does not say which way it is")
	}
	if r, err := device.ReadRecord(b.target()); err != nil || r.Via != "oneshot" {
		b.t.Errorf("the record: %+v, %v", r, err)
	}
	b.PowerOff()
	judge.Must(b.t, b.PowerOn(ctx))
	realUp(b, ctx)
	if code, out := b.verb("restore", b.target()); code != 0 || !strings.Contains(out, "taken back") {
		b.t.Errorf("restore: %d", code)
	}
	if left := b.says(ctx, realLeft); left != "" {
		b.t.Errorf("left behind by a restore: %s", left)
	}
}

// realUnused has nobody come: the system is up again, and has nothing left of it.
func realUnused(b *bench, ctx context.Context, flags ...string) {
	out := realPush(b, flags...)
	if len(flags) == 0 && !strings.Contains(out, "oneshot brought it there the last time") {
		b.t.Error("what worked is not the way from then on")
	}
	realBack(b, ctx)
}

// realBack waits until the system is up that nobody flashed.
func realBack(b *bench, ctx context.Context) {
	b.t.Helper()
	realUp(b, ctx)
	b.says(ctx, "for i in $(seq 600); do case $(systemctl is-active groundhog-restore) in active | failed) break ;; esac; sleep 1; done")
	if left := b.says(ctx, realLeft); left != "" {
		b.t.Errorf("left behind by the unit: %s\n%s", left, b.says(ctx, "systemctl status -l groundhog-restore; true"))
	}
}

// realFails takes away the archive that GRUB is told to boot: it goes on to its first entry, and waits for nobody.
func realFails(b *bench, ctx context.Context) {
	boots := b.Boots()
	b.says(ctx, "rm /boot/groundhog.img && sync && systemctl --no-block reboot")
	judge.Must(b.t, b.WaitBoots(ctx, boots+1))
	realUp(b, ctx)
	if code, _ := b.verb("restore", b.target()); code != 0 {
		b.t.Errorf("restore: %d", code)
	}
}

// realShots takes snapshots of the disk while an archive is pushed.
func realShots(b *bench, ctx context.Context, via string) []shot {
	done := make(chan struct{})
	result := make(chan int, 1)
	go func() {
		defer close(done)
		code, _ := b.verb("push", "--via", via, b.target(), b.archive)
		result <- code
	}()
	all := shoot(ctx, b, done, 250*time.Millisecond)
	if code := <-result; code != 0 {
		b.t.Fatalf("push: %d", code)
	}
	return all
}

// realStates looks at the disks that a cut while pushing would have left: wherever GRUB is told to boot the archive that is whole. Then GRUB boots the
// last one before that and the first one.
func realStates(b *bench, ctx context.Context, all []shot) {
	armed := func(k *virtual.Disk) bool {
		env, err := k.ReadFile(ctx, "/boot/grub/grubenv")
		if err != nil {
			b.t.Fatal(err)
		}
		if !strings.Contains(string(env), "next_entry=groundhog") {
			return false
		}
		archive, err := k.ReadFile(ctx, "/boot/groundhog.img")
		sum := sha256.Sum256(archive)
		custom, other := k.ReadFile(ctx, "/boot/grub/custom.cfg")
		if err = errors.Join(err, other); err != nil || hex.EncodeToString(sum[:]) != sha256Of(b.t, b.archive) || !strings.HasSuffix(string(custom), "/boot/groundhog.img\n\tfi\n}\n") {
			b.t.Errorf("GRUB is told to boot what is not whole: %v, %d bytes, %q", err, len(archive), custom)
		}
		return true
	}
	low, high := 0, len(all)
	for low < high {
		if mid := (low + high) / 2; armed(all[mid].disk) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	realAround(b, ctx, all, low)
}

// realAround has the boot loader itself boot the first of the disks on which it has to boot the archive, and the last one before that.
func realAround(b *bench, ctx context.Context, all []shot, low int) {
	if low == 0 || low == len(all) {
		b.t.Fatalf("the archive is first booted in shot %d of %d", low, len(all))
	}
	b.t.Logf("%d shots; the archive is booted from %s on", len(all), all[low].at)
	for n, held := range map[int]bool{low - 1: false, low: true} {
		d := virtual.Start(b.t, b.Base.Spec, virtual.Options{From: all[n].disk})
		who := d.Login("root")
		if held {
			who = b.waiting()
		}
		if err := d.WaitLogin(ctx, who); err != nil {
			b.t.Errorf("cut after %s: %v", all[n].at, err)
		}
		d.Close()
	}
}

// realFlashed goes on to a new system.
func realFlashed(b *bench, ctx context.Context, via string) {
	if on, _ := b.State(); !on {
		judge.Must(b.t, b.PowerOn(ctx))
	}
	realUp(b, ctx)
	b.says(ctx, "touch /root/old; sync")
	if code, out := b.verb("reflash", append(slowly, "--push-via", via, b.target(), b.archive, b.Base.Disk)...); code != 0 || !strings.Contains(out, "the new system is up") {
		b.t.Fatalf("reflash: %d", code)
	}
	if got := b.says(ctx, "ls /root/old 2>/dev/null; true"); got != "" {
		b.t.Error("it is the old system")
	}
}
