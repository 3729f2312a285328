package loader

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// grubCfg has the lines of grub-mkconfig's that a one-shot goes by, in our own arrangement.
const grubCfg = `if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
else
   set default="0"
fi
menuentry 'Debian GNU/Linux' --id 'simple' {
	insmod ext2
	if [ x = x ]; then
	  search --fs-uuid --set=root 11
	fi
	linux	/boot/vmlinuz-6.1.0-57-amd64 root=UUID=11 ro
	initrd	/boot/initrd.img-6.1.0-57-amd64
}
submenu 'Advanced' {
	menuentry 'the kernel that runs' {
		search --fs-uuid --set=root 11
		linux	/boot/vmlinuz-6.1.0-56-amd64 root=UUID=11 ro quiet
		initrd	/boot/microcode.img /boot/initrd.img-6.1.0-56-amd64
	}
	menuentry 'the same (recovery mode)' {
		linux	/boot/vmlinuz-6.1.0-56-amd64 root=UUID=11 ro single
		initrd	/boot/initrd.img-6.1.0-56-amd64
	}
}
if [ -f ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
fi
`

// wantCustom is what GRUB is given.
const wantCustom = `# made by groundhog push, for one boot
if [ "${default}" = groundhog ]; then set fallback=0; fi
menuentry groundhog --id groundhog --unrestricted {
	search --fs-uuid --set=root 11
	if [ -f /boot/groundhog.img ]; then
	linux	/boot/vmlinuz-6.1.0-56-amd64 root=UUID=11 ro quiet
	initrd /boot/microcode.img /boot/groundhog.img
	fi
}
`

// A shot is one kind of one-shot, on a machine made of files.
type shot struct {
	boot Boot
	make func(t *testing.T, l *local)
	// boots is a boot: what the loader loads, and what it takes back.
	boots func(t *testing.T, l *local) string
}

var shots = map[string]shot{
	"GRUB": {Boot{Way: NextEntry, File: grubFile, Config: "/boot/grub", Kernel: "/boot/vmlinuz-" + running}, makeGRUB, bootGRUB},
	"systemd-boot": {Boot{Way: Entry, File: "/boot/efi/groundhog/initrd", Config: "/boot/efi", Kernel: "/boot/vmlinuz-" + running},
		makeSystemdBoot, bootSystemdBoot},
	"BootNext": {Boot{Way: BootNext, File: "/boot/efi/groundhog/initrd", Config: "/boot/efi", Kernel: "/boot/vmlinuz-" + running},
		makeBootNext, bootFirmware},
	"tryboot": {Boot{Way: TryBoot, File: "/boot/firmware/groundhog.img", Config: configTxt, Kernel: "/boot/vmlinuz-" + rpiKernel}, makePi, bootPi},
}

const rpiKernel = "6.12.25+rpt-rpi-v8"

const rpiConfig = "dtparam=audio=on\nauto_initramfs=1\n[pi3]\ninitramfs other.img followkernel\n[cm4]\notg_mode=1\n[all]\nenable_uart=1"

// makePi is Raspberry Pi OS's layout: the firmware's copies of kernel and initramfs, of two flavours.
func makePi(t *testing.T, l *local) {
	l.put("proc/device-tree/compatible", "raspberrypi,4-compute-module\x00brcm,bcm2711\x00")
	l.put("proc/device-tree/chosen/bootloader/tryboot", "\x00\x00\x00\x00")
	l.put("boot/vmlinuz-"+rpiKernel, "the kernel")
	l.put("boot/initrd.img-"+rpiKernel, "the original")
	l.put("boot/firmware/kernel8.img", "the kernel")
	l.put("boot/firmware/kernel_2712.img", "another kernel")
	l.put("boot/firmware/initramfs8", "the original")
	l.put(configTxt, rpiConfig)
}

// bootPi is a reboot that asks for a tryboot, where there is something to try, and after that one is a plain one.
func bootPi(t *testing.T, l *local) string {
	text, err := os.ReadFile(filepath.Join(l.root, "boot/firmware/tryboot.txt"))
	if err != nil || l.tried {
		return l.read("boot/firmware/initramfs8")
	}
	l.tried = true
	if want := tryMark + "\ndtparam=audio=on\n[pi3]\n[cm4]\notg_mode=1\n[all]\nenable_uart=1\n[all]\nkernel=kernel8.img\ninitramfs groundhog.img followkernel\n"; string(text) != want {
		t.Errorf("tryboot.txt is %q", text)
	}
	return l.read("boot/firmware/groundhog.img")
}

const tryMark = "# made by groundhog push, for one boot"

// wantEntry is what systemd-boot is given.
const wantEntry = "title groundhog, once\nlinux /groundhog/linux\ninitrd /groundhog/initrd\noptions root=UUID=11 ro dyndbg=\"a b\" \n"

const oneShotVariable = "sys/firmware/efi/efivars/LoaderEntryOneShot" + loaderGUID

func makeSystemdBoot(t *testing.T, l *local) {
	l.put("proc/cmdline", "initrd=\\x\\initrd.img BOOT_IMAGE=/vmlinuz root=UUID=11 ro dyndbg=\"a b\"\n")
	l.put("boot/vmlinuz-"+running, "the kernel")
	l.put("boot/efi/loader/entries/debian.conf", "title Debian\nsort-key debian\n")
	l.variable("LoaderInfo"+loaderGUID, utf16le("systemd-boot 252.39-1~deb12u1"))
}

// bootSystemdBoot does as systemd-boot.
func bootSystemdBoot(t *testing.T, l *local) string {
	value, err := os.ReadFile(filepath.Join(l.root, oneShotVariable))
	if err != nil {
		return l.read(initrd)
	}
	os.Remove(filepath.Join(l.root, oneShotVariable))
	if want := "\x07\x00\x00\x00" + utf16le("groundhog.conf"); string(value) != want {
		t.Errorf("the variable is %q", value)
	}
	if got := l.read("boot/efi/loader/entries/groundhog.conf"); got != wantEntry {
		t.Errorf("an entry that nobody wrote: %q", got)
	}
	if got := l.read("boot/efi/groundhog/linux"); got != "the kernel" {
		return "another kernel: " + got
	}
	return l.read("boot/efi/groundhog/initrd")
}

const efivars = "sys/firmware/efi/efivars/"

// makeBootNext is a machine whose firmware starts a unified image.
func makeBootNext(t *testing.T, l *local) {
	l.put("proc/cmdline", "initrd=\\x\\initrd.img root=UUID=11 ro dyndbg=\"a b\"\n")
	l.put("boot/vmlinuz-"+running, "the kernel")
	l.put("boot/efi/EFI/Linux/debian.efi", "MZ")
	l.started(`\EFI\Linux\debian.efi`)
}

// bootFirmware does as a UEFI firmware (UEFI specification, 3.1.2 and 3.1.3), and as the kernel that it starts.
func bootFirmware(t *testing.T, l *local) string {
	value, err := os.ReadFile(filepath.Join(l.root, efivars, "BootNext"+globalGUID))
	if err != nil {
		l.variable("BootCurrent"+globalGUID, "\x0a\x00")
		return l.read(initrd)
	}
	l.variable("BootCurrent"+globalGUID, "\x68\x67")
	os.Remove(filepath.Join(l.root, efivars, "BootNext"+globalGUID))
	if want := "\x07\x00\x00\x00\x68\x67"; string(value) != want {
		t.Errorf("BootNext is %q", value)
	}
	file := utf16le(`\groundhog\linux`)
	want := "\x07\x00\x00\x00\x01\x00\x00\x00" + string([]byte{byte(42 + 4 + len(file) + 4), 0}) + utf16le("groundhog") + diskNode +
		"\x04\x04" + string([]byte{byte(4 + len(file)), 0}) + file + "\x7f\xff\x04\x00" + utf16le(`root=UUID=11 ro dyndbg="a b" initrd=\groundhog\initrd`)
	if got := l.read(efivars + "Boot6768" + globalGUID); got != want {
		t.Errorf("an entry that nobody wrote: %q; want %q", got, want)
	}
	if got := l.read("boot/efi/groundhog/linux"); got != "the kernel" {
		return "another kernel: " + got
	}
	return l.read("boot/efi/groundhog/initrd")
}

func makeGRUB(t *testing.T, l *local) {
	judge.Tool(t, "grub-editenv")
	l.put("boot/grub/grub.cfg", grubCfg)
	judge.Run(t, exec.Command("grub-editenv", l.root+"/boot/grub/grubenv", "set", "saved_entry=x"))
}

// bootGRUB does as grubCfg says.
func bootGRUB(t *testing.T, l *local) string {
	env := filepath.Join(l.root, "boot/grub/grubenv")
	out, err := exec.Command("grub-editenv", env, "list").CombinedOutput()
	if err != nil {
		return "no environment: " + string(out)
	}
	if !strings.Contains(string(out), "next_entry=groundhog\n") {
		return l.read(initrd)
	}
	judge.Run(t, exec.Command("grub-editenv", env, "unset", "next_entry"))
	if got := l.read("boot/grub/custom.cfg"); got != strings.ReplaceAll(wantCustom, grubFile, grubFile) {
		return "an entry that nobody wrote: " + got
	}
	return l.read(grubFile)
}

func eachShot(t *testing.T, test func(t *testing.T, l *local, s shot)) {
	for name, s := range shots {
		t.Run(name+" "+deviceShell, func(t *testing.T) {
			l := newLocal(t, deviceShell)
			s.make(t, l)
			l.edit = func(program string) string { return noSeek + program }
			test(t, l, s)
		})
	}
}

// The archive boots once, the second boot is an ordinary one, and all is as it was then; so it is where nobody ever rebooted.
func TestOneShot(t *testing.T) {
	eachShot(t, func(t *testing.T, l *local, s shot) {
		before := l.tree()
		run := func(archive string) {
			t.Helper()
			judge.Must(t, job(s.boot, archive).Run(t.Context(), l, strings.NewReader(archive)))
		}
		run("one")
		run("archive")
		if got := s.boots(t, l); got != "archive" {
			t.Fatalf("it boots %q", got)
		}
		if got := s.boots(t, l); got != "the original" {
			t.Errorf("the second boot is %q", got)
		}
		if out, exit := l.boot(); exit != 0 || l.tree() != before {
			t.Errorf("%d: %s:\n%snot as before:\n%s", exit, out, l.tree(), before)
		}
		run("unused")
		said, err := Restore(t.Context(), l)
		if err != nil || !strings.Contains(said, "taken back") || l.tree() != before {
			t.Errorf("%q, %v:\n%s", said, err, l.tree())
		}
		if got := s.boots(t, l); got != "the original" {
			t.Errorf("after a restore it boots %q", got)
		}
		if _, err := Restore(t.Context(), l); !errors.Is(err, ErrRefused) {
			t.Errorf("restoring what was not pushed: %v", err)
		}
	})
}

// What comes damaged arms nothing and leaves nothing behind; where that of an earlier push is gone, it says so.
func TestOneShotReceive(t *testing.T) {
	eachShot(t, func(t *testing.T, l *local, s shot) {
		before := l.tree()
		for name, sent := range map[string]string{"cut": "arch", "other": "ARCHIVE"} {
			err := job(s.boot, "archive").Run(t.Context(), l, strings.NewReader(sent))
			if !errors.Is(err, ErrRefused) || s.boots(t, l) != "the original" {
				t.Errorf("%s: %v", name, err)
			}
			if l.tree() != before {
				t.Errorf("%s: it leaves\n%s", name, l.tree())
			}
		}
		judge.Must(t, job(s.boot, "earlier").Run(t.Context(), l, strings.NewReader("earlier")))
		err := job(s.boot, "archive").Run(t.Context(), l, strings.NewReader("arch"))
		if !errors.Is(err, ErrTakenBack) || errors.Is(err, ErrRefused) || l.tree() != before || s.boots(t, l) != "the original" {
			t.Errorf("over an earlier one: %v:\n%s", err, l.tree())
		}
	})
}

// What lies on a partition that is not mounted is not forgotten.
func TestOneShotNotMounted(t *testing.T) {
	eachShot(t, func(t *testing.T, l *local, s shot) {
		before := l.tree()
		judge.Must(t, job(s.boot, "archive").Run(t.Context(), l, strings.NewReader("archive")))
		at := filepath.Join(l.root, "boot")
		judge.Must(t, os.Rename(at, at+"-away"))
		if out, exit := l.boot(); exit != 2 || !strings.Contains(out, "mounted") {
			t.Errorf("%d: %s", exit, out)
		}
		judge.Must(t, os.Rename(at+"-away", at))
		if out, exit := l.boot(); exit != 0 || l.tree() != before {
			t.Errorf("%d: %s:\n%s", exit, out, l.tree())
		}
	})
}

// One way at a time: what was pushed by another is restored first.
func TestOneShotOverReplace(t *testing.T) {
	eachShot(t, func(t *testing.T, l *local, s shot) {
		before := l.tree()
		push(t, l, layouts["boot"], "replaced")
		err := job(s.boot, "archive").Run(t.Context(), l, strings.NewReader("archive"))
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "another way") {
			t.Error(err)
		}
		if _, err := Restore(t.Context(), l); err != nil || l.tree() != before {
			t.Error(err)
		}
	})
}

// Killed before any command: the archive boots once and whole, or the ordinary system does; a restore or another push then goes through.
func TestOneShotKilled(t *testing.T) { oneShotKilled(t, fewKills) }

func oneShotKilled(t *testing.T, step int) {
	for name, s := range shots {
		for what, prepare := range map[string]bool{"push": false, "restore": true} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				for n := 1 + len(t.Name())*7%stride; ; n += stride * step {
					l := newLocal(t, "bash")
					s.make(t, l)
					before := l.tree()
					var err error
					j := job(s.boot, "archive")
					if prepare {
						l.edit = unsynced
						judge.Must(t, j.Run(t.Context(), l, strings.NewReader("archive")))
					}
					l.edit = killAt(n)
					if prepare {
						_, err = Restore(t.Context(), l)
					} else {
						err = j.Run(t.Context(), l, strings.NewReader("archive"))
					}
					l.edit = unsynced
					first, second := s.boots(t, l), s.boots(t, l)
					if first != "archive" && first != "the original" || second != "the original" {
						t.Errorf("killed before command %d it boots %q, then %q", n, first, second)
					}
					if n%2 == 0 {
						if err := job(s.boot, "two").Run(t.Context(), l, strings.NewReader("two")); err != nil {
							t.Errorf("killed before command %d, the next push: %v", n, err)
						}
					}
					if _, again := Restore(t.Context(), l); again != nil && !errors.Is(again, ErrRefused) || l.tree() != before && l.left(before) {
						t.Errorf("killed before command %d: %v:\n%s", n, again, l.tree())
					}
					if err == nil {
						if n < 40 {
							t.Errorf("only %d commands were seen", n)
						}
						t.Logf("%d commands", n)
						return
					}
				}
			})
		}
	}
}

// left reports whether more than the text of restore is left, of a push that was killed before it said what it does.
func (l *local) left(before string) bool {
	os.RemoveAll(filepath.Join(l.root, "var/lib/groundhog"))
	return l.tree() != before
}

// refusesEach refuses a one-shot, by the key's words, where one fact is another than those that fit.
func refusesEach(t *testing.T, good func() Facts, l Loader, changes map[string]func(Facts)) {
	t.Helper()
	for text, change := range changes {
		f := good()
		change(f)
		if _, err := ByOneShot(f, l); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v; want %q", err, text)
		}
	}
}

// What stands in the way of a one-shot is named.
func TestOnceRefuses(t *testing.T) {
	good := func() Facts {
		return Facts{"kernel": {running}, "grub_type": {"ext4"}, "grub_on": {"disk", "part"}, "grub_once": {"yes"}, "grub_editenv": {"yes"}, "grub_entry": {"yes"}}
	}
	if b, err := ByOneShot(good(), grubLoader{}); err != nil || b != shots["GRUB"].boot {
		t.Errorf("%+v, %v", b, err)
	}
	refusesEach(t, good, grubLoader{}, map[string]func(Facts){
		"on btrfs":                   func(f Facts) { f["grub_type"] = []string{"btrfs"} },
		"on a filesystem":            func(f Facts) { delete(f, "grub_type") },
		"on disk, lvm, part":         func(f Facts) { f["grub_on"] = []string{"disk", "lvm", "part"} },
		"on nothing known":           func(f Facts) { delete(f, "grub_on") },
		"takes no next_entry":        func(f Facts) { delete(f, "grub_once") },
		"no grub-editenv":            func(f Facts) { delete(f, "grub_editenv") },
		"no entry for kernel":        func(f Facts) { delete(f, "grub_entry") },
		"a custom.cfg":               func(f Facts) { f["grub_custom"] = []string{"yes"} },
		"told already to boot other": func(f Facts) { f["grub_told"] = []string{"other"} },
		"Secure Boot":                func(f Facts) { f["secure_boot"] = []string{"1"} },
	})
	good = func() Facts {
		return Facts{"kernel": {running}, "kernel_size": {"8"}, "loader_info": {"systemd-boot 252.39-1~deb12u1"}, "loader_oneshot": {"yes"}, "esp": {"/boot/efi"}, "esp_sorted": {"yes"}}
	}
	for _, l := range []Loader{systemdBoot{}, unifiedLoader{}} {
		if b, err := ByOneShot(good(), l); err != nil || b != shots["systemd-boot"].boot {
			t.Errorf("%+v, %v", b, err)
		}
	}
	refusesEach(t, good, systemdBoot{}, map[string]func(Facts){
		"247.3-7 does not say":       func(f Facts) { f["loader_info"] = []string{"systemd-boot 247.3-7"} },
		"does not say that":          func(f Facts) { delete(f, "loader_oneshot") },
		"Secure Boot":                func(f Facts) { f["secure_boot"] = []string{"1"} },
		"is mounted at none of":      func(f Facts) { delete(f, "esp") },
		"has a sort-key":             func(f Facts) { delete(f, "esp_sorted") },
		"told already to boot other": func(f Facts) { f["loader_told"] = []string{"other.conf"} },
		`default is "groundhog*"`:    func(f Facts) { f["loader_default"] = []string{"debian*", "groundhog*"} },
		`default is "["`:             func(f Facts) { f["loader_default"] = []string{"["} },
		"not known to be a push's":   func(f Facts) { f["esp_entry"] = []string{"yes"} },
		"mounted read-only":          func(f Facts) { f["efivars_readonly"] = []string{"yes"} },
		"no /boot/vmlinuz":           func(f Facts) { delete(f, "kernel_size") },
	})
	good = func() Facts {
		return Facts{"kernel": {running}, "arch": {"amd64"}, "efi": {"yes"}, "kernel_size": {"8"}, "kernel_stub": {"yes"}, "esp": {"/boot/efi"}, "bootnext": {"yes"}, "bootnext_part": {diskGUID}}
	}
	for _, l := range []Loader{otherEFI{}, unifiedLoader{}} {
		b, err := ByOneShot(good(), l)
		if says := b.Says(l); !strings.HasPrefix(says, "the UEFI firmware is told to boot the archive once") {
			t.Error(says)
		}
		if b.who = ""; err != nil || b != shots["BootNext"].boot {
			t.Errorf("%+v, %v", b, err)
		}
	}
	refusesEach(t, good, otherEFI{}, map[string]func(Facts){
		"machine with UEFI":      func(f Facts) { delete(f, "efi") },
		"and amd64":              func(f Facts) { f["arch"] = []string{"arm64"} },
		"under Secure Boot":      func(f Facts) { f["secure_boot"] = []string{"1"} },
		"is mounted at none of":  func(f Facts) { delete(f, "bootnext") },
		"partition of a GPT it":  func(f Facts) { delete(f, "bootnext"); delete(f, "bootnext_part") },
		"no program of UEFI":     func(f Facts) { delete(f, "kernel_stub") },
		"is not there":           func(f Facts) { delete(f, "kernel_size") },
		"mounted read-only":      func(f Facts) { f["efivars_readonly"] = []string{"yes"} },
		"boot its entry 0003":    func(f Facts) { f["bootnext_told"] = []string{"0003"} },
		"is not a push's, and":   func(f Facts) { f["bootnext_taken"] = []string{"yes"} },
		"not known to be a push": func(f Facts) { f["esp_entry"] = []string{"yes"} },
	})
	good = func() Facts {
		return Facts{"kernel": {rpiKernel}, "firmware_tryboot": {"00000000"}, "firmware_kernel": {"kernel8.img"}, "firmware_auto": {"1"}}
	}
	if b, err := ByOneShot(good(), raspberryLoader{}); err != nil || b != shots["tryboot"].boot {
		t.Errorf("%+v, %v", b, err)
	}
	refusesEach(t, good, raspberryLoader{}, map[string]func(Facts){
		"none of Raspberry Pi OS's":     func(f Facts) { f["kernel"] = []string{"6.1.0-56-arm64"} },
		"does not say that it knows":    func(f Facts) { delete(f, "firmware_tryboot") },
		"set up by tryboot_a_b":         func(f Facts) { f["firmware_odd"] = []string{"tryboot_a_b"} },
		"is not the one that runs":      func(f Facts) { delete(f, "firmware_kernel") },
		"kernel=mine.img, not kernel8":  func(f Facts) { f["firmware_image"] = []string{"mine.img"} },
		"a tryboot.txt, which stays as": func(f Facts) { f["firmware_tried"] = []string{"yes"} },
	})
	if _, err := ByOneShot(good(), extlinuxLoader{}); err == nil || !strings.Contains(err.Error(), "has no one-shot") {
		t.Error(err)
	}
}
